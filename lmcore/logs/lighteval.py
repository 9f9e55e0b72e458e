"""Details of lighteval, written with `--save-details`.

A Parquet file `details_TASK_TIME.parquet` goes in, and its Evaluation comes out. The model's name
is in results_TIME.json, beside it or above. The rows of a file are in no order, so items have the
document's own id.
"""

import json
import re
from pathlib import Path
from typing import Any

from lmcore.errors import InputError
from lmcore.files import read_json_object
from lmcore.logs.evaluation import Evaluation, Item, Options, Printed, finite
from lmcore.logs.runs import TIME, Run, newest_runs, short_name
from lmcore.suites.records import Row, read_records
from lmcore.text_files import described

TOOL = "lighteval"
NAME = re.compile(rf"details_(?P<task>.+)_{TIME}\.parquet")
MOST_RESULTS = 1 << 28  # bytes of results_TIME.json
UP = 4  # the folders above a file in which its results are looked for


def matches(path: Path) -> bool:
    """Whether a file is named as lighteval names the details of a task."""
    return NAME.fullmatch(path.name) is not None


def read(paths: list[Path]) -> list[Evaluation]:
    """The evaluations in files of details, one for each model and task, of the newest run.

    Raises InputError for a file that cannot be read, or has not the columns of lighteval 0.10 and
    later, naming the row.
    """
    runs, notes = newest_runs(paths, NAME, _results, _model)
    evaluations = [_evaluation(run) for run in runs]
    evaluations[0].notes += notes
    return evaluations


def _results(path: Path, time: str) -> dict[str, Any]:
    """The results of the run that wrote these details; empty where the file is nowhere."""
    name, expected = f"results_{time}.json", "the results of lighteval"
    for folder in path.parents[:UP]:
        # lighteval writes details/MODEL/TIME/ and results/MODEL/ side by side
        for file in (folder / name, *sorted(folder.glob(f"results/**/{name}"))):
            if file.is_file():
                return read_json_object(file, expected, MOST_RESULTS)
    return {}


def _settings(results: dict[str, Any]) -> dict[str, Any]:
    """The settings of the model."""
    return (results.get("config_general") or {}).get("model_config") or {}


def _model(path: Path, results: dict[str, Any]) -> str:
    return short_name(str(_settings(results).get("model_name") or path.parent.name))


def _evaluation(run: Run) -> Evaluation:
    figures = (run.results.get("results") or {}).get(run.task) or {}
    printed = {}
    for name, value in figures.items():
        if not name.endswith("_stderr") and isinstance(value, int | float):
            se = figures.get(f"{name}_stderr")
            printed[name] = Printed(float(value), se if isinstance(se, int | float) else None)
    dtype = _settings(run.results).get("dtype")
    items = [_item(row) for row in read_records(run.path)]
    return Evaluation(
        TOOL, run.model, run.task, run.path, items, printed=printed, dtype=dtype and str(dtype)
    )


def _item(row: Row) -> Item:
    """The item of a row. Raises InputError for details of a lighteval before 0.10."""
    for column in ("doc", "metric", "model_response"):
        if not isinstance(row.get(column), dict):
            raise InputError(
                f"{row.where}: expected details of lighteval 0.10 or later, with the columns doc,"
                f" metric and model_response; {column} is {described(row.get(column))}"
            )
    document = row.nested("doc")
    values = {}
    for name, value in row.nested("metric").items():
        if isinstance(value, int | float):
            values[name] = (finite(value, f"{row.where}: metric {name}"), 1.0)
    asked = [document.get(name) for name in ("query", "choices", "gold_index")]
    return Item(
        id=str(document.value("id")),
        content=json.dumps(asked, ensure_ascii=False),
        values=values,
        options=_options(document, row.nested("model_response")),
    )


def _options(document: Row, response: Row) -> Options | None:
    """The options with their log-probs; None where the task has none."""
    choices, logprobs = document.get("choices") or [], response.get("logprobs") or []
    gold = document.get("gold_index")
    if len(choices) < 2 or len(logprobs) != len(choices) or gold is None:
        return None
    tokens = response.get("output_tokens") or []
    n_tokens = [len(ids) for ids in tokens] if len(tokens) == len(choices) else None
    numbers = gold if isinstance(gold, list) else [gold]
    texts = [str(choice) for choice in choices]
    return Options(texts, [float(value) for value in logprobs], numbers, n_tokens)
