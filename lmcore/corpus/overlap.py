"""Which items a model may have read: an items table and the text it was trained on go in, what of the items stands there word for word
comes out: whole texts (`items_in`), or runs of n words (`overlap`).

Compared are runs of words in lower case, without regard to punctuation and layout. A run of words is hashed as a polynomial modulo 2^64 in
random numbers, one a word, so that all runs of one length are looked up at once; two different runs are taken for one with a chance of
about n^2 / 2^64.
"""

import hashlib
import random
import re
from collections.abc import Iterable
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa

from lmcore.corpus.documents import read_documents
from lmcore.errors import InputError
from lmcore.files import rounded, write_json
from lmcore.params.ranges import Count
from lmcore.tables import ITEMS, read

BASE = 0x9E3779B97F4A7C15  # odd, so that powers of it never vanish


def count_overlap(suites: list[str], items: Path, corpus: Path, out: Path, *, n: Count) -> None:
    """Write {suite: `overlap`} of the train split of `corpus` and every suite, in runs of `n` words."""
    tables = {suite: read(items / f"{suite}.parquet", ITEMS) for suite in suites}
    documents = (row["text"] for row in read_documents(corpus / "train.parquet"))
    write_json(rounded(overlap(documents, tables, n), 6), out)


def items_in(documents: Iterable[str], items: pa.Table, least_words: int = 4) -> list[str]:
    """The items of which a gold text (context and target) of at least `least_words` words stands in one of the documents."""
    codes: dict[str, int] = {}
    numbers = random.Random(0)

    def encoded(text: str) -> list[int]:
        return [codes.setdefault(word, numbers.getrandbits(64)) for word in _words(text)]

    # a number of its own behind each document: no run that crosses it is a text's
    corpus = np.array(
        [
            number
            for document in documents
            for number in (*encoded(document), numbers.getrandbits(64))
        ],
        np.uint64,
    )
    by_length: dict[int, tuple[list[str], list[np.ndarray]]] = {}
    for row in items.select(["item", "variant", "context", "target", "gold"]).to_pylist():
        words = (
            encoded(row["context"] + row["target"]) if row["gold"] and not row["variant"] else []
        )
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


def overlap(
    documents: Iterable[str], suites: dict[str, pa.Table], n: int
) -> dict[str, dict[str, float]]:
    """For each suite its `n_items`; `n_items_with_overlap`, of which a gold text shares a run of `n` words with a document; the share of
    all its such runs that do (`run_share`); and `n_items_too_short` to have any, which are not in the other counts.

    Source: Brown et al. 2020, appendix C (overlaps of 13 words, over all that a benchmark's example holds).
    """
    if n < 1:
        raise InputError(f"the overlap must be of at least 1 word, not {n}")
    known = np.unique(
        np.concatenate(
            [np.zeros(0, np.uint64), *runs_of([_words(document) for document in documents], n)]
        )
    )
    found = {}
    for suite, items in suites.items():
        rows = items.select(["item", "variant", "context", "target", "gold"]).to_pylist()
        texts = {
            row["item"]: _words(row["context"] + row["target"])
            for row in rows
            if row["gold"] and not row["variant"]
        }
        runs = runs_of(list(texts.values()), n)
        ends = np.cumsum([0, *map(len, runs)])
        is_known = np.isin(np.concatenate([np.zeros(0, np.uint64), *runs]), known)
        found[suite] = {
            "n_items": len(texts),
            "n_items_too_short": sum(len(run) == 0 for run in runs),
            "n_items_with_overlap": sum(
                bool(is_known[start:end].any()) for start, end in pairwise(ends)
            ),
            "run_share": float(is_known.mean()) if len(is_known) else 0.0,
        }
    return found


def runs_of(texts: list[list[str]], length: int) -> list[np.ndarray]:
    """The hashes of the runs of `length` words of each text: (words - length + 1,) uint64, or empty; equal runs have equal hashes."""
    sizes = np.array([len(words) for words in texts], np.int64)
    every = _Runs(np.array([_code(word) for words in texts for word in words], np.uint64))
    runs = every.of(length) if sizes.sum() >= length else np.zeros(0, np.uint64)
    starts = np.cumsum(sizes) - sizes
    return [runs[start : start + max(0, size - length + 1)] for start, size in zip(starts, sizes)]


@cache
def _code(word: str) -> int:
    """64 bits that stand for a word."""
    return int.from_bytes(
        hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little"
    )


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


class _Runs:
    """The hashes of all runs of words: that of words[i : i + n] is the sum of words[i + j] * BASE^j, modulo 2^64."""

    def __init__(self, words: np.ndarray):
        powers = np.cumprod(
            np.full(len(words), BASE, np.uint64)
        )  # wraps around by design, as all that follows
        self.sums = np.concatenate(
            [np.zeros(1, np.uint64), np.cumsum(words * powers, dtype=np.uint64)]
        )
        self.inverses = np.cumprod(np.full(len(words), pow(BASE, -1, 2**64), np.uint64))

    def of(self, length: int) -> np.ndarray:
        """Every run of `length` words: (N - length + 1,) uint64."""
        return (self.sums[length:] - self.sums[:-length]) * self.inverses[: len(self.sums) - length]
