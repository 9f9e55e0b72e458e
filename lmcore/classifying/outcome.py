"""A model and a task to predictions and metrics, one fine-tuning for each seed.

The predictions of a finished seed are kept in the work folder, so a later run with one more seed
fine-tunes that one alone.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lmcore.classifying.encoding import Encoded, encode, longest, padding_of
from lmcore.classifying.finetuning import best_epoch, finetune, measures, metrics_of, predict
from lmcore.classifying.model import new_classifier, token_of
from lmcore.classifying.settings import Settings
from lmcore.classifying.tasks import TASKS, read_splits
from lmcore.files import remove, rounded, whole, write_json
from lmcore.kept_files import find, keep
from lmcore.machine.progress import Progress
from lmcore.statistics.confusion import MEASURES, over_seeds
from lmcore.statistics.stats import Estimate, interval, wilson
from lmcore.tables import CLASSIFIED, read, write
from lmcore.training import ranks

LOWEST = {"accuracy": 0.0, "f1": 0.0, "mcc": -1.0}  # the lowest value that a metric can have


def classify(
    model: Path,
    task: str,
    data: Path,
    seeds: list[int],
    items: int | None,
    settings: Settings,
    work_of: Callable[[int], Path],
    out: Path,
    metrics: Path,
    confidence: float,
    digits: int,
) -> None:
    """Fine-tune a model on a task and write `out`/predictions.parquet (CLASSIFIED) and `metrics`.

    model: its folder; data: the folder of the task's splits; items: examples in its valid split, or
    None for the published number; work_of: the work folder of a seed; digits: significant digits in
    `metrics`, which `summary` describes.

    Raises InputError for splits, a model or settings that do not fit.
    """
    training_pairs, valid_pairs = read_splits(data, task, items)
    most = longest(model, settings.max_length)
    training, valid = encode(model, training_pairs, most), encode(model, valid_pairs, most)
    tables, curves = [], {}
    for seed in sorted(seeds):
        table, curves[seed] = _of_seed(model, task, training, valid, settings, seed, work_of(seed))
        tables.append(table)
    found = pa.concat_tables(tables)
    about: dict[str, Any] = {
        "items": len(valid.ids),
        "max_length": most,
        "padding_side": settings.padding_side,
        "predicted_by": _predicted_by(settings, task),
        "token": token_of(model),
        "truncated": {"train": training.n_truncated, "valid": valid.n_truncated},
    }
    if len(valid.ids) != TASKS[task].n_valid:
        about["subset"] = f"{len(valid.ids):,} items, published {TASKS[task].n_valid:,}"
    values = about | summary(found, task, curves, confidence)
    with whole(out) as folder:
        folder.mkdir()
        write(found, CLASSIFIED, folder / "predictions.parquet")
    write_json(rounded(values, digits), metrics)


def _of_seed(
    model: Path,
    task: str,
    training: Encoded,
    valid: Encoded,
    settings: Settings,
    seed: int,
    work: Path,
) -> tuple[pa.Table, list[dict]]:
    """The predictions and the curve of one seed, kept ones where they are there."""
    with ranks.alone(work):
        table_path, curve_path = work / "predictions.parquet", work / "curve.json"
        kept_table, kept_curve = find(table_path), find(curve_path)
        if kept_table and kept_curve:
            return read(kept_table, CLASSIFIED), json.loads(kept_curve.read_text("utf-8"))
        padding = padding_of(model, settings.padding_side)
        n_labels = TASKS[task].n_labels
        classifier = new_classifier(model, n_labels, settings.dropout, padding, seed)
        label = f"{model.name} on {task}, seed {seed}"
        curve = finetune(
            classifier, TASKS[task], training, valid, padding, work, settings, seed, label
        )
        with Progress(len(valid.ids), f"{label}: predictions", "example") as progress:
            logprobs = predict(classifier, valid, padding, progress)
        table = predictions(logprobs, valid.labels, seed)
        keep(curve_path, lambda path: path.write_text(json.dumps(curve), "utf-8"))
        keep(table_path, lambda path: write(table, CLASSIFIED, path))
        for pattern in ("state_*", "step_*"):  # nobody goes on from them any more
            for file in work.glob(pattern):
                remove(file)
        return table, curve


def predictions(logprobs: np.ndarray, gold: np.ndarray, seed: int) -> pa.Table:
    """The table CLASSIFIED of one seed; of equal log-probs the first label is given.

    logprobs: (n, labels) float32; gold: (n,)
    """
    n, n_labels = logprobs.shape
    values = pa.array(np.ascontiguousarray(logprobs, np.float32).ravel())
    offsets = pa.array(np.arange(n + 1) * n_labels, pa.int32())
    columns = {
        "seed": np.full(n, seed, np.int64),
        "id": np.arange(n, dtype=np.int32),
        "gold": gold.astype(np.int16),
        "predicted": logprobs.argmax(1).astype(np.int16),
        "logprobs": pa.ListArray.from_arrays(offsets, values),
    }
    return pa.table(columns, CLASSIFIED)


def summary(
    found: pa.Table, task: str, curves: dict[int, list[dict]], confidence: float
) -> dict[str, Any]:
    """What the metrics file says of the predictions `found` of all seeds.

    - accuracy, f1 (of label 1 of two), mcc: {value, low, high}, means over seeds with their
      intervals; accuracy of one seed has Wilson's interval. Label ids are those of the data.
    - `seeds`: the same of each seed, its best epoch, and the figures of its last epoch.
    - accuracy_of_last_epoch: its mean over seeds; valid did not choose that epoch.
    - majority: the accuracy of always giving the most frequent label of valid.
    """
    n_labels, selected_by = TASKS[task].n_labels, TASKS[task].selected_by
    n_seeds = len(curves)
    gold = found["gold"].to_numpy().astype(int).reshape(n_seeds, -1)[0]
    predicted = found["predicted"].to_numpy().astype(int).reshape(n_seeds, -1)
    values: dict[str, Any] = {}
    for name in measures(n_labels):
        estimate = over_seeds(MEASURES[name], gold, predicted, n_labels)
        values[name] = {"value": estimate.mean, **_bounds(name, estimate, n_seeds, confidence)}
    by_seed = {}
    for (seed, curve), of_seed in zip(curves.items(), predicted, strict=True):
        by_seed[str(seed)] = {
            **metrics_of(gold, of_seed, n_labels),
            "best_epoch": best_epoch(curve, selected_by)["epoch"],
            "last_epoch": {name: curve[-1][name] for name in measures(n_labels)},
        }
    last = [curve[-1]["accuracy"] for curve in curves.values()]
    return {
        **values,
        "accuracy_of_last_epoch": float(np.mean(last)),
        "majority": float(np.bincount(gold).max() / len(gold)),
        "seeds": by_seed,
    }


def _bounds(name: str, estimate: Estimate, n_seeds: int, confidence: float) -> dict[str, float]:
    """`low` and `high` of a metric, empty where its items, all alike, cannot tell.

    The jackknife has no width then; Wilson's interval of a share has one.
    """
    if name == "accuracy" and (n_seeds == 1 or not estimate.se):
        low, high = wilson(estimate.mean * estimate.n, estimate.n, confidence)
        return {"low": low, "high": high}
    bounds = interval(estimate, confidence)
    if bounds is None or not estimate.se:
        return {}
    return {"low": max(bounds[0], LOWEST[name]), "high": min(bounds[1], 1.0)}


def _predicted_by(settings: Settings, task: str) -> str:
    """Which epoch's weights predict, in words."""
    if settings.keep == "last":
        return "the last epoch"
    return f"the epoch of the best {TASKS[task].selected_by} on these same items"
