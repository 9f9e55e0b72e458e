"""The report's tables of metrics: what the stage aggregate wrote goes in, HTML comes out.

They are the headline metrics at the top, every metric at the end, and what the metrics mean.
"""

import json
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

from lmcore.errors import InputError
from lmcore.folds.metrics import headline
from lmcore.params.scored import suites_of_model
from lmcore.report.best import OPEN, Pairs, Standing, standing
from lmcore.report.layout import macros
from lmcore.report.terms import (
    KINDS,
    METRICS,
    Cell,
    cell,
    label,
    unit_of,
    written,
    written_range,
)
from lmcore.statistics.stats import FEW_ITEMS
from lmcore.suites.declare import declared_subset, kind_of


class Results(NamedTuple):
    """What the page shows, by model and suite in the order of params.

    A suite may be of a part of the models alone.
    """

    models: list[str]
    kinds: dict[str, str]  # suite: kind
    metrics: dict[str, dict[str, dict]]  # model: suite: metric: value
    intervals: dict[str, dict[str, dict]]  # model: suite: metric: low and high
    confidence: float
    subsets: dict[str, str]  # suite: which part of a benchmark it is; empty for a whole one

    def scored(self, suite: str) -> list[str]:
        """The models that were scored on a suite, one at least."""
        return [model for model in self.models if suite in self.metrics[model]]

    def bounds(self, model: str, suite: str, name: str) -> tuple[float, float] | None:
        """The interval of a metric that has one.

        The length baseline has none: it is a property of the items, and no estimate.
        """
        interval = self.intervals[model][suite].get(name)
        if not interval or name == "length_baseline":
            return None
        return interval["low"], interval["high"]

    def about_items(self, suite: str) -> list[str]:
        """The sentences on a suite whose items share clusters, or whose texts are unequal.

        The latter is said where they count like fewer than FEW_ITEMS of equal size. Models may
        differ in which bytes they represent; the smallest number counts.
        """
        sentences, found = [], []
        models = self.scored(suite)
        what = f"{self.metrics[models[0]][suite].get('n_items', 0):,} texts"
        for model in models:
            bounds = self.intervals[model][suite].get(self.headline_name(model, suite), {})
            if "n_effective" in bounds:
                found.append(bounds["n_effective"])
            if "n_clusters" in bounds:
                what = f"{bounds['n_clusters']:,} clusters"
                sentences = [f"Its items lie in {what}, and its ranges are over these."]
        if found and min(found) < FEW_ITEMS:
            sentences.append(
                f"Its {what} differ in size and count like {min(found):.1f} of equal size: ranges"
                " are rough, and only large differences between models can show."
            )
        return sentences

    def headline_name(self, model: str, suite: str) -> str:
        """The headline metric of the suite, by its name in the model's metrics."""
        return headline(self.kinds[suite], self.metrics[model][suite])


class Strip(NamedTuple):
    """A value on the line below it, each in per cent of the line."""

    value: float
    interval: tuple[float, float] | None  # None where it is not known
    baseline: float | None  # the length baseline, if there is one


class Headline(NamedTuple):
    """The headline metric of a model on a suite, in words and drawn."""

    value: str  # with its unit
    range: str
    strip: Strip
    baseline: str  # the length baseline; empty where there is none
    name: str  # the metric's, where it is another than the column's
    mark: str  # how the model stands to the best of the suite


def read_results(
    models: list[str],
    suites: dict[str, dict],
    metrics: Path,
    intervals: Path,
    confidence: float,
) -> Results:
    """What the stage aggregate wrote of `models` on `suites`.

    Raises InputError, naming the file, where a model, a suite or its headline metric is missing.
    """
    kinds = {suite: kind_of(suite, entry) for suite, entry in suites.items()}
    by_model = {model: read_json(metrics / f"{model}.json", "aggregate") for model in models}
    all_intervals = read_json(intervals, "aggregate")
    for model in models:
        for suite in suites_of_model(suites, model):
            values = by_model[model].get(suite, {})
            if headline(kinds[suite], values) not in values:
                raise InputError(
                    f"{metrics / f'{model}.json'}: suite '{suite}' has no"
                    f" '{KINDS[kinds[suite]][0]}'; run the stage aggregate"
                )
            if suite not in all_intervals.get(model, {}):
                raise InputError(
                    f"{intervals}: nothing of model '{model}' on suite '{suite}'; "
                    "run the stage aggregate"
                )
    subsets = {suite: declared_subset(suite, entry) for suite, entry in suites.items()}
    return Results(models, kinds, by_model, all_intervals, confidence, subsets)


