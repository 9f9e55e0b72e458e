"""Predictions in the format in which BabyLM's evaluation pipeline of 2024 scores submissions.

Items and tokens go in. JSON comes out:

{task: {subtask: {"predictions": [{"id": "subtask_0", "pred": " The sentence."}, …]}}}

The predictions of a subtask stand in the order of the lines of its file, by which the pipeline's
score_predictions.py aligns them. If options are tied, the first is the prediction. What belongs to
one task is also what the pipeline of 2025 expects in that task's predictions.json, under the
convention babylm2025.

Source: collect_results.py and score_predictions.py of babylm/evaluation-pipeline-2024.
"""

import gzip
import json
from pathlib import Path

from lmcore.babylm.decisions import decisions
from lmcore.errors import InputError
from lmcore.files import whole
from lmcore.suites.declare import TASKS

# {the name of a suite here: the name of the task there}
NAMES = {
    "blimp_filtered": "blimp",
    "blimp_supplement": "blimp_supplement",
    "ewok": "ewok",
}


def export_babylm(items: Path, tokens: Path, out: Path, *, draw: int = 0) -> dict[str, int]:
    """Write a model's predictions on those suites that the pipeline knows.

    Returns {suite: the number of its predictions}.

    `items` is the folder of items, and `tokens` the folder of the model's tokens. `out` ends with
    .json, or with .json.gz, which the pipeline wants. `draw` is that of a random model.

    Raises InputError where there is no such suite or where a suite has no tokens. It is raised,
    too, for a suite that is not whole, and for a suite whose items have ids of their own: their
    predictions could not be aligned.
    """
    predictions, counts = {}, {}
    for suite, task in NAMES.items():
        path = items / f"{suite}.parquet"
        if path.exists():
            chosen = [decision.row for decision in decisions(path, tokens / suite, draw)]
            predictions[task] = _task(chosen, suite)
            counts[suite] = len(chosen)
    if not predictions:
        raise InputError(
            f"{items}: none of the suites {', '.join(NAMES)}; "
            "name one in params.yaml and run the pipeline"
        )
    content = json.dumps(predictions, ensure_ascii=False, sort_keys=True).encode()
    with whole(out) as path:
        path.write_bytes(gzip.compress(content, mtime=0) if out.suffix == ".gz" else content)
    return counts


def _task(chosen: list[dict], suite: str) -> dict:
    """{subtask: its predictions}, from the chosen row of each item.

    Raises InputError for a suite that is not whole, and as `_prediction`.
    """
    n_published = TASKS[suite].n_items if suite in TASKS else None
    if n_published is not None and len(chosen) != n_published:
        raise InputError(
            f"suite '{suite}' has {len(chosen):,} of {n_published:,} items; "
            "predictions are exported for a whole suite, without `limit`"
        )
    rows_by_group: dict[str, list[dict]] = {}
    for row in chosen:
        rows_by_group.setdefault(row["group"], []).append(row)
    subtasks = {}
    for group, rows in rows_by_group.items():
        predictions = [_prediction(group, number, row, suite) for number, row in enumerate(rows)]
        subtasks[group] = {"predictions": predictions}
    return subtasks


def _prediction(group: str, number: int, row: dict, suite: str) -> dict:
    """The prediction with this number in its group.

    Raises InputError where the item's id does not have this number.
    """
    _, *path, name = row["item"].split("/")
    if path != [group] or not name.isdigit() or int(name) != number:
        raise InputError(
            f"suite '{suite}': item '{row['item']}' is not {suite}/{group}/{number:04d}; "
            "items with ids of their own lose the file's order"
        )
    return {"id": f"{group}_{number}", "pred": row["target"]}
