"""The report's section on groups: scores of pairs go in, a figure and a table come out."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

from lmcore.errors import InputError
from lmcore.figures.intervals import by_group
from lmcore.figures.specification import Field, Figure, Rows
from lmcore.folds.metrics import mean_of, of_items, share_interval
from lmcore.folds.scores import Scores
from lmcore.report.figures import drawn
from lmcore.report.layout import macros
from lmcore.report.results import Results
from lmcore.report.terms import Cell, written, written_range


class Mark(NamedTuple):
    """A model's accuracy on a group."""

    value: float
    interval: tuple[float, float] | None  # None where it is not known
    baseline: float | None  # the length baseline, if there is one
    n_items: int


def accuracy_by_group(suite: str, results: Results, scores: Path) -> Markup:
    """Accuracy by group (paradigm) and model of one suite of pairs.

    Empty for other kinds of suites and where there is a single group. Raises InputError, naming the
    file, where a model lacks the accuracy or has other groups than the first model.
    """
    if results.kinds[suite] != "pairs":
        return Markup("")
    by_model = []
    models = results.scored(suite)
    for model in models:
        path = scores / model / f"{suite}.parquet"
        by_model.append(_group_marks(path, results.confidence))
        _refuse_other_groups(path, set(by_model[-1]), set(by_model[0]), models[0])
    first = by_model[0]
    groups = sorted(first, key=lambda group: (-first[group].value, group))
    if len(groups) < 2:
        return Markup("")
    rows, table = {}, {}
    for group, name in group_names(groups).items():
        rows[name] = [marks[group] for marks in by_model]
        table[name] = [_cell(mark) for mark in rows[name]]
    level, figure = f"{100 * results.confidence:g}", _figure(suite, rows, models, results.models)
    plot = drawn(figure, table=False)
    return macros(__name__).accuracy_by_group(suite, level, models, plot, table)


def group_names(groups: list[str]) -> dict[str, str]:
    """What the page calls each group: its name with spaces for underscores.

    Groups that would then have the same name keep their own.
    """
    spaced = {group: group.replace("_", " ") for group in groups}
    counts = Counter(spaced.values())
    return {group: name if counts[name] == 1 else group for group, name in spaced.items()}


def _figure(
    suite: str, marks: dict[str, list[Mark]], models: list[str], all_models: list[str]
) -> Figure:
    """The accuracies by group, each group's in the order of `models`."""
    rows: Rows = []
    for group, of_group in marks.items():
        for model, mark in zip(models, of_group, strict=True):
            row = {"group": group, "model": model, "accuracy": mark.value, "n": mark.n_items}
            if mark.interval:
                row |= {"accuracy_low": mark.interval[0], "accuracy_high": mark.interval[1]}
            if mark.baseline is not None:
                row["length_baseline"] = mark.baseline
            rows.append(row)
    has_baseline = any("length_baseline" in row for row in rows)
    return by_group(
        f"groups-{suite}",
        f"Accuracy of every model on every group of {suite}, with intervals",
        rows,
        Field("accuracy", "accuracy", ".1%"),
        Field("group", "group"),
        Field("model", "model"),
        all_models,
        groups=list(marks),
        baseline=Field("length_baseline", "length baseline", ".1%") if has_baseline else None,
        more=[Field("n", "items", ",")],
    )


def _refuse_other_groups(path: Path, groups: set[str], expected: set[str], model: str) -> None:
    """Raises InputError where the groups of the scores in `path` are not those of `model`."""
    if missing := sorted(expected - groups):
        raise InputError(
            f"{path}: no group '{missing[0]}', which the scores of model '{model}' have; "
            "run the stage fold_scores"
        )
    if unknown := sorted(groups - expected):
        raise InputError(
            f"{path}: a group '{unknown[0]}', which the scores of model '{model}' lack; "
            "run the stage fold_scores"
        )


def _group_marks(path: Path, confidence: float) -> dict[str, Mark]:
    """One model's accuracy by group."""
    scores = Scores(path)
    if "accuracy" not in scores.metrics:
        raise InputError(f"{path}: no scores of metric 'accuracy'; run the stage fold_scores")
    accuracy, baselines = scores.columns("accuracy"), None
    if "length_baseline" in scores.metrics:
        baselines = scores.columns("length_baseline")
    marks = {}
    for number, group in enumerate(scores.groups):
        rows = accuracy["groups"] == number
        values = accuracy["values"][rows]
        estimate = mean_of(of_items(accuracy, rows), are_one_group=True)
        bounds = share_interval(values, estimate, confidence)
        baseline = float(baselines["values"][rows].mean()) if baselines else None
        marks[group] = Mark(estimate.mean, bounds, baseline, len(values))
    return marks


def _cell(mark: Mark) -> Cell:
    """A mark as numbers, in a table of per cent."""
    return Cell(written("accuracy", mark.value), written_range("accuracy", mark.interval))