def read_json(path: Path, stage: str) -> dict:
    """The JSON that `stage` wrote. Raises InputError naming both."""
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file; run the stage {stage}") from error
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: not JSON: {error}; run the stage {stage}") from error


def results_table(results: Results, pairs: Pairs) -> Markup:
    """Models by suites: the headline metric of each with its interval.

    The length baseline stands below an accuracy. `pairs` say which models cannot be told from the
    best.
    """
    notes, questions = [], {}
    standings = {suite: _standing(results, suite, pairs) for suite in results.kinds}
    for suite, kind in results.kinds.items():
        metric, questions[suite] = KINDS[kind]
        note = f"{label(metric)} {'↓' if kind == 'text' else '↑'}"
        subset = results.subsets[suite]
        notes.append(f"{note}, {subset}" if subset else note)
    rows: dict[str, list[Headline | None]] = {}
    for model in results.models:
        rows[model] = []
        for suite in results.kinds:
            is_there = suite in results.metrics[model]
            found = _headline(results, model, suite, standings[suite]) if is_there else None
            rows[model].append(found)
    sentences = {}
    for suite, its_standing in standings.items():
        said = its_standing.sentences() if its_standing else []
        sentences[suite] = results.about_items(suite) + said
    suites = list(results.kinds)
    return macros(__name__).results_table(suites, notes, rows, questions, sentences, OPEN)


def all_metrics(suite: str, results: Results) -> Markup:
    """All metrics of one suite, folded away: one row for each metric, one column for each model."""
    places = {name: place for place, name in enumerate(METRICS)}
    models = results.scored(suite)
    names: set[str] = set()
    for model in models:
        names.update(results.metrics[model][suite])
    names.discard("convention")
    rows = []
    for name in sorted(names, key=lambda name: (places.get(name, len(places)), name)):
        cells = [_metric_cell(results, model, suite, name) for model in models]
        rows.append((label(name), cells))
    convention = results.metrics[models[0]][suite].get("convention")
    subset = results.subsets[suite]
    return macros(__name__).all_metrics(suite, subset, convention, models, rows)


def definitions(results: Results) -> Markup:
    """What each metric on the page means."""
    used: set[str] = set()
    for model in results.models:
        for metrics in results.metrics[model].values():
            used.update(metrics)
    return macros(__name__).definitions([METRICS[name] for name in METRICS if name in used])


def _standing(results: Results, suite: str, pairs: Pairs) -> Standing | None:
    """How the models stand that have the metric of the suite's column."""
    kind = results.kinds[suite]
    column, _ = KINDS[kind]
    values = {}
    for model in results.scored(suite):
        if results.headline_name(model, suite) == column:
            values[model] = results.metrics[model][suite][column]
    return standing(values, column, suite, pairs, lower_is_better=kind == "text")


def _headline(results: Results, model: str, suite: str, standing: Standing | None) -> Headline:
    """The headline metric of a model on a suite."""
    metrics, name = results.metrics[model][suite], results.headline_name(model, suite)
    value, baseline = metrics[name], metrics.get("length_baseline")
    bounds, end = results.bounds(model, suite, name), _end_of_line(results, suite)
    interval = bounds and (_per_cent(bounds[0] / end), _per_cent(bounds[1] / end))
    return Headline(
        value=written(name, value) + unit_of(name),
        range=written_range(name, bounds),
        strip=Strip(_per_cent(value / end), interval, None if baseline is None else 100 * baseline),
        baseline="" if baseline is None else written(name, baseline),
        name="" if name == KINDS[results.kinds[suite]][0] else label(name),
        mark=standing.mark(model) if standing else "",
    )


def _per_cent(share: float) -> float:
    """A share of the line in per cent of it, not beyond its ends."""
    return 100 * min(max(share, 0.0), 1.0)


def _end_of_line(results: Results, suite: str) -> float:
    """What the right end of the line below a headline metric stands for.

    It is 1 for a share and a correlation; in a column of bits per byte, or of reading times, it is
    the largest value or upper bound.
    """
    if results.kinds[suite] not in ("text", "reading"):
        return 1.0
    candidates = []
    for model in results.scored(suite):
        name = results.headline_name(model, suite)
        _, high = results.bounds(model, suite, name) or (0, 0)
        candidates += [high, results.metrics[model][suite][name]]
    return max(candidates) or 1.0


def _metric_cell(results: Results, model: str, suite: str, name: str) -> Cell | None:
    """One metric of a model on a suite; None where the model lacks it."""
    value = results.metrics[model][suite].get(name)
    return None if value is None else cell(name, value, results.bounds(model, suite, name))
