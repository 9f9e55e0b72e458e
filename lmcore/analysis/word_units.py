"""Words as the common measure of models with different tokenizers: texts and token spans go in, sums over each word's tokens come out.

A word is what whitespace separates, together with the whitespace before it; at the end of a text also with that behind it. A token belongs
to the word of its first character that is no whitespace; one of whitespace alone to the word that follows. Where a token of any model
reaches into a second word, both are one unit for all models, so that every token of every model lies in exactly one.

A word's log-prob is the sum over its tokens. Where tokens mark the beginning of a word (a leading space), what the model says after the
last token also decides that the word is over: the correction multiplies by the probability mass of word-beginning tokens after the
word, and divides by the mass before it, which the previous word has been given. The first word of a text has nothing before it.
Source: Pimentel & Meister 2024, How to compute the probability of a word; Oh & Schuler 2024, Leading whitespaces of language models'
subword vocabulary pose a confound for calculating word probabilities.
"""

from typing import NamedTuple

import numpy as np

WHITESPACE = np.array([code for code in range(0x3001) if chr(code).isspace()], np.uint32)


class WordGrid(NamedTuple):
    """The words of some texts, numbered through; character arrays have one place more than each text has characters."""

    offsets: np.ndarray  # (texts,) where each text begins among the characters
    word_at: np.ndarray  # (characters,) the word of the first character from here on that is no whitespace; at the end the last word
    word_before: (
        np.ndarray
    )  # (characters,) the word of the last such character before here, -1 where there is none
    text_of_word: np.ndarray  # (words,)
    starts: np.ndarray  # (words,) first character of the word itself, in its text
    n_bytes: np.ndarray  # (words,) with the whitespace that belongs to it


def word_grid(texts: list[str]) -> WordGrid:
    """The words of `texts`; a text of whitespace alone is one word."""
    lengths = np.array([len(text) for text in texts], np.int64)
    codes = np.frombuffer(
        "\0".join([*texts, ""]).encode("utf-32-le", "surrogatepass"), np.uint32
    )  # a sentinel behind each text
    offsets = np.concatenate([[0], np.cumsum(lengths + 1)])[:-1]
    ends = offsets + lengths
    is_space = (codes < 0x3001) & np.isin(codes, WHITESPACE)
    is_space[ends] = True
    begins = ~is_space
    begins[1:] &= is_space[:-1]
    n_words = np.add.reduceat(begins, offsets) if len(texts) else np.zeros(0, np.int64)
    begins[offsets[n_words == 0]] = True  # whitespace alone, or nothing
    seen = np.cumsum(begins)  # words begun up to and with each character
    word_at: np.ndarray = (
        seen - begins
    )  # the next word, where the character is before its beginning ...
    inside = ~is_space | begins
    word_at[inside] = seen[inside] - 1  # ... or the word that it stands in
    last = np.append(seen[offsets[1:] - 1], seen[-1]) - 1 if len(texts) else np.zeros(0, np.int64)
    first = np.append(0, last[:-1] + 1)
    np.minimum(word_at, np.repeat(last, lengths + 1), out=word_at)
    word_before = np.concatenate([[-1], (seen - 1)[:-1]])
    word_before[word_before < np.repeat(first, lengths + 1)] = -1
    sizes = 1 + (codes > 0x7F).astype(np.int64) + (codes > 0x7FF) + (codes > 0xFFFF)
    sizes[ends] = 0
    at = np.flatnonzero(begins)
    text_of_word = np.searchsorted(offsets, at, "right") - 1
    n_bytes = np.bincount(word_at, weights=sizes, minlength=len(at)).astype(np.int64)
    return WordGrid(
        offsets, word_at, word_before, text_of_word, at - offsets[text_of_word], n_bytes
    )


def words_of_tokens(
    grid: WordGrid, text: np.ndarray, starts: np.ndarray, ends: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The first and the last word that each token (of text number `text`, characters `starts` to `ends`) has a part in."""
    offset = grid.offsets[text]
    first = grid.word_at[offset + starts]
    return first, np.maximum(first, grid.word_before[offset + ends])


def joined_words(n_words: int, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """(words,) bool: whether a token joins the word to the one before it."""
    crossing = np.flatnonzero(last > first)
    steps = np.zeros(n_words + 1, np.int64)
    np.add.at(steps, first[crossing] + 1, 1)
    np.add.at(steps, last[crossing] + 1, -1)
    return np.cumsum(steps)[:-1] > 0


def correct_word_boundaries(
    logprob: np.ndarray, unit: np.ndarray, text: np.ndarray, before: np.ndarray, after: np.ndarray
) -> np.ndarray:
    """The tokens' log-probs with the correction in each unit's first and last token, so that sums over units are corrected.

    Tokens are in order, text by text. before, after: (T,) the log mass of word-beginning tokens before and after each token.
    """
    corrected = logprob.astype(np.float64)
    changes = unit[1:] != unit[:-1]
    last = np.append(changes, True)
    begins = np.append(False, changes & (text[1:] == text[:-1]))  # but not a text's first word
    corrected[last] += after[last]
    corrected[begins] -= before[begins]
    return corrected
