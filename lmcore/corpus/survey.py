"""What a corpus is made of, before anything is trained: words by domain, and what stands twice.

The documents of every split go in. Counts come out. Lines are compared letter by letter, by hashes
of 64 bits; two different lines are taken for the same with a chance of about n^2 / 2^65. Short
lines ("Yeah.") repeat by nature, so lines of at least LONG words are counted apart: one of them
that stands twice was copied.
"""

import hashlib
from typing import NamedTuple

import numpy as np

LONG = 8  # words


class _Lines(NamedTuple):
    """The lines of a split that are not empty, one value of each array for each."""

    hashes: np.ndarray  # (N,) uint64
    words: np.ndarray  # (N,) int64
    domains: np.ndarray  # (N,) int64, the place of the domain among the sorted ones


def survey(splits: dict[str, list[dict]]) -> dict[str, dict]:
    """{split: counts} of the rows of DOCUMENTS of every split; `train` must be among them.

    The counts of a split are:

    - `documents`, `words` and `lines`, which are not empty;
    - `long_lines`: the lines of at least LONG words;
    - `repeated_lines`, `repeated_long_lines`: those that stand earlier in the split, too;
    - `lines_in_train`, `long_lines_in_train`: those that stand in the train split, too. Train
      itself has none of these two;
    - `domains`: {domain: `documents`, `words`, `share` of the split's words, `lines`,
      `repeated_lines`}. A line counts as repeated in the domain where it stands again.
    """
    train = _lines(splits["train"])
    found = {}
    for split, rows in splits.items():
        lines = train if split == "train" else _lines(rows)
        is_long, is_repeated = lines.words >= LONG, _repeated(lines.hashes)
        counts: dict = {
            "documents": len(rows),
            "words": int(lines.words.sum()),
            "lines": len(lines.words),
            "long_lines": int(is_long.sum()),
            "repeated_lines": int(is_repeated.sum()),
            "repeated_long_lines": int((is_repeated & is_long).sum()),
        }
        if split != "train":
            is_in_train = np.isin(lines.hashes, train.hashes)
            counts["lines_in_train"] = int(is_in_train.sum())
            counts["long_lines_in_train"] = int((is_in_train & is_long).sum())
        counts["domains"] = _by_domain(rows, lines, is_repeated)
        found[split] = counts
    return found


def _by_domain(rows: list[dict], lines: _Lines, is_repeated: np.ndarray) -> dict[str, dict]:
    """The counts of every domain of a split."""
    domains = _domains(rows)
    n_documents = dict.fromkeys(domains, 0)
    for row in rows:
        n_documents[row["group"]] += 1
    found = {}
    for place, domain in enumerate(domains):
        is_here = lines.domains == place
        words = int(lines.words[is_here].sum())
        found[domain] = {
            "documents": n_documents[domain],
            "words": words,
            "share": round(words / max(1, int(lines.words.sum())), 4),
            "lines": int(is_here.sum()),
            "repeated_lines": int(is_repeated[is_here].sum()),
        }
    return found


def _domains(rows: list[dict]) -> list[str]:
    return sorted({row["group"] for row in rows})


def _lines(rows: list[dict]) -> _Lines:
    """The lines of a split, in order."""
    places = {domain: place for place, domain in enumerate(_domains(rows))}
    hashes, words, domains = [], [], []
    for row in rows:
        for line in row["text"].split("\n"):
            if n_words := len(line.split()):
                hashes.append(_hash(line))
                words.append(n_words)
                domains.append(places[row["group"]])
    kinds = (np.uint64, np.int64, np.int64)
    arrays = zip((hashes, words, domains), kinds, strict=True)
    return _Lines(*(np.array(values, kind) for values, kind in arrays))


def _hash(line: str) -> int:
    """64 bits that stand for a line; whitespace at its ends does not count."""
    digest = hashlib.blake2b(line.strip().encode("utf-8", "surrogatepass"), digest_size=8)
    return int.from_bytes(digest.digest(), "little")


def _repeated(hashes: np.ndarray) -> np.ndarray:
    """(N,) bool: which of the `hashes` (N,) stand earlier among them."""
    _, first = np.unique(hashes, return_index=True)
    is_repeated = np.ones(len(hashes), bool)
    is_repeated[first] = False
    return is_repeated
