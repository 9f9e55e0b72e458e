"""What fine-tuned classifiers predicted on GLUE, as BabyLM collects and scores it.

The table predictions.parquet of the stage finetune_classifier goes in. Where it holds several
seeds, a submission holds one of them: the published one, 42, or else the first.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lmcore.errors import InputError

COLUMNS = ("id", "seed", "predicted", "gold")
PUBLISHED_SEED = 42


class Classified(NamedTuple):
    """One task's predictions by seed; ids are line numbers of the validation file, from 0."""

    ids: np.ndarray  # (N,) int64
    seeds: list[int]  # sorted
    predicted: np.ndarray  # (seeds, N) int64
    gold: np.ndarray  # (N,) int64

    @property
    def submitted(self) -> np.ndarray:
        """(N,): the predictions that are handed in."""
        is_there = PUBLISHED_SEED in self.seeds
        return self.predicted[self.seeds.index(PUBLISHED_SEED) if is_there else 0]

    @property
    def is_right(self) -> np.ndarray:
        """(seeds, N) float: 1 where a prediction is right, and else 0."""
        return (self.predicted == self.gold).astype(float)


def glue_predictions(path: Path, task: str) -> list[dict[str, Any]]:
    """[{"id": "TASK_0", "pred": label}] of one seed, in the order of the file's lines."""
    labels = read_classified(path).submitted.tolist()
    return [{"id": f"{task}_{number}", "pred": label} for number, label in enumerate(labels)]


def f1_of_one(predicted: np.ndarray, gold: np.ndarray) -> float:
    """The F1 of class 1; 0 where it is neither predicted nor there."""
    n_hits = int(((predicted == 1) & (gold == 1)).sum())
    n_claimed = int((predicted == 1).sum() + (gold == 1).sum())
    return 2 * n_hits / n_claimed if n_claimed else 0.0


def read_classified(path: Path) -> Classified:
    """The table of one task. Raises InputError where it lacks a column, a line or a label."""
    try:
        table = pq.read_table(path, partitioning=None)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{path}: not a readable Parquet table: {error}") from error
    for name in COLUMNS:
        if name not in table.column_names:
            found = ", ".join(table.column_names)
            raise InputError(f"{path}: column '{name}' is missing; columns are {found}")
    table = table.sort_by([("seed", "ascending"), ("id", "ascending")])
    seeds = sorted(set(table["seed"].to_pylist()))
    ids = table["id"].to_numpy()
    n_lines = len(ids) // max(len(seeds), 1)
    if not n_lines or not np.array_equal(ids, np.tile(np.arange(n_lines), len(seeds))):
        raise InputError(
            f"{path}: expected the lines 0, 1, … of the validation file once for each of"
            f" {len(seeds)} seeds; run the stage finetune_classifier"
        )
    gold = _labels(table, "gold", path)
    return Classified(
        ids=ids[:n_lines],
        seeds=seeds,
        predicted=_labels(table, "predicted", path).reshape(len(seeds), n_lines),
        gold=gold[:n_lines],
    )


def _labels(table: pa.Table, name: str, path: Path) -> np.ndarray:
    """A column of labels as whole numbers, which is what BabyLM's files hold."""
    try:
        return table[name].cast(pa.int64()).to_numpy()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(
            f"{path}: column '{name}' must hold whole numbers, the labels of BabyLM's files"
        ) from error
