"""Words of any texts in any cut into tokens, against Python's split: nothing is lost or doubled."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmcore.analysis.word_units import (
    correct_word_boundaries,
    joined_words,
    word_grid,
    words_of_tokens,
)
from lmcore.api import words

# whitespace of every length in UTF-8, characters that look like it but are not, and the first and
# last characters of 1 to 4 bytes
CHARACTERS = st.one_of(
    st.sampled_from(" \n\t\x1c\x85\xa0\u2003\u2028\u3000"),
    st.sampled_from("\u200b\u2060\ufeff\u3001a\x7f\x80\u07ff\u0800\uffff\U00010000\0"),
    st.characters(exclude_categories=["Cs"]),
)
TEXTS = st.lists(st.text(CHARACTERS, max_size=12), min_size=1, max_size=4)


@st.composite
def cut_texts(draw) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray]:
    """Texts that are not empty, and a partition of each into tokens: text, starts, ends."""
    texts = draw(st.lists(st.text(CHARACTERS, min_size=1, max_size=12), min_size=1, max_size=4))
    tokens = []
    for number, text in enumerate(texts):
        cuts = sorted(draw(st.sets(st.integers(1, max(1, len(text) - 1))))) if len(text) > 1 else []
        tokens += [(number, start, end) for start, end in pairwise([0, *cuts, len(text)])]
    return texts, *np.array(tokens).T


def spans_of_words(text: str) -> list[tuple[int, int]]:
    """(start, end) of what str.split gives; of a text without a word, of the whole text."""
    found, at = [], 0
    for word in text.split():
        at = text.index(word, at)
        found.append((at, at + len(word)))
        at += len(word)
    return found or [(0, len(text))]


@given(TEXTS)
def test_words_are_those_of_split_with_the_whitespace_before_them(texts: list[str]):
    grid = word_grid(texts)
    spans = [spans_of_words(text) for text in texts]
    n_words = [len(of_text) for of_text in spans]
    assert grid.text_of_word.tolist() == np.repeat(np.arange(len(texts)), n_words).tolist()
    assert grid.starts.tolist() == [start for of_text in spans for start, _ in of_text]
    n_bytes = []
    for text, of_text in zip(texts, spans, strict=True):
        ends = [0, *(end for _, end in of_text[:-1]), len(text)]
        n_bytes += [len(text[start:end].encode()) for start, end in pairwise(ends)]
    assert grid.n_bytes.tolist() == n_bytes


@given(TEXTS)
def test_word_at_and_word_before_every_character(texts: list[str]):
    """`word_at` goes on or begins there; `word_before` is the last one that began before."""
    grid, first = word_grid(texts), 0
    for offset, text in zip(grid.offsets.tolist(), texts, strict=True):
        spans = spans_of_words(text)
        for at in range(len(text) + 1):
            ends_later = [number for number, (_, end) in enumerate(spans) if end > at]
            begun = [number for number, (start, _) in enumerate(spans) if start < at]
            next_word = ends_later[0] if ends_later else len(spans) - 1
            assert grid.word_at[offset + at] == first + next_word
            assert grid.word_before[offset + at] == (first + begun[-1] if begun else -1)
        first += len(spans)


@given(cut_texts())
def test_every_token_of_any_cut_is_in_one_unit(cut):
    texts, text, starts, ends = cut
    grid = word_grid(texts)
    first, last = words_of_tokens(grid, text, starts, ends)
    joined = joined_words(len(grid.starts), first, last)
    unit = np.cumsum(~joined) - 1
    assert (last >= first).all() and (unit[first] == unit[last]).all()
    assert (grid.text_of_word[first] == text).all() and (grid.text_of_word[last] == text).all()
    first_words = np.flatnonzero(np.diff(grid.text_of_word, prepend=-1))
    assert not joined[first_words].any(), "no text's first word joins the text before"
    for word in np.flatnonzero(joined):
        assert ((first < word) & (word <= last)).any(), "only a token joins words"


@given(cut_texts(), st.randoms(use_true_random=False))
def test_rows_of_words_add_up_to_those_of_tokens_and_cover_the_texts(cut, random):
    texts, text, starts, ends = cut
    logprob = np.array([random.uniform(-9, 0) for _ in text])
    entropy = np.array([random.uniform(0, 5) for _ in text])
    tokens = pd.DataFrame({"text": text, "start": starts, "end": ends})
    tokens["logprob"], tokens["entropy"] = logprob, entropy
    found = words(tokens.assign(rank=np.arange(len(text)) + 1), texts)
    for number, of_text in found.groupby("text"):
        own = text == number
        assert of_text["logprob"].sum() == pytest.approx(logprob[own].sum())
        assert of_text["entropy"].sum() == pytest.approx(entropy[own].sum())
        word_ends = of_text["end"].tolist()
        assert of_text["start"].tolist() == [0, *word_ends[:-1]]
        assert word_ends[-1] == len(texts[number])
        assert " ".join(of_text["word"]).split() == texts[number].split()
    place = {key: at for at, key in enumerate(zip(text.tolist(), starts.tolist(), strict=True))}
    firsts = [place[key] + 1 for key in zip(found["text"], found["start"], strict=True)]
    assert found["rank"].tolist() == firsts, "the rank is that of a word's first token"


@given(cut_texts(), st.randoms(use_true_random=False))
def test_corrected_words_of_a_text_add_up_to_its_tokens_and_the_mass_behind_it(cut, random):
    texts, text, starts, ends = cut
    grid = word_grid(texts)
    first, last = words_of_tokens(grid, text, starts, ends)
    unit = (np.cumsum(~joined_words(len(grid.starts), first, last)) - 1)[first]
    logprob = np.array([random.uniform(-9, 0) for _ in text])
    masses = np.array([random.uniform(-9, 0) for _ in range(len(text) + len(texts))])
    place = np.arange(len(text)) + text
    before, after = masses[place], masses[place + 1]  # what is behind one token is before the next
    corrected = correct_word_boundaries(logprob, unit, text, before, after)
    for number in range(len(texts)):
        own = text == number
        assert corrected[own].sum() == pytest.approx(logprob[own].sum() + after[own][-1])
