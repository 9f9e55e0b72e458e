"""Logs of lm-eval (EleutherAI's harness), written with `--log_samples`.

A file `samples_TASK_TIME.jsonl`, with `results_TIME.json` beside it, goes in; Evaluations come out.
Of several runs of a task the newest is read.

Log-likelihoods are written as texts. The sample's `perplexity` is the log-likelihood of its target,
and the metrics of rolling tasks are pairs of a log-likelihood and a count: they become lmcore's
`target_logprob`, `surprisal_per_byte` and `surprisal_per_word`. Tasks of a group (blimp, mmlu) are
groups of one suite, so that its figure is the mean over them.
"""

import json
import math
import re
from pathlib import Path
from typing import Any

from lmcore.errors import InputError
from lmcore.files import read_json_object
from lmcore.logs.evaluation import Evaluation, Item, Options, Printed, finite
from lmcore.logs.runs import TIME, Run, newest_runs, short_name
from lmcore.suites.records import Row, read_records

TOOL = "lm-eval"
NAME = re.compile(rf"samples_(?P<task>.+)_{TIME}\.jsonl")
# {the metric of a rolling task: lmcore's metric}; byte_perplexity says the same as bits_per_byte
ROLLING = {"bits_per_byte": "surprisal_per_byte", "word_perplexity": "surprisal_per_word"}
SAME_AS_ANOTHER = ("byte_perplexity",)
MOST_RESULTS = 1 << 28  # bytes of results_TIME.json, which holds the settings of all tasks


def matches(path: Path) -> bool:
    """Whether a file is named as lm-eval names the samples of a task."""
    return NAME.fullmatch(path.name) is not None


def read(paths: list[Path]) -> list[Evaluation]:
    """The evaluations in files of samples, one for each model and suite.

    Raises InputError for a file that cannot be read, naming the line.
    """
    runs, notes = newest_runs(paths, NAME, _results, _model)
    suites: dict[tuple[str, str], Evaluation] = {}
    for run in runs:
        key = run.model, _suite(run.task, run.results)
        if key not in suites:
            suites[key] = _evaluation(run, key[1])
        _add(suites[key], run)
    evaluations = list(suites.values())
    evaluations[0].notes += notes
    return evaluations


def _results(path: Path, time: str) -> dict[str, Any]:
    """The results of the run that wrote these samples; empty where the file is not there."""
    beside = path.with_name(f"results_{time}.json")
    if not beside.is_file():
        return {}
    return read_json_object(beside, "the results of lm-eval", MOST_RESULTS)


def _model(path: Path, results: dict[str, Any]) -> str:
    return short_name(str(results.get("model_name") or path.parent.name))


def _suite(task: str, results: dict[str, Any]) -> str:
    """The outermost group that the task belongs to, or the task itself."""
    parents: dict[str, str] = {}
    for group, tasks in (results.get("group_subtasks") or {}).items():
        for name in tasks:
            parents.setdefault(name, group)
    seen = {task}
    while task in parents and parents[task] not in seen:
        task = parents[task]
        seen.add(task)
    return task


def _evaluation(run: Run, suite: str) -> Evaluation:
    """An evaluation without items."""
    dtype = (run.results.get("config") or {}).get("model_dtype")
    figures = (run.results.get("results") or {}).get(suite) or {}
    printed = {}
    for name, value in figures.items():
        metric, _, filtered = name.partition(",")
        if isinstance(value, int | float) and "_stderr" not in metric and filtered:
            se = figures.get(f"{metric}_stderr,{filtered}")
            label = metric if filtered == "none" else name
            printed[label] = Printed(float(value), se if isinstance(se, int | float) else None)
    return Evaluation(
        TOOL, run.model, suite, run.path, items=[], printed=printed, dtype=dtype and str(dtype)
    )


