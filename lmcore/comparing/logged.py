"""Logs of other tools in the pipeline: scores tables, metrics with intervals, and comparisons.

A folder of logs goes in (see lmcore.logs.open). Every model in it is compared with one of them on
every suite that both have, as lmcore.comparing.model_pairs compares the pipeline's own models.
"""

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

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
from lmcore.errors import InputError
from lmcore.files import rounded, whole, write_json
from lmcore.folds.metrics import mean_of, share_interval
from lmcore.logs.evaluation import Evaluation
from lmcore.logs.headline import headline
from lmcore.logs.open import read_logs
from lmcore.params.ranges import Line
from lmcore.statistics.stats import interval
from lmcore.tables import columns_there, write


class Settings(NamedTuple):
    """The keys of the section compare_models of params.yaml that these comparisons need."""

    margin: dict[str, float] | None
    confidence: float
    interval: str
    correction: str
    power: float
    resamples: int
    seed: int
    digits: int


def import_logs(
    out: Path,
    metrics: Path,
    settings: Settings,
    *,
    path: Line,
    answers: Line | None = None,
    against: Line | None = None,
    metric: Line | None = None,
) -> None:
    """Write `out`/MODEL/SUITE.parquet, tables SCORES, and `metrics`.

    path: a file or folder of logs; answers: what BabyLM predictions answer; against: the model that
    the others are compared with, by default the first; metric: of the comparisons, by default the
    headline of each suite.

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
    values: dict[str, dict] = {}
    with whole(out) as folder:
        folder.mkdir()
        for evaluation in evaluations:
            table = evaluation.scores()
            file = folder / _in_path(evaluation.model) / f"{_in_path(evaluation.task)}.parquet"
            write(table, table.schema, file)
            of_model = values.setdefault(evaluation.model, {})
            of_model[evaluation.task] = rounded(
                _metrics(evaluation, settings.confidence), settings.digits
            )
    comparisons = _comparisons(evaluations, base, metric, settings)
    write_json({"models": values, "comparisons": rounded(comparisons, settings.digits)}, metrics)


def _in_path(name: str) -> str:
    """A name as a part of a path."""
    return name.replace("/", "--")


def _metrics(evaluation: Evaluation, confidence: float) -> dict[str, dict[str, float]]:
    """{metric: {value, low, high, n}} of an evaluation; a single item has no interval."""
    found = {}
    for metric in evaluation.metrics():
        side = _side(evaluation, metric)
        means = side.values.mean(0)
        columns = {"values": means, "weights": side.weights, "groups": side.groups}
        if side.clusters is not None:
            columns["clusters"] = side.clusters
        estimate = mean_of(columns)
        bounds = interval(estimate, confidence)
        if ((means >= 0) & (means <= 1)).all():
            bounds = share_interval(means, estimate, confidence, side.groups)
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
            _side(other, chosen),
            _side(evaluation, chosen),
            common=False,
            what=f"{base} and {model} on {suite}",
        )
        a, b = same_bytes(a, b, chosen)
        names.append((f"{model}_vs_{base}", suite))
        comparisons.append(
            compare(
                a,
                b,
                chosen,
                confidence=settings.confidence,
                interval=settings.interval,
                resamples=settings.resamples,
                seed=settings.seed,
                lower_is_better=lower_is_better,
            )
        )
    judged = judge(
        comparisons,
        correction=settings.correction,
        confidence=settings.confidence,
        power=settings.power,
        margin=settings.margin or {},
        lower_is_better=lower_is_better,
    )
    found: dict[str, dict[str, Any]] = {}
    for (pair, suite), comparison in zip(names, judged, strict=True):
        found.setdefault(pair, {})[suite] = as_json(comparison)
    return found


def _side(evaluation: Evaluation, metric: str) -> Side:
    """What a model scored under a metric; its groups are numbered in the order of their names."""
    read = partial(columns_there, evaluation.scores())
    side = read_side(read, [metric], str(evaluation.source), {})[1]
    return side._replace(groups=np.unique(side.groups, return_inverse=True)[1])
