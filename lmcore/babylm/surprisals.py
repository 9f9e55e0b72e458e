"""Surprisals as BabyLM collects them: of words that people read, and of words that children learn.

Scores go in. Surprisals are in nats.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import stats

from lmcore.babylm_year import revision_name
from lmcore.errors import InputError
from lmcore.folds.fold import PSEUDO
from lmcore.folds.metrics import mean_of
from lmcore.folds.scores import Scores
from lmcore.tables import ITEMS, SCORES, read

SURPRISAL = "surprisal"
PREVIOUS = "previous_surprisal"
TARGET = "target_logprob"
# the official names of lmcore.folds.reading's scores, which are in per cent
OFFICIAL = {"spr": "self_paced", "rt": "eye_tracking"}


def reading_predictions(scores: Path) -> list[dict[str, Any]]:
    """[{"id": 0, "pred": nats, "prev_pred": nats}] of a scores table, in the order of its items.

    `prev_pred` is NaN for an item that has no `previous_surprisal`, or one of weight 0: no word
    precedes it. Raises InputError where an item has no `surprisal`.
    """
    table = read(scores, SCORES)
    items = sorted(pc.unique(table["item"]).to_pylist())
    words, previous = of_metric(table, SURPRISAL), of_metric(table, PREVIOUS)
    for item in items:
        if item not in words:
            raise InputError(
                f"{scores}: item '{item}' has no metric '{SURPRISAL}'; expected the task `reading`"
            )
    return [
        {"id": number, "pred": words[item], "prev_pred": previous.get(item, math.nan)}
        for number, item in enumerate(items)
    ]


def reading_scores(scores: Path) -> dict[str, float]:
    """{"spr", "rt"}: what surprisal explains of self-paced reading and eye tracking, as a share.

    Empty where the table lacks them.
    """
    by_metric = Scores(scores)
    if any(metric not in by_metric.metrics for metric in OFFICIAL.values()):
        return {}
    return {
        name: mean_of(by_metric.columns(metric), are_one_group=True).mean / 100
        for name, metric in OFFICIAL.items()
    }


def of_metric(scores: pa.Table, metric: str) -> dict[str, float]:
    """{item: the value under a metric, of the first draw}, without those of weight 0.

    A masked LM's metric is looked up as pseudo_METRIC, too.
    """
    is_asked = pc.is_in(scores["metric"], pa.array([metric, PSEUDO + metric]))
    chosen = scores.filter(
        pc.and_(pc.and_(is_asked, pc.greater(scores["weight"], 0)), pc.equal(scores["draw"], 0))
    )
    return dict(zip(chosen["item"].to_pylist(), chosen["value"].to_pylist()))


def acquisition(
    scores: Mapping[int, Path], items: Path, model: str, least_contexts: int
) -> dict[str, Any]:
    """The content of AoA_word/surprisal.json: of each checkpoint, word and context its surprisal.

    scores: {words read: the scores table of that checkpoint}. Words with fewer than
    `least_contexts` contexts, and of a single letter, are left out, as there. Where the items have
    no contexts, as under the default of 2025, the file says so. Raises InputError where a
    checkpoint lacks the score of an item.
    """
    rows = read(items, ITEMS).to_pylist()
    is_without = not any(row["context"] for row in rows)
    words: dict[str, list[dict]] = {}
    for row in rows:
        words.setdefault(row["group"], []).append(row)
    asked = {
        word: contexts
        for word, contexts in words.items()
        if len(word) > 1 and len(contexts) >= least_contexts
    }
    results = []
    for n_words, path in sorted(scores.items()):
        logprobs = of_metric(read(path, SCORES), TARGET)
        for word, contexts in asked.items():
            for number, row in enumerate(contexts):
                results.append(
                    {
                        "step": revision_name(n_words),
                        "word_count": n_words,
                        "target_word": word,
                        "context_id": number,
                        "context": "BOS_ONLY" if is_without else row["context"].strip(),
                        "surprisal": -_of_item(logprobs, row["item"], path),
                    }
                )
    metadata = {
        "model_name": model,
        "use_bos_only": is_without,
        "total_steps": len(scores),
        "completed_steps": len(scores),
    }
    return {"metadata": metadata, "results": results}


def _of_item(values: Mapping[str, float], item: str, path: Path) -> float:
    if item not in values:
        raise InputError(
            f"{path}: item '{item}' has no metric '{TARGET}'; expected the task `aoa`, scored on"
            " the same items as the other checkpoints"
        )
    return values[item]


def spearman(a: list[float], b: list[float]) -> float:
    """Spearman's correlation; NaN where all numbers of a side are equal."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return math.nan
    return float(stats.spearmanr(a, b)[0])
