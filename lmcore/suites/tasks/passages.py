"""Passages of the training text against passages held out: the corpus goes in, records of kind choices come out, each a pair of passages.

Option 0 is a passage of the train split, option 1 one of the test split: as many words, and as near as can be had in the mean log
frequency of its words and in its characters. The first `context_words` are the context, the rest the target. The group says how often the
passage stands in the train split: `seen_1`, `seen_2`, `seen_3_or_more`; the one held out does not stand there at all. A model that has
learnt passages by heart finds the first likelier than the second, and goes on with it to the letter.

Source: Carlini et al. 2023, Quantifying Memorization Across Neural Language Models, https://arxiv.org/abs/2202.07646 (extraction by prefix,
by the number of occurrences).
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
GROUPS = {
    "seen_1": (1, 1),
    "seen_2": (2, 2),
    "seen_3_or_more": (3, 10**9),
}  # least and most occurrences


class Passages(NamedTuple):
    """Runs of words that do not overlap, with how often each stands in the train split and what they are matched by."""

    texts: list[list[str]]
    occurrences: np.ndarray
    features: np.ndarray  # (passages, 2): mean log frequency of a word, characters


def build(
    corpus: Path, *, n: Count, context_words: Words, target_words: Words, seed: Seed
) -> list[dict]:
    """Up to `n` pairs a group. Raises InputError where the corpus has no passage of so many words."""
    if min(n, context_words, target_words) < 1:
        raise InputError(
            f"task passages: n, context_words and target_words must be at least 1, not {n}, {context_words}, {target_words}"
        )
    size = context_words + target_words
    train, test = (paragraphs(corpus / f"{split}.parquet") for split in ("train", "test"))
    counts = word_counts([" ".join(words) for words in train])
    runs = runs_of(train, size)
    distinct, times = np.unique(np.concatenate([*runs, np.zeros(0, np.uint64)]), return_counts=True)
    seen, held = (
        _passages(texts, hashes, size, counts, distinct, times)
        for texts, hashes in ((train, runs), (test, runs_of(test, size)))
    )
    free = np.flatnonzero(held.occurrences == 0)
    if not len(seen.texts) or not len(free):
        raise InputError(
            f"{corpus}: no passage of {size} words that stands in the test split alone"
        )
    scale = np.maximum(seen.features.std(0), 1e-9)
    rng, records = random.Random(seed), []
    for group, (least, most) in GROUPS.items():
        candidates = np.flatnonzero(
            (least <= seen.occurrences) & (seen.occurrences <= most)
        ).tolist()
        for number in sorted(rng.sample(candidates, min(n, len(candidates)))):
            if not len(free):
                break
            distance = np.abs((held.features[free] - seen.features[number]) / scale).sum(1)
            partner = int(free[distance.argmin()])
            free = free[free != partner]  # every passage held out is used once
            pair = [seen.texts[number], held.texts[partner]]
            cut = [
                (" ".join(words[:context_words]), " ".join(words[context_words:])) for words in pair
            ]
            records.append(
                {
                    "group": group,
                    "context": [a for a, _ in cut],
                    "options": [b for _, b in cut],
                    "gold": 0,
                }
            )
    return records


def paragraphs(split: Path) -> list[list[str]]:
    """The paragraphs of a split's documents as lists of words: a passage crosses none, so that spaces join its words again."""
    return [
        line.split()
        for row in read_documents(split)
        for line in split_lines(row["text"])
        if line.strip()
    ]


def _passages(
    texts: list[list[str]],
    runs: list[np.ndarray],
    size: int,
    counts: Counter[str],
    distinct: np.ndarray,
    times: np.ndarray,
) -> Passages:
    """The passages of `texts`: a repeated run wherever one begins, and between them every `size` words; the same passage once.

    runs: the hashes of all runs of each text; distinct, times: those of the train split, and how often each stands there.
    """
    chosen: dict[int, tuple[list[str], int]] = {}
    for words, hashes in zip(texts, runs, strict=True):
        place = np.minimum(np.searchsorted(distinct, hashes), max(len(distinct) - 1, 0))
        found = (
            np.where(distinct[place] == hashes, times[place], 0)
            if len(distinct)
            else np.zeros(len(hashes), np.int64)
        )
        repeated = np.flatnonzero(found > 1)
        at = 0
        while at < len(hashes):
            ahead = repeated[np.searchsorted(repeated, at) :][:1]
            if len(ahead) and ahead[0] < at + size:
                at = int(ahead[0])
            chosen.setdefault(int(hashes[at]), (words[at : at + size], int(found[at])))
            at += size
    passages = [words for words, _ in chosen.values()]
    features = [
        [sum(math.log1p(counts[word.lower()]) for word in words) / size, len(" ".join(words))]
        for words in passages
    ]
    return Passages(
        passages,
        np.array([n for _, n in chosen.values()], np.int64),
        np.array(features).reshape(-1, 2),
    )
