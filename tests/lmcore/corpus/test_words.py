"""What a word is, and when text that is still being written shows the end of its first word."""

import pytest

from lmcore.corpus.words import first_word, frequency, word_counts


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (" man", None),  # " manner" may follow
        (" man ", " man"),
        (" man.", " man"),
        (" don'", None),  # " don't" may follow
        (" don't", None),
        (" don't you", " don't"),
        (" man' said", " man"),
        (" well-", None),
        (" well--", " well"),
        (" I’m so", " I’m"),
        (".", "."),
        ("...", "."),
        (' "Oh', ' "'),
        ("s and", "s"),
        ("\n\nHe said", "\n\nHe"),
        ("", None),
        (" \n", None),
        (" caf\ufffd", None),  # half a character: " café" may follow
        (" man.\ufffd", " man"),  # whatever that character is, the word is over
        (" man'\ufffd", None),
        ("\ufffd", None),
        (" \ufffd", None),
        (" caf\ufffd\ufffd", None),
        (" a\ufffd b", " a"),  # no half of a character, since more follows
    ],
)
def test_first_word_of_text_in_writing_ends_where_nothing_can_change_it(
    text: str, word: str | None
) -> None:
    assert first_word(text, is_whole=False) == word


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (" man", " man"),
        (" don'", " don"),
        ("", ""),
        ("  ", ""),
        (" \ufffd", " \ufffd"),
        (" a b", " a"),
    ],
)
def test_first_word_of_whole_text_is_always_there(text: str, word: str) -> None:
    assert first_word(text, is_whole=True) == word


def test_frequency_is_that_of_the_rarest_word_in_any_case() -> None:
    counts = word_counts(["The man, THE sea; don't.", "the Man-of-war"])
    assert counts == {"the": 3, "man": 1, "sea": 1, "don't": 1, "man-of-war": 1}
    targets = (" The", " the man", '"Sea', " don't", " ship", " the ship", "!")
    assert [frequency(target, counts) for target in targets] == [3, 1, 1, 1, 0, 0, 0]
