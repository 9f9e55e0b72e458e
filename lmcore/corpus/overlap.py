"""Which items a model may have read in its training data.

An items table and the text that the model was trained on go in. What of the items stands in the
text word for word comes out: the whole texts (`items_in`), or the runs of n words (`overlap`).

Runs of words are compared in lower case, regardless of punctuation and layout. Each word is a
random number, and the hash of a run is a polynomial in these numbers modulo 2^64, so all runs of
one length are looked up at once. Two different runs are taken for the same with a chance of about
n^2 / 2^64.
"""

import hashlib
import random
import re
from collections.abc import Iterable
from functools import cache
from itertools import chain, pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa

from lmcore.corpus.documents import read_documents
from lmcore.errors import InputError
from lmcore.files import rounded, write_json
from lmcore.params.ranges import Count
from lmcore.tables import ITEMS, read

BASE = 0x9E3779B97F4A7C15  # odd, so that no power of it is 0
COLUMNS = ["item", "variant", "context", "target", "gold"]


def count_overlap(suites: list[str], items: Path, corpus: Path, out: Path, *, n: Count) -> None:
    """Write the `overlap` of every suite with the train split of `corpus`, in runs of `n` words.

    The file `out` is a JSON object {suite: counts}.
    """
    tables = {suite: read(items / f"{suite}.parquet", ITEMS) for suite in suites}
    documents = (row["text"] for row in read_documents(corpus / "train.parquet"))
    write_json(rounded(overlap(documents, tables, n), 6), out)


def items_in(documents: Iterable[str], items: pa.Table, least_words: int = 4) -> list[str]:
    """The items whose gold text (context and target) stands in one of the documents.

    Texts of fewer than `least_words` words are left out.
    """
    codes = _RandomCodes()
    corpus_codes: list[int] = []
    for document in documents:
        corpus_codes += codes.of_text(document)
        # a new number behind each document: no run that crosses it equals the run of a text
        corpus_codes.append(codes.new())
    corpus = np.array(corpus_codes, np.uint64)
    by_length: dict[int, tuple[list[str], list[np.ndarray]]] = {}  # item names, hashes of texts
    for item, text in _gold_texts(items):
        words = codes.of_text(text)
        if least_words <= len(words) <= len(corpus):
            names, hashes = by_length.setdefault(len(words), ([], []))
            names.append(item)
            hashes.append(_Runs(np.array(words, np.uint64)).of(len(words)))
    runs = _Runs(corpus)
    present: set[str] = set()
    for length, (names, hashes) in by_length.items():
        is_present = _is_among(np.concatenate(hashes), runs.of(length))
        present |= {name for name, is_there in zip(names, is_present) if is_there}
    return sorted(present)


def overlap(
    documents: Iterable[str], suites: dict[str, pa.Table], n: int
) -> dict[str, dict[str, float]]:
    """How many items of each suite share a run of `n` words with a document.

    For each suite these are counted:

    - `n_items`: the items;
    - `n_items_with_overlap`: the items whose gold text shares a run of `n` words with a document;
    - `run_share`: the share of the runs of all gold texts that stand in a document;
    - `n_items_too_short`: the items whose gold text has no run of `n` words. They have no part in
      the two above.

    Raises InputError for an `n` below 1.
    Source: Brown et al. 2020, appendix C (overlaps of 13 words, over everything that an example of
    a benchmark holds).
    """
    if n < 1:
        raise InputError(f"count_overlap: n, the words of a run, must be at least 1, not {n}")
    # document by document: the words of the whole corpus take many times the memory of its runs
    runs_of_documents = [runs_of([_words(document)], n)[0] for document in documents]
    known = np.unique(_joined(runs_of_documents))
    counts = {}
    for suite, items in suites.items():
        texts = {item: _words(text) for item, text in _gold_texts(items)}
        runs = runs_of(list(texts.values()), n)
        ends = np.cumsum([0, *map(len, runs)])
        is_known = np.isin(_joined(runs), known)
        n_with_overlap = sum(bool(is_known[start:end].any()) for start, end in pairwise(ends))
        counts[suite] = {
            "n_items": len(texts),
            "n_items_too_short": sum(len(run) == 0 for run in runs),
            "n_items_with_overlap": n_with_overlap,
            "run_share": float(is_known.mean()) if len(is_known) else 0.0,
        }
    return counts


def runs_of(texts: list[list[str]], length: int) -> list[np.ndarray]:
    """The hashes of all runs of `length` words, for each text.

    One array has (words - length + 1,) uint64, or is empty. Equal runs have equal hashes.
    """
    sizes = np.array([len(words) for words in texts], np.int64)
    codes = [_code(word) for word in chain.from_iterable(texts)]
    all_runs = _Runs(np.array(codes, np.uint64))
    runs = all_runs.of(length) if sizes.sum() >= length else np.zeros(0, np.uint64)
    starts = np.cumsum(sizes) - sizes
    return [runs[start : start + max(0, size - length + 1)] for start, size in zip(starts, sizes)]


def _gold_texts(items: pa.Table) -> list[tuple[str, str]]:
    """(item, context and target) of the gold options, without variants."""
    return [
        (row["item"], row["context"] + row["target"])
        for row in items.select(COLUMNS).to_pylist()
        if row["gold"] and not row["variant"]
    ]


def _joined(runs: list[np.ndarray]) -> np.ndarray:
    """The arrays one after another; empty where there are none."""
    return np.concatenate([np.zeros(0, np.uint64), *runs])


def _is_among(hashes: np.ndarray, corpus_hashes: np.ndarray) -> np.ndarray:
    """(N,) bool: which of the `hashes` (N,) occur in `corpus_hashes`."""
    wanted = np.unique(hashes)
    place = np.minimum(np.searchsorted(wanted, corpus_hashes), len(wanted) - 1)
    return np.isin(hashes, wanted[place[wanted[place] == corpus_hashes]])


@cache
def _code(word: str) -> int:
    """64 bits that stand for a word."""
    digest = hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


class _RandomCodes:
    """A random number of 64 bits for each word, the same wherever the word stands."""

    def __init__(self) -> None:
        self.numbers = random.Random(0)
        self.codes: dict[str, int] = {}

    def new(self) -> int:
        """A number that stands for no word."""
        return self.numbers.getrandbits(64)

    def of_text(self, text: str) -> list[int]:
        """The numbers of the words of a text."""
        return [self.codes.setdefault(word, self.new()) for word in _words(text)]


class _Runs:
    """The hashes of all runs of words.

    The hash of words[i : i + n] is the sum of words[i + j] * BASE^j over j, modulo 2^64. All
    products and sums wrap around, which is intended.
    """

    def __init__(self, words: np.ndarray):
        powers = np.cumprod(np.full(len(words), BASE, np.uint64))
        sums = np.cumsum(words * powers, dtype=np.uint64)
        self.sums = np.concatenate([np.zeros(1, np.uint64), sums])
        self.inverses = np.cumprod(np.full(len(words), pow(BASE, -1, 2**64), np.uint64))

    def of(self, length: int) -> np.ndarray:
        """Every run of `length` words: (N - length + 1,) uint64."""
        return (self.sums[length:] - self.sums[:-length]) * self.inverses[: len(self.sums) - length]
