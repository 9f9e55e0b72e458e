"""What a word is: text goes in, its words come out, or the first word of text that is still being written."""

import re
from collections import Counter

WORD = re.compile(
    r"\w+(?:['’-]\w+)*"
)  # letters and digits, with single apostrophes and hyphens inside


def first_word(text: str, is_whole: bool) -> str | None:
    """The word that `text` begins with, and the whitespace before it; None where more text could still change it.

    A character that belongs to no word is one by itself. `is_whole` says that no more text comes: then there is a word, though it may be
    empty.
    """
    shown = (
        text if is_whole else text.rstrip("\ufffd")
    )  # a character of which only the first bytes are there
    start = len(shown) - len(shown.lstrip())
    if start == len(shown):
        return "" if is_whole else None
    match = WORD.match(shown, start)
    if match is None:
        return shown[: start + 1]
    may_go_on = shown[match.end() :] in ("", "'", "’", "-")
    return None if may_go_on and not is_whole else shown[: match.end()]


def word_counts(texts: list[str]) -> Counter[str]:
    """How often each word stands in the texts, in lower case."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(WORD.findall(text.lower()))
    return counts


def frequency(target: str, counts: Counter[str]) -> int:
    """How often the rarest word of `target` was counted; 0 where it has none."""
    return min((counts[word] for word in WORD.findall(target.lower())), default=0)
