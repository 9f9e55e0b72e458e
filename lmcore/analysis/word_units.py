"""Words as the common measure of models with different tokenizers.

Texts and token spans go in; sums over each word's tokens come out.

A word is what whitespace separates, together with the whitespace before it; the last word of a text
also includes the whitespace after it. A token belongs to the word of its first character that is
not whitespace; a token of whitespace alone belongs to the word that follows. Where a token of any
model reaches into a second word, both words are one unit for all models, so that every token of
every model lies in exactly one unit.

A word's log-prob is the sum over its tokens. Where tokens mark the beginning of a word (a leading
space), what the model says after the last token also decides that the word is over. The correction
therefore multiplies the word's probability by the mass of word-beginning tokens after the word. It
divides by the mass before the word, which the previous word has been given. The first word of a
text has nothing before it.

Source: Pimentel & Meister 2024, How to compute the probability of a word; Oh & Schuler 2024,
Leading whitespaces of language models' subword vocabulary pose a confound for calculating word
probabilities.
"""

from typing import NamedTuple

import numpy as np

WHITESPACE = np.array([code for code in range(0x3001) if chr(code).isspace()], np.uint32)


class WordGrid(NamedTuple):
    """The words of some texts, numbered through all texts.

    Arrays of (characters,) have one place more for each text than the text has characters.
    """

    offsets: np.ndarray  # (texts,) where each text begins among the characters
    # (characters,) the word of the first character from here on that is not whitespace; at the end
    # of a text its last word
    word_at: np.ndarray
    # (characters,) the word of the last character before here that is not whitespace, -1 where
    # there is none
    word_before: np.ndarray
    text_of_word: np.ndarray  # (words,)
    starts: np.ndarray  # (words,) first character of the word itself, in its text
    n_bytes: np.ndarray  # (words,) with the whitespace that belongs to it


def word_grid(texts: list[str]) -> WordGrid:
    """The words of `texts`; a text of whitespace alone is one word."""
    lengths = np.array([len(text) for text in texts], np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths + 1)])[:-1]
    ends = offsets + lengths
    codes = _code_points(texts)
    is_space = (codes < 0x3001) & np.isin(codes, WHITESPACE)
    is_space[ends] = True
    begins = _word_beginnings(is_space, offsets)
    n_begun = np.cumsum(begins)  # words begun up to and with each character
    # where whitespace precedes a word, the next word ...
    word_at: np.ndarray = n_begun - begins
    # ... and elsewhere the word that the character stands in
    is_inside = ~is_space | begins
    word_at[is_inside] = n_begun[is_inside] - 1
    first, last = _first_and_last_words(n_begun, offsets)
    np.minimum(word_at, np.repeat(last, lengths + 1), out=word_at)
    word_before = np.concatenate([[-1], n_begun - 1])[:-1]
    word_before[word_before < np.repeat(first, lengths + 1)] = -1
    sizes = _utf8_sizes(codes)
    sizes[ends] = 0
    heads = np.flatnonzero(begins)  # the first character of each word
    text_of_word = np.searchsorted(offsets, heads, "right") - 1
    n_bytes = np.bincount(word_at, weights=sizes, minlength=len(heads)).astype(np.int64)
    starts = heads - offsets[text_of_word]
    return WordGrid(offsets, word_at, word_before, text_of_word, starts, n_bytes)


def _code_points(texts: list[str]) -> np.ndarray:
    """(characters,) uint32: the code points of all texts, with a sentinel behind each text."""
    joined = "\0".join([*texts, ""])
    return np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32)


def _word_beginnings(is_space: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """(characters,) bool: where words begin; a text without a word has one at its beginning."""
    begins = ~is_space
    begins[1:] &= is_space[:-1]
    n_words = np.add.reduceat(begins, offsets) if len(offsets) else np.zeros(0, np.int64)
    begins[offsets[n_words == 0]] = True
    return begins


def _first_and_last_words(
    n_begun: np.ndarray, offsets: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(texts,) the first and the last word of each text.

    n_begun: (characters,) the words begun up to and with each character.
    """
    if not len(offsets):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    last = np.append(n_begun[offsets[1:] - 1], n_begun[-1]) - 1
    return np.append(0, last[:-1] + 1), last


def _utf8_sizes(codes: np.ndarray) -> np.ndarray:
    """(characters,) the bytes of each character in UTF-8."""
    return 1 + (codes > 0x7F).astype(np.int64) + (codes > 0x7FF) + (codes > 0xFFFF)


def words_of_tokens(
    grid: WordGrid, text: np.ndarray, starts: np.ndarray, ends: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The first and the last word that each token has a part in.

    text: (T,) the number of each token's text; starts, ends: (T,) its characters there.
    """
    offset = grid.offsets[text]
    first = grid.word_at[offset + starts]
    return first, np.maximum(first, grid.word_before[offset + ends])


def joined_words(n_words: int, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """(words,) bool: whether a token joins the word to the one before it.

    first, last: (T,) the first and the last word of each token.
    """
    crossing = np.flatnonzero(last > first)
    steps = np.zeros(n_words + 1, np.int64)
    np.add.at(steps, first[crossing] + 1, 1)
    np.add.at(steps, last[crossing] + 1, -1)
    return np.cumsum(steps)[:-1] > 0


def correct_word_boundaries(
    logprob: np.ndarray, unit: np.ndarray, text: np.ndarray, before: np.ndarray, after: np.ndarray
) -> np.ndarray:
    """(T,) the tokens' log-probs with the correction, so that sums over units are corrected.

    The correction stands in each unit's first and last token. Tokens are in order, text by text.

    unit, text: (T,) the unit and the text of each token; before, after: (T,) the log mass of
    word-beginning tokens before and after each token.
    """
    corrected = logprob.astype(np.float64)
    changes = unit[1:] != unit[:-1]
    is_last = np.append(changes, True)
    is_same_text = text[1:] == text[:-1]
    is_first = np.append(False, changes & is_same_text)  # a text's first word is not corrected
    corrected[is_last] += after[is_last]
    corrected[is_first] -= before[is_first]
    return corrected
