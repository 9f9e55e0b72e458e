"""The report's section on groups: scores of pairs go in, a figure and a table come out."""

from collections import Counter
from pathlib import Path

from markupsafe import Markup

from lmcore.errors import InputError
from lmcore.folds.metrics import mean_of, of_items, share_interval
from lmcore.folds.scores import Scores
from lmcore.report.figures import dot_plot
from lmcore.report.layout import macros
from lmcore.report.results import Results
from lmcore.report.terms import Cell, written, written_range
from lmcore.svg import Mark


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
        by_model.append(_group_marks(model, path, results.confidence))
        _refuse_other_groups(path, set(by_model[-1]), set(by_model[0]), models[0])
    first = by_model[0]
    groups = sorted(first, key=lambda group: (-first[group].value, group))
    if len(groups) < 2:
        return Markup("")
    rows, table = {}, {}
    for group, name in group_names(groups).items():
        rows[name] = [marks[group] for marks in by_model]
        table[name] = [_cell(mark) for mark in rows[name]]
    level, plot = f"{100 * results.confidence:g}", dot_plot(rows, models, 0.5)
    return macros(__name__).accuracy_by_group(suite, level, models, plot, table)


def group_names(groups: list[str]) -> dict[str, str]:
    """What the page calls each group: its name with spaces for underscores.

    Groups that would then have the same name keep their own.
    """
    spaced = {group: group.replace("_", " ") for group in groups}
    counts = Counter(spaced.values())
    return {group: name if counts[name] == 1 else group for group, name in spaced.items()}


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


def _group_marks(model: str, path: Path, confidence: float) -> dict[str, Mark]:
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
        title = f"{model} {100 * estimate.mean:.1f} %"
        if bounds is not None:
            title += f" ({100 * bounds[0]:.0f} – {100 * bounds[1]:.0f})"
        marks[group] = Mark(estimate.mean, bounds, baseline, title)
    return marks


def _cell(mark: Mark) -> Cell:
    """A mark as numbers, in a table of per cent."""
    return Cell(written("accuracy", mark.value), written_range("accuracy", mark.interval))
