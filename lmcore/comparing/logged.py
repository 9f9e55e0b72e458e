"""Logs of other tools in the pipeline: scores tables, metrics with intervals, and comparisons.

A folder of logs goes in (see lmcore.logs.open). Every model in it is compared with one of them on
every suite that both have, as lmcore.comparing.model_pairs compares the pipeline's own models.
"""

import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lmcore.comparing.comparison import (
    LOWER_IS_BETTER,
    Comparison,
    Side,
    align,
    compare,
    judge,
    read_side,
    same_bytes,
)
from lmcore.comparing.model_pairs import as_json
from lmcore.comparing.settings import Settings
from lmcore.errors import InputError
from lmcore.files import rounded, whole, write_json
from lmcore.folds.metrics import mean_of, share_interval
from lmcore.logs.evaluation import Evaluation
from lmcore.logs.headline import headline
from lmcore.logs.open import read_logs
from lmcore.params.ranges import Line
from lmcore.statistics.stats import interval
from lmcore.tables import columns_there, write

NAME_IN_PATH = re.compile(r"[^\x00-\x1f\x7f\\]{1,200}")


def import_logs(
    out: Path,
    metrics: Path,
    settings: Settings,
    digits: int,
    *,
    path: Line,
    answers: Line | None = None,
    against: Line | None = None,
    metric: Line | None = None,
) -> None:
    """Write `out`/MODEL/SUITE.parquet, tables SCORES, and `metrics`.

    path: a file or folder of logs; answers: what BabyLM predictions answer; against: the model that
    the others are compared with, by default the first; metric: of the comparisons, by default the
    headline of each suite; digits: significant digits in `metrics`.

    `metrics` is {"models": {model: {suite: {metric: {value, low, high, n}}}}, "comparisons":
    {MODEL_vs_AGAINST: {suite: comparison}}}. A `/` in a name becomes `--` in paths.

    Raises InputError for logs that cannot be read, for a model or metric that is not there, and for
    models that were not asked the same items.
    """
    evaluations = read_logs(Path(path), None if answers is None else Path(answers))
    models = list(dict.fromkeys(evaluation.model for evaluation in evaluations))
    if against is not None and against not in models:
        raise InputError(f"{path}: there is no model '{against}'; there are {', '.join(models)}")
    base = against or models[0]
    files = _files(evaluations)
    values: dict[str, dict] = {}
    with whole(out) as folder:
        folder.mkdir()
        for file, evaluation in files.items():
            table = evaluation.scores()
            write(table, table.schema, folder / file)
            of_model = values.setdefault(evaluation.model, {})
            of_model[evaluation.task] = _metrics(evaluation, table, settings.confidence)
    comparisons = _comparisons(evaluations, base, metric, settings)
    found = {"models": values, "comparisons": comparisons}
    write_json(rounded(found, digits), metrics)


def _files(evaluations: list[Evaluation]) -> dict[str, Evaluation]:
    """{MODEL/SUITE.parquet: its evaluation}.

    Raises InputError for a name that is none of a file, and for two names of one file: logs may say
    anything.
    """
    files: dict[str, Evaluation] = {}
    for evaluation in evaluations:
        for name in (evaluation.model, evaluation.task):
            if not NAME_IN_PATH.fullmatch(name) or name.strip(".") == "":
                raise InputError(
                    f"{evaluation.source}: {name!r} cannot be the name of a file; expected a model"
                    " and a task of printable characters, without a backslash"
                )
        names = [name.replace("/", "--") for name in (evaluation.model, evaluation.task)]
        file = f"{names[0]}/{names[1]}.parquet"
        if file in files:
            raise InputError(
                f"{evaluation.source}: {evaluation.model} on {evaluation.task} would be the same"
                f" file as {files[file].model} on {files[file].task}: {file}"
            )
        files[file] = evaluation
    return files


def _metrics(
    evaluation: Evaluation, table: pa.Table, confidence: float
) -> dict[str, dict[str, float]]:
    """{metric: {value, low, high, n}} of a scores table; a single item has no interval."""
    found = {}
    for metric in evaluation.metrics():
        side = side_of(table, metric, evaluation.source)
        means = side.values.mean(0)
        groups = np.unique(side.groups, return_inverse=True)[1]
        columns = {"values": means, "weights": side.weights, "groups": groups}
        if side.clusters is not None:
            columns["clusters"] = side.clusters
        estimate = mean_of(columns)
        bounds = interval(estimate, confidence)
        if ((means >= 0) & (means <= 1)).all():
            bounds = share_interval(means, estimate, confidence, groups)
        found[metric] = {"value": estimate.mean, "n": estimate.n}
        if bounds is not None:
            found[metric] |= {"low": bounds[0], "high": bounds[1]}
    return found


def _comparisons(
    evaluations: list[Evaluation], base: str, metric: str | None, settings: Settings
) -> dict[str, dict[str, Any]]:
    """{MODEL_vs_AGAINST: {suite: comparison}}, judged together."""
    by_key = {(evaluation.model, evaluation.task): evaluation for evaluation in evaluations}
    lower = {name for evaluation in evaluations for name in evaluation.lower_is_better}
    lower_is_better = (*LOWER_IS_BETTER, *sorted(lower))
    names: list[tuple[str, str]] = []
    comparisons: list[Comparison] = []
    for (model, suite), evaluation in by_key.items():
        other = by_key.get((base, suite))
        if model == base or other is None:
            continue
        chosen = headline(other, evaluation, [metric] if metric else None)
        a, b, _ = align(
            side_of(other.scores(), chosen, other.source),
            side_of(evaluation.scores(), chosen, evaluation.source),
            common=False,
            what=f"{base} and {model} on {suite}",
        )
        a, b = same_bytes(a, b, chosen)
        names.append((f"{model}_vs_{base}", suite))
        rules = settings.for_compare() | {"lower_is_better": lower_is_better}
        comparisons.append(compare(a, b, chosen, **rules))
    judged = judge(
        comparisons,
        correction=settings.correction,
        margin=settings.margin or {},
        lower_is_better=lower_is_better,
        **settings.for_judge(),
    )
    found: dict[str, dict[str, Any]] = {}
    for (pair, suite), comparison in zip(names, judged, strict=True):
        found.setdefault(pair, {})[suite] = as_json(comparison)
    return found


def side_of(table: pa.Table, metric: str, source: Path) -> Side:
    """What a scores table has under a metric; `source` is the log, for messages."""
    return read_side(partial(columns_there, table), [metric], str(source), {})[1]