def _add(evaluation: Evaluation, run: Run) -> None:
    """Add the samples of a task to its suite."""
    is_grouped = evaluation.task != run.task
    left_out: dict[str, None] = {}
    items: dict[str, Item] = {}
    for row in read_records(run.path):
        document = str(row.value("doc_id"))
        values = _values(row, left_out)
        item = Item(
            id=f"{run.task}:{document}" if is_grouped else document,
            content=_content(row),
            values=values,
            group=run.task if is_grouped else "all",
            options=_options(row),
            prompt=str(row.get("prompt_hash") or ""),
        )
        if document in items:
            # A task with several filters writes each sample once for each of them
            before = items[document].values
            if twice := sorted(before.keys() & values.keys()):
                raise InputError(f"{row.where}: doc_id {document} has metric '{twice[0]}' twice")
            item = item._replace(values=before | values)
        items[document] = item
    evaluation.items += items.values()
    directions = (run.results.get("higher_is_better") or {}).get(run.task) or {}
    evaluation.lower_is_better |= {name for name, is_up in directions.items() if is_up is False}
    for name in left_out:
        evaluation.notes.append(f"{run.task}: {name} has no number for each item: not compared")


def _content(row: Row) -> str:
    """What the item asks: the document and its target."""
    content = row.get("doc_hash") or json.dumps(row.value("doc"), sort_keys=True)
    return f"{content} {row.get('target_hash') or row.get('target')}"


def _values(row: Row, left_out: dict[str, None]) -> dict[str, tuple[float, float]]:
    """The metrics of a sample; those that are no number are added to `left_out`."""
    filtered = str(row.get("filter", "none"))
    values = {}
    for metric in row.get("metrics") or []:
        value, name = row.get(metric), metric if filtered == "none" else f"{metric},{filtered}"
        place = row.place(metric)
        if metric in SAME_AS_ANOTHER or value is None:
            continue
        if metric in ROLLING and isinstance(value, list) and len(value) == 2:
            logprob, count = (finite(part, place) for part in value)
            values[ROLLING[metric]] = (-logprob / math.log(2) / count, count)
        elif metric == "perplexity":
            values["target_logprob"] = (finite(value, place), 1.0)
        elif isinstance(value, int | float):
            values[name] = (finite(value, place), 1.0)
        else:
            left_out[name] = None
    return values


def _options(row: Row) -> Options | None:
    """The options of a sample of multiple choice, None for any other sample."""
    responses = row.get("filtered_resps") or []
    if "acc_mutual_info" in (row.get("metrics") or []):
        responses = responses[: len(responses) // 2]  # the others are without a context
    logprobs = [_logprob(response) for response in responses]
    if len(logprobs) < 2 or None in logprobs:
        return None
    texts = _texts(row, len(logprobs))
    numbers = [logprob for logprob in logprobs if logprob is not None]
    gold = _gold(row, texts, numbers)
    return Options(texts, numbers, gold) if gold else None


def _logprob(response: object) -> float | None:
    """The log-prob of [log-prob, is greedy], which may be written as a text."""
    if not isinstance(response, list) or len(response) != 2:
        return None
    try:
        return float(response[0])
    except (TypeError, ValueError):
        return None


def _texts(row: Row, n: int) -> list[str]:
    """The texts of the options: what was scored, with its context where the contexts differ."""
    arguments = list((row.get("arguments") or {}).values())[:n]
    pairs = [(str(pair.get("arg_0", "")), str(pair.get("arg_1", ""))) for pair in arguments]
    endings = [ending for _, ending in pairs]
    if len({context for context, _ in pairs}) > 1:
        return [context + ending for context, ending in pairs]
    return endings or [str(number) for number in range(n)]


def _gold(row: Row, texts: list[str], logprobs: list[float]) -> list[int]:
    """The numbers of the right options; empty where the log does not tell."""
    n, target = len(logprobs), str(row.get("target", "")).strip()
    numbers = [int(number) for number in re.findall(r"\d+", target)]
    if re.fullmatch(r"\[?[\d, ]+\]?", target) and all(number < n for number in numbers):
        return numbers
    same = [number for number, text in enumerate(texts) if text.strip() == target]
    if len(same) == 1:
        return same
    if n == 2 and row.get("acc") in (0, 1):
        # The right one of two contexts is logged nowhere, only whether the first best one is right
        best = logprobs.index(max(logprobs))
        return [best if row.get("acc") == 1 else 1 - best]
    return []
