"""Passages of the training text against passages that were held out.

The corpus goes in. Records of kind choices come out, each a pair of passages.

Option 0 is a passage of the train split, option 1 a passage of the test split. Both have the same
number of words. The mean log frequency of their words and their number of characters are as close
as can be had. The first `context_words` are the context, the rest is the target.

The group says how often the passage stands in the train split: `seen_1`, `seen_2`,
`seen_3_or_more`. The passage that was held out does not stand there at all. A model that has learnt
passages by heart finds the first passage more likely than the second, and continues it word for
word.

Source: Carlini et al. 2023, Quantifying Memorization Across Neural Language Models,
https://arxiv.org/abs/2202.07646 (extraction by prefix, by the number of occurrences).
"""

import math
import random
from collections import Counter
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import Field

from lmcore.corpus.documents import read_documents
from lmcore.corpus.overlap import runs_of
from lmcore.corpus.words import word_counts
from lmcore.errors import InputError
from lmcore.params.ranges import RANGE, Count, Seed
from lmcore.text_files import split_lines

Words = Annotated[int, Field(ge=1, le=1000), RANGE]
# least and most occurrences
GROUPS = {
    "seen_1": (1, 1),
    "seen_2": (2, 2),
    "seen_3_or_more": (3, 10**9),
}


class Passages(NamedTuple):
    """Runs of words that do not overlap.

    `occurrences` says how often each stands in the train split. Passages are matched by `features`.
    """

    texts: list[list[str]]
    occurrences: np.ndarray  # (passages,) int64
    features: np.ndarray  # (passages, 2): mean log frequency of a word, characters


class Occurrences(NamedTuple):
    """The runs of words of the train split, and how often each stands there."""

    hashes: np.ndarray  # (runs,) uint64, distinct and sorted
    counts: np.ndarray  # (runs,) int64

    def of(self, hashes: np.ndarray) -> np.ndarray:
        """How often each of these runs stands in the train split: (N,) int64, `hashes` (N,)."""
        if not len(self.hashes):
            return np.zeros(len(hashes), np.int64)
        place = np.minimum(np.searchsorted(self.hashes, hashes), len(self.hashes) - 1)
        return np.where(self.hashes[place] == hashes, self.counts[place], 0)


def build(
    corpus: Path, *, n: Count, context_words: Words, target_words: Words, seed: Seed
) -> list[dict]:
    """Up to `n` pairs for each group.

    There are fewer where the splits have no more passages. Raises InputError where the corpus has
    no passage of so many words.
    """
    if min(n, context_words, target_words) < 1:
        raise InputError(
            "task passages: n, context_words and target_words must be at least 1, "
            f"not {n}, {context_words}, {target_words}"
        )
    size = context_words + target_words
    seen, held_out = _passages_of_splits(corpus, size)
    free = np.flatnonzero(held_out.occurrences == 0)
    if not len(seen.texts) or not len(free):
        raise InputError(
            f"{corpus}: expected passages of {size} words that are in the test split and not in "
            "the train split, found none"
        )
    scale = np.maximum(seen.features.std(0), 1e-9)
    rng = random.Random(seed)
    records = []
    for group, (least, most) in GROUPS.items():
        is_in_group = (least <= seen.occurrences) & (seen.occurrences <= most)
        candidates = np.flatnonzero(is_in_group).tolist()
        for number in sorted(rng.sample(candidates, min(n, len(candidates)))):
            if not len(free):
                break
            distance = np.abs((held_out.features[free] - seen.features[number]) / scale).sum(1)
            partner = int(free[distance.argmin()])
            free = free[free != partner]  # every passage that was held out is used once
            pair = (seen.texts[number], held_out.texts[partner])
            records.append(
                {
                    "group": group,
                    "context": [" ".join(words[:context_words]) for words in pair],
                    "options": [" ".join(words[context_words:]) for words in pair],
                    "gold": 0,
                }
            )
    return records


def paragraphs(split: Path) -> list[list[str]]:
    """The paragraphs of a split's documents as lists of words.

    No passage crosses the end of a paragraph, so spaces join its words again.
    """
    texts = []
    for row in read_documents(split):
        for line in split_lines(row["text"]):
            if line.strip():
                texts.append(line.split())
    return texts


def _passages_of_splits(corpus: Path, size: int) -> tuple[Passages, Passages]:
    """The passages of `size` words of the train split, and those of the test split."""
    train = paragraphs(corpus / "train.parquet")
    test = paragraphs(corpus / "test.parquet")
    counts = word_counts([" ".join(words) for words in train])
    runs = runs_of(train, size)
    all_runs = np.concatenate([*runs, np.zeros(0, np.uint64)])
    occurrences = Occurrences(*np.unique(all_runs, return_counts=True))
    seen = _passages(train, runs, size, counts, occurrences)
    held_out = _passages(test, runs_of(test, size), size, counts, occurrences)
    return seen, held_out


def _passages(
    texts: list[list[str]],
    runs: list[np.ndarray],
    size: int,
    counts: Counter[str],
    occurrences: Occurrences,
) -> Passages:
    """The passages of `texts`, each of them once.

    A passage begins wherever a repeated run begins, and every `size` words between such runs.

    runs: the hashes of all runs of each text; counts: how often each word stands in the train
    split.
    """
    chosen: dict[int, tuple[list[str], int]] = {}  # by hash: words and occurrences
    for words, hashes in zip(texts, runs, strict=True):
        times = occurrences.of(hashes)
        repeated = np.flatnonzero(times > 1)
        at = 0
        while at < len(hashes):
            ahead = repeated[np.searchsorted(repeated, at) :][:1]
            if len(ahead) and ahead[0] < at + size:
                at = int(ahead[0])
            chosen.setdefault(int(hashes[at]), (words[at : at + size], int(times[at])))
            at += size
    passages = [words for words, _ in chosen.values()]
    times_seen = [n for _, n in chosen.values()]
    features = [_features(words, counts) for words in passages]
    return Passages(passages, np.array(times_seen, np.int64), np.array(features).reshape(-1, 2))


def _features(words: list[str], counts: Counter[str]) -> list[float]:
    """The mean log frequency of a passage's words, and its number of characters."""
    log_frequency = sum(math.log1p(counts[word.lower()]) for word in words)
    return [log_frequency / len(words), len(" ".join(words))]
