"""What a word is: text goes in, its words come out.

For text that is still being written, its first word comes out.
"""

import re
from collections import Counter

# letters and digits, with single apostrophes and hyphens inside
WORD = re.compile(r"\w+(?:['’-]\w+)*")


def first_word(text: str, is_whole: bool) -> str | None:
    """The word that `text` begins with, and the whitespace before it.

    A character that belongs to no word is a word by itself. The result is None where more text
    could still change it. `is_whole` says that no more text comes: then there is a word, though it
    may be empty.
    """
    # at the end of unfinished text, this is a character of which only the first bytes are there
    shown = text if is_whole else text.rstrip("\ufffd")
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
    """How often the rarest word of `target` was counted; 0 where `target` has no word."""
    return min((counts[word] for word in WORD.findall(target.lower())), default=0)
