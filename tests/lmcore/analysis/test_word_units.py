"""Words from characters: whitespace, tokens across a boundary, and sums that lose nothing."""

import numpy as np
import pytest

from lmcore.analysis.word_units import (
    correct_word_boundaries,
    joined_words,
    word_grid,
    words_of_tokens,
)


def words(texts: list[str]) -> list[tuple[int, int]]:
    grid = word_grid(texts)
    return list(zip(grid.text_of_word.tolist(), grid.starts.tolist()))


def test_words_are_what_whitespace_separates_in_every_text() -> None:
    assert words(["a bc", "  d\n e ", "é"]) == [(0, 0), (0, 2), (1, 2), (1, 5), (2, 0)]
    assert words(["", " \n", "x"]) == [(0, 0), (1, 0), (2, 0)], "a text without a word is one"


def test_no_texts_have_no_words() -> None:
    assert [len(values) for values in word_grid([])] == [0] * 6


def test_bytes_of_words_are_all_bytes_of_the_text() -> None:
    texts = ["a bc", "  d\n e ", "é naïve — 𝄞", "", " "]
    grid = word_grid(texts)
    per_text = np.bincount(grid.text_of_word, weights=grid.n_bytes, minlength=len(texts))
    assert per_text.tolist() == [len(text.encode()) for text in texts]
    assert grid.n_bytes[:4].tolist() == [1, 3, 3, 4]


@pytest.mark.parametrize(
    "character", ["\x7f", "\x80", "\u07ff", "\u0800", "\uffff", "\U00010000", "\U0010ffff"]
)
def test_bytes_of_characters_at_the_edges_of_utf_8(character: str) -> None:
    assert word_grid([f"a {character}"]).n_bytes.tolist() == [1, 1 + len(character.encode())]


@pytest.mark.parametrize("space", [" ", "\x1f", "\x85", "\xa0", "\u2028", "\u3000"])
def test_every_whitespace_of_python_separates_words_and_its_neighbours_do_not(space: str) -> None:
    assert words([f"a{space}b"]) == [(0, 0), (0, 2)]
    assert words(["a\u3001b\u200bc\u2fffd"]) == [(0, 0)]


def test_a_token_belongs_to_the_word_of_its_first_letter_and_whitespace_to_the_next_word() -> None:
    grid = word_grid(["no, see\n\n it "])
    spans = [(0, 2), (2, 3), (3, 7), (7, 9), (9, 12), (12, 13), (13, 13)]
    first, last = words_of_tokens(grid, np.zeros(7, int), *np.array(spans).T)
    assert first.tolist() == [0, 0, 1, 2, 2, 2, 2] and last.tolist() == first.tolist()


def test_a_token_over_a_boundary_joins_the_words() -> None:
    grid = word_grid(["of the sea", "by"])
    first, last = words_of_tokens(
        grid, np.array([0, 0, 1]), np.array([0, 6, 0]), np.array([6, 10, 2])
    )
    assert (first.tolist(), last.tolist()) == ([0, 2, 3], [1, 2, 3])
    assert joined_words(4, first, last).tolist() == [False, True, False, False]


@pytest.mark.parametrize("seed", range(3))
def test_every_token_of_random_text_is_in_one_word_and_none_is_lost(seed: int) -> None:
    rng = np.random.default_rng(seed)
    texts = ["".join(rng.choice(list("ab \n"), rng.integers(1, 30))) for _ in range(40)]
    grid = word_grid(texts)
    for number, text in enumerate(texts):
        cuts = np.unique(np.concatenate([[0, len(text)], rng.integers(0, len(text) + 1, 5)]))
        first, last = words_of_tokens(grid, np.full(len(cuts) - 1, number), cuts[:-1], cuts[1:])
        own = np.flatnonzero(grid.text_of_word == number)
        assert (
            first[0] == own[0]
            and last[-1] == own[-1]
            and (np.diff(first) >= 0).all()
            and (last >= first).all()
        )
        assert len(own) == max(1, len(text.split()))


def test_correction_telescopes_to_the_mass_behind_the_last_word() -> None:
    """What a word is given, the next word pays.

    A text's corrected log-prob is therefore that of its tokens and of its end.
    """
    logprob, unit, text = (
        np.array([-1.0, -2, -3, -4, -5]),
        np.array([0, 0, 1, 2, 3]),
        np.array([0, 0, 0, 0, 1]),
    )
    before, after = np.log([0.9, 0.2, 0.8, 0.7, 0.6]), np.log([0.2, 0.8, 0.7, 0.5, 0.4])
    corrected = correct_word_boundaries(logprob, unit, text, before, after)
    assert corrected[:2].sum() == pytest.approx(-3 + np.log(0.8))
    assert corrected[2] == pytest.approx(-3 + np.log(0.7) - np.log(0.8))
    assert corrected[:4].sum() == pytest.approx(logprob[:4].sum() + np.log(0.5)) and corrected[
        4
    ] == pytest.approx(-5 + np.log(0.4))
