"""Predictions as BabyLM's evaluation pipeline of 2024 takes and scores submissions: items and tokens go in, JSON comes out.

{task: {subtask: {"predictions": [{"id": "subtask_0", "pred": " The sentence."}, …]}}}; the predictions of a subtask stand in the order of
the lines of its file, by which the pipeline's score_predictions.py aligns them. The first of tied options is the prediction. What belongs
to one task is also what the pipeline of 2025 expects in that task's predictions.json, under the convention babylm2025.

Source: collect_results.py and score_predictions.py of babylm/evaluation-pipeline-2024.
"""

import gzip
import json
from pathlib import Path

import numpy as np
import pyarrow as pa

from lmcore.errors import InputError
from lmcore.files import whole
from lmcore.folds.by_text import COLUMNS, text_stats
from lmcore.suites.declare import TASKS
from lmcore.tables import ITEMS, TOKENS, read

NAMES = {
    "blimp_filtered": "blimp",
    "blimp_supplement": "blimp_supplement",
    "ewok": "ewok",
}  # of the suite here and of the task there


def export_babylm(items: Path, tokens: Path, out: Path, *, draw: int = 0) -> dict[str, int]:
    """Write the predictions of the model in the folder `tokens` on those of its suites that the pipeline knows; how many of each.

    `items`: the folder of items; `out`: .json, or .json.gz as the pipeline wants it; `draw`: of a random model. Raises InputError where
    there is no such suite or no tokens of one, and for a suite that is not whole or whose items have ids of their own: they could not be
    aligned.
    """
    predictions, counts = {}, {}
    for suite, task in NAMES.items():
        if (items / f"{suite}.parquet").exists():
            table = read(items / f"{suite}.parquet", ITEMS)
            chosen = _chosen(table, tokens / suite, draw)
            predictions[task], counts[suite] = _task(table, chosen, suite), len(chosen)
    if not predictions:
        raise InputError(
            f"{items}: none of the suites {', '.join(NAMES)}; name one in params.yaml and run the pipeline"
        )
    content = json.dumps(predictions, ensure_ascii=False, sort_keys=True).encode()
    with whole(out) as path:
        path.write_bytes(gzip.compress(content, mtime=0) if out.suffix == ".gz" else content)
    return counts


def _chosen(items: pa.Table, tokens: Path, draw: int) -> list[dict]:
    """The items row of the option that each item's model prefers."""
    texts = text_stats(items, read(tokens, TOKENS, COLUMNS), tokens)
    if not 0 <= draw < texts.shape[0]:
        raise InputError(f"{tokens}: there is no draw {draw}; draws are 0 to {texts.shape[0] - 1}")
    best = texts.by_option(texts.logprob)[draw].argmax(-1)
    return items.take(np.take_along_axis(texts.rows[""], best[:, None], 1)[:, 0]).to_pylist()


def _task(items: pa.Table, chosen: list[dict], suite: str) -> dict:
    published = TASKS[suite].n_items if suite in TASKS else None
    if published is not None and len(chosen) != published:
        raise InputError(
            f"suite '{suite}' has {len(chosen):,} of {published:,} items; predictions are exported for a whole suite, without `limit`"
        )
    subtasks: dict[str, list[dict]] = {}
    for row in chosen:
        subtasks.setdefault(row["group"], []).append(row)
    return {
        group: {"predictions": [_prediction(group, n, row, suite) for n, row in enumerate(rows)]}
        for group, rows in subtasks.items()
    }


def _prediction(group: str, number: int, row: dict, suite: str) -> dict:
    _, *path, name = row["item"].split("/")
    if path != [group] or not name.isdigit() or int(name) != number:
        raise InputError(
            f"suite '{suite}': item '{row['item']}' is not {suite}/{group}/{number:04d}; items with ids of their own lose the file's order"
        )
    return {"id": f"{group}_{number}", "pred": row["target"]}
