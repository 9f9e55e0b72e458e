"""Which items a model may have read: an items table and the text it was trained on go in, the items found there word for word come out.

Compared are runs of words in lower case, without regard to punctuation and layout. A run of words is hashed as a polynomial modulo 2^64 in
random numbers, one a word, so that all runs of one length are looked up at once; two different runs are taken for one with a chance of
about n^2 / 2^64.
"""

import random
import re
from collections.abc import Iterable

import numpy as np
import pyarrow as pa

BASE = 0x9E3779B97F4A7C15  # odd, so that powers of it never vanish


def items_in(documents: Iterable[str], items: pa.Table, least_words: int = 4) -> list[str]:
    """The items of which a gold text (context and target) of at least `least_words` words stands in one of the documents."""
    codes: dict[str, int] = {}
    numbers = random.Random(0)

    def encoded(text: str) -> list[int]:
        return [codes.setdefault(word, numbers.getrandbits(64)) for word in re.findall(r"\w+", text.lower())]

    # a number of its own behind each document: no run that crosses it is a text's
    corpus = np.array([number for document in documents for number in (*encoded(document), numbers.getrandbits(64))], np.uint64)
    by_length: dict[int, tuple[list[str], list[np.ndarray]]] = {}
    for row in items.select(["item", "variant", "context", "target", "gold"]).to_pylist():
        words = encoded(row["context"] + row["target"]) if row["gold"] and not row["variant"] else []
        if least_words <= len(words) <= len(corpus):
            names, texts = by_length.setdefault(len(words), ([], []))
            names.append(row["item"])
            texts.append(_Runs(np.array(words, np.uint64)).of(len(words)))
    runs, found = _Runs(corpus), set()
    for length, (names, texts) in by_length.items():
        wanted = np.unique(np.concatenate(texts))
        present = runs.of(length)
        place = np.minimum(np.searchsorted(wanted, present), len(wanted) - 1)
        there = np.isin(np.concatenate(texts), wanted[place[wanted[place] == present]])
        found |= {name for name, is_there in zip(names, there) if is_there}
    return sorted(found)


class _Runs:
    """The hashes of all runs of words: that of words[i : i + n] is the sum of words[i + j] * BASE^j, modulo 2^64."""

    def __init__(self, words: np.ndarray):
        powers = np.cumprod(np.full(len(words), BASE, np.uint64))  # wraps around by design, as all that follows
        self.sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(words * powers, dtype=np.uint64)])
        self.inverses = np.cumprod(np.full(len(words), pow(BASE, -1, 2**64), np.uint64))

    def of(self, length: int) -> np.ndarray:
        """Every run of `length` words: (N - length + 1,) uint64."""
        return (self.sums[length:] - self.sums[:-length]) * self.inverses[: len(self.sums) - length]
