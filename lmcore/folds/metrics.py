"""From scores to the metrics that git tracks.

Scores tables go in; `MODEL.json` {suite: {metric: value}} and intervals come out.

- Decisions (`accuracy` and its variants, `length_baseline`, probabilities of a target) are means
  over groups of the groups' means (macro); `accuracy_micro` is the mean over items. Sums over a
  corpus (`bits_per_byte`, perplexities, `entropy` and `probability` of a token) are one ratio.
- `perplexity` is per token, but for a `completion` suite it is per target, as LAMBADA's is
  published. `word_perplexity` is per word, `byte_perplexity` per byte.
- `accuracy_PART` of BLiMP, for each field and phenomenon (lmcore.suites.blimp_terms): the mean over
  its paradigms, as the accuracy is that over all. The official report by field pools the pairs
  instead, which differs where paradigms are of unequal size.
- If items share clusters, intervals and standard errors are over clusters, and say `n_clusters`
  (see lmcore.statistics.clusters). A median has none there.
- For a suite with classes: `confusion_TRUE_as_FOUND` counts cases, and precision, recall and F1
  follow (see lmcore.folds.classification).
- `n_unknown` and `n_dropped_bytes`, where they are not 0: what the tokenizer does not represent of
  the suite's texts (see lmcore.folds.fold).
- The draws of a random model are averaged within each item first. Items that begin alike share its
  random numbers, so its interval is no narrower than what the draws' group means say.
- For a masked LM `pseudo_perplexity`, `pseudo_bits_per_byte` and so on, which compare only with
  those of other masked LMs.
- `convention` names how the suite was scored, and what it overrides.

A metric that has an interval is rounded to what its standard error supports, so that the last bits
of another processor do not show. The headline metrics, one for each suite, are written once more to
a small file for each model: they are what DVC shows and compares.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import NormalDist
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lmcore.files import rounded, whole, write_json
from lmcore.folds.fold import PSEUDO, refuse_orphans
from lmcore.folds.reading import READING
from lmcore.folds.scores import Scores
from lmcore.params.ranges import Digits, OpenShare
from lmcore.params.scored import suites_of_model
from lmcore.statistics.bayes import beta_interval
from lmcore.statistics.clusters import macro_by_cluster, shared
from lmcore.statistics.intervals import shares
from lmcore.statistics.stats import (
    Estimate,
    effective_items,
    interval,
    macro,
    median_interval,
    ratio,
    wilson,
)
from lmcore.suites.blimp_terms import parts_of
from lmcore.suites.conventions import convention_of
from lmcore.suites.declare import classes_of, kind_of, task_of


def _same(value: float) -> float:
    return value


def _perplexity(logprob: float) -> float:
    return math.exp(-logprob)


# for the scores that are summed over the corpus: {score: {metric: how it follows from the ratio}}
RATIOS: dict[str, dict[str, Callable[[float], float]]] = {
    "logprob": {"perplexity": _perplexity},
    "target_logprob": {"perplexity": _perplexity},
    "surprisal_per_byte": {"bits_per_byte": _same, "byte_perplexity": math.exp2},
    "surprisal_per_word": {"word_perplexity": math.exp2},
}
CORPUS_RATIOS = RATIOS | {"entropy": {"entropy": _same}, "probability": {"probability": _same}}
for _name, _metrics in RATIOS.items():
    CORPUS_RATIOS[PSEUDO + _name] = {PSEUDO + metric: change for metric, change in _metrics.items()}
# means that have no bounds; an item of weight 0 does not count
PLAIN = READING
COUNTS = {
    "tie": "n_ties",
    "windowed": "n_windowed",
    "unknown": "n_unknown",
    "dropped_bytes": "n_dropped_bytes",
}


# the headline metric of each kind of suite
HEADLINES = {
    "pairs": "accuracy",
    "choices": "accuracy",
    "completion": "accuracy",
    "text": "bits_per_byte",
    "graded": "spearman",
    "reading": "eye_tracking",
}
IntervalOfShares = Literal["student", "bayes"]  # see `share_interval`
STEPS_OF_SE = 50  # a metric is written in steps of at most a fiftieth of its standard error


@dataclass
class _Report:
    """The metrics of one scores table, and the intervals of those that have one."""

    values: dict[str, float] = field(default_factory=dict)
    intervals: dict[str, dict] = field(default_factory=dict)

    def add(
        self,
        name: str,
        estimate: Estimate,
        bounds: tuple[float, float] | None,
        change: Callable[[float], float] = _same,
    ) -> None:
        """Add a metric, with its interval where there are `bounds`.

        `change` turns the mean and its bounds into the metric's unit. The standard error is that of
        the mean, and so it is left out where the unit changes.
        """
        self.values[name] = change(estimate.mean)
        if bounds is not None:
            low, high = sorted(map(change, bounds))
            self.intervals[name] = {"low": low, "high": high, "n": estimate.n}
            if change is _same and estimate.se is not None:
                self.intervals[name]["se"] = estimate.se
            recorded = {"n_clusters": estimate.n_clusters, "n_effective": estimate.n_effective}
            for key, value in recorded.items():
                if value is not None:
                    self.intervals[name] |= {"df": estimate.df, key: value}


def aggregate(
    models: list[str],
    suites: dict[str, dict],
    scores: Path,
    out: Path,
    intervals: Path,
    headlines: Path,
    *,
    confidence: OpenShare,
    digits: Digits,
    interval: IntervalOfShares = "student",
) -> None:
    """Write `out`/MODEL.json and `headlines`/MODEL.json for every model, and the file `intervals`.

    `out` holds {suite: {metric: value}}, `intervals` {model: {suite: {metric: interval}}} and
    `headlines` {suite: value of its headline metric}, with `n_ties`, the sum over suites, where
    there are any. `interval` is the one of decisions, see `share_interval`. In the file it is {low,
    high, se, n}; that of a ratio over items of unequal size has its degrees of freedom `df` and the
    effective number of items `n_effective`, too, and that over clusters `df` and `n_clusters`.
    Numbers without a standard error have `digits` significant digits; for the others see
    `rounded_by_se`.

    Raises InputError where a scores table is missing, or where `scores` holds a model or suite that
    is not asked for.
    """
    refuse_orphans(scores, models, suites)
    all_intervals: dict[str, dict] = {}
    with whole(out) as folder, whole(headlines) as headline_folder:
        for model in models:
            values: dict[str, dict] = {}
            shown: dict[str, float] = {}
            n_ties = 0
            for suite, entry in suites_of_model(suites, model).items():
                classes = classes_of(suite, entry, kind_of(suite, entry))
                metrics, bounds = suite_metrics(
                    scores / model / f"{suite}.parquet",
                    confidence,
                    classes,
                    interval,
                    parts_of(task_of(suite, entry)),
                )
                metrics, bounds = rounded_by_se(metrics, bounds, confidence, digits)
                shown[suite] = metrics[headline(kind_of(suite, entry), metrics)]
                n_ties += metrics.get("n_ties", 0)
                values[suite] = {**metrics, "convention": convention_of(suite, entry or {})["name"]}
                all_intervals.setdefault(model, {})[suite] = bounds
            write_json(values, folder / f"{model}.json")
            if n_ties:
                shown["n_ties"] = n_ties
            write_json(shown, headline_folder / f"{model}.json")
        write_json(all_intervals, intervals)


def headline(kind: str, metrics: dict) -> str:
    """The headline metric of a suite of this kind, by its name in the `metrics` of a model.

    Those of a masked LM may hold its pseudo_ form instead.
    """
    name = HEADLINES[kind]
    return PSEUDO + name if name not in metrics and PSEUDO + name in metrics else name


def rounded_by_se(
    metrics: dict, intervals: dict[str, dict], confidence: float, digits: int
) -> tuple[dict, dict]:
    """Metrics and their intervals, rounded to what the standard error of each supports.

    The step is the greatest power of ten that is at most a fiftieth of the standard error. Where
    the interval has none, it is taken from the interval's width. A number without an interval, or
    with one of width 0, is rounded to `digits` significant digits. A metric without a
    standard error, and its bounds, keep three significant digits at least.
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    values, bounds = rounded(metrics, digits), rounded(intervals, digits)
    for name, interval_of_name in intervals.items():
        width = interval_of_name["high"] - interval_of_name["low"]
        se = interval_of_name.get("se", width / (2 * z))
        if not se > 0:
            continue
        decimals = math.ceil(-math.log10(se / STEPS_OF_SE))
        # a perplexity and its lower bound may be far smaller than the interval is wide
        is_skewed = "se" not in interval_of_name
        values[name] = _to_decimals(metrics[name], decimals, is_skewed)
        for key in ("low", "high", "se"):
            if key in interval_of_name:
                bounds[name][key] = _to_decimals(interval_of_name[key], decimals, is_skewed)
    return values, bounds


def _to_decimals(value: float, decimals: int, keep_three: bool) -> float:
    """A number rounded to so many decimals, or to three significant digits at least.

    A whole one becomes an int.
    """
    if keep_three and value > 0:
        decimals = max(decimals, 2 - math.floor(math.log10(value)))
    value = round(value, decimals)
    return int(value) if float(value).is_integer() else value


def suite_metrics(
    source: pa.Table | Path,
    confidence: float,
    classes: Sequence[str] = (),
    method: IntervalOfShares = "student",
    parts: Mapping[str, Collection[str]] | None = None,
) -> tuple[dict, dict]:
    """The metrics of a scores table, or of the one at a path, and their intervals.

    These are {metric: value}, and {metric: interval} of those metrics that have one, with the keys
    that `aggregate` names; `classes` as in the suite, `method` as in `share_interval`. `parts` are
    {name: groups}, whose accuracy is a metric of its own; a part without items has none.
    """
    scores = Scores(source)
    report = _Report()
    for name in scores.metrics:
        _add_score(report, name, scores, confidence, method, parts or {})
    if classes:
        _add_classification(report, scores, list(classes), confidence)
    return report.values, report.intervals


def _add_score(
    report: _Report,
    name: str,
    scores: Scores,
    confidence: float,
    method: IntervalOfShares,
    parts: Mapping[str, Collection[str]],
) -> None:
    """Add the metrics that follow from the score `name`, of which alone the columns are read."""
    columns = scores.columns(name)
    if not report.values:
        report.values["n_items"] = len(columns["values"])
        if scores.n_draws > 1:
            report.values["n_draws"] = scores.n_draws
    if name in COUNTS:
        report.values[COUNTS[name]] = float(columns["values"].sum())
    elif name == "rank":
        _add_median_rank(report, columns, confidence)
    elif name in CORPUS_RATIOS:
        _add_corpus_ratios(report, name, columns, scores.metrics, confidence)
    elif not name.startswith("confusion_"):
        estimate = widened(mean_of(columns), scores, name)
        _add_mean(report, name, columns, estimate, confidence, method)
        if name == "accuracy":
            for part, groups in parts.items():
                _add_part(report, part, groups, scores, columns, confidence, method)


def _add_median_rank(report: _Report, columns: dict[str, np.ndarray], confidence: float) -> None:
    """Add the median of the items' ranks; its interval only where items come in no clusters."""
    ranks = columns["values"]
    report.values["median_rank"] = float(np.median(ranks))
    if "clusters" in columns:
        return
    low, high = median_interval(ranks, confidence)
    report.intervals["median_rank"] = {"low": low, "high": high, "n": len(ranks)}


def _add_corpus_ratios(
    report: _Report,
    name: str,
    columns: dict[str, np.ndarray],
    metrics: list[str],
    confidence: float,
) -> None:
    """Add what follows from the score `name`, which is summed over the corpus.

    columns: the score's values and weights; metrics: those that the suite has.
    """
    pseudo = PSEUDO if name.startswith(PSEUDO) else ""
    if name == f"{pseudo}logprob" and f"{pseudo}target_logprob" in metrics:
        return  # the perplexity of a completion suite is per target
    is_running_text = f"{pseudo}surprisal_per_word" in metrics
    estimate = mean_of(columns, are_one_group=True)
    for metric, change in CORPUS_RATIOS[name].items():
        if metric.endswith("byte_perplexity") and not is_running_text:
            continue  # it is published for running text alone
        report.add(metric, estimate, interval(estimate, confidence), change)


def _add_mean(
    report: _Report,
    name: str,
    columns: dict[str, np.ndarray],
    estimate: Estimate,
    confidence: float,
    method: IntervalOfShares,
) -> None:
    """Add the macro mean of a score; for `accuracy` also the micro mean.

    The score lies between 0 and 1, or is Spearman's correlation, or one of PLAIN.

    columns: the score's values, weights and groups; estimate: the macro mean; method: as in
    `share_interval`.
    """
    values, groups = columns["values"], columns["groups"]
    if name in PLAIN:
        columns = of_items(columns, columns["weights"] > 0)
        estimate = mean_of(columns) if estimate.n > len(columns["values"]) else estimate
        report.add(name, estimate, interval(estimate, confidence))
        return
    if name == "spearman":
        bounds = interval(estimate, confidence)
        report.add(name, estimate, bounds and (max(-1.0, bounds[0]), min(1.0, bounds[1])))
        return
    report.add(name, estimate, share_interval(values, estimate, confidence, groups, method))
    if name == "accuracy":
        micro = mean_of(columns, are_one_group=True)
        bounds = share_interval(values, micro, confidence, method=method)
        report.add("accuracy_micro", micro, bounds)


def _add_part(
    report: _Report,
    part: str,
    groups: Collection[str],
    scores: Scores,
    accuracy: dict[str, np.ndarray],
    confidence: float,
    method: IntervalOfShares,
) -> None:
    """Add the accuracy on these groups alone, if the scores have any of them.

    accuracy: its columns, of all groups.
    """
    numbers = [number for number, group in enumerate(scores.groups) if group in groups]
    is_inside = np.isin(accuracy["groups"], numbers)
    if not is_inside.any():
        return
    columns = of_items(accuracy, is_inside)
    columns["groups"] = np.unique(columns["groups"], return_inverse=True)[1]
    estimate = widened(mean_of(columns), scores, "accuracy", numbers)
    bounds = share_interval(columns["values"], estimate, confidence, columns["groups"], method)
    report.add(f"accuracy_{part}", estimate, bounds)


def _add_classification(
    report: _Report, scores: Scores, classes: list[str], confidence: float
) -> None:
    """Add the confusion matrix, and precision, recall and F1."""
    # scikit-learn takes a second to import
    from lmcore.folds.classification import classification_metrics

    cells = {
        name: scores.columns(name)["values"]
        for name in scores.metrics
        if name.startswith("confusion_")
    }
    clusters = scores.columns(scores.metrics[0]).get("clusters")
    counts, estimates = classification_metrics(cells, classes, clusters)
    report.values.update(counts)
    for name, estimate in estimates.items():
        report.add(name, estimate, _cut_to_shares(interval(estimate, confidence)))


def of_items(columns: dict[str, np.ndarray], rows: np.ndarray) -> dict[str, np.ndarray]:
    """One metric's `columns` (see lmcore.folds.scores) of these items alone."""
    chosen = {name: column[rows] for name, column in columns.items()}
    clusters = shared(chosen.pop("clusters", None))
    return chosen if clusters is None else chosen | {"clusters": clusters}


def mean_of(columns: dict[str, np.ndarray], are_one_group: bool = False) -> Estimate:
    """The macro mean of one metric's `columns` (see lmcore.folds.scores), over clusters if any.

    With `are_one_group`, it is the ratio over all items.
    """
    values, weights, groups = columns["values"], columns["weights"], columns["groups"]
    if "clusters" in columns:
        groups = 0 * groups if are_one_group else groups
        return macro_by_cluster(values, weights, groups, columns["clusters"])
    return ratio(values, weights) if are_one_group else macro(values, weights, groups)


def widened(
    estimate: Estimate, scores: Scores, metric: str, groups: list[int] | None = None
) -> Estimate:
    """A macro mean with its standard error over draws, where that is greater than over items.

    groups: the numbers of those groups that count, by default all.
    """
    n_draws = scores.n_draws
    if n_draws == 1 or estimate.se is None:
        return estimate
    rows = scores.rows(metric, ["draw", "value"])
    if groups is not None:
        rows = rows.filter(pc.is_in(rows["group"], pa.array(groups, pa.int32())))
    means = rows.group_by(["group", "draw"], use_threads=False).aggregate([("value", "mean")])
    means = means.sort_by([("group", "ascending"), ("draw", "ascending")])
    by_draw = means["value_mean"].to_numpy().reshape(-1, n_draws)  # (groups, draws)
    over_draws = float(np.sqrt((by_draw.var(1, ddof=1) / n_draws).sum()) / len(by_draw))
    return estimate._replace(se=max(estimate.se, over_draws))


def share_interval(
    values: np.ndarray,
    estimate: Estimate,
    confidence: float,
    groups: np.ndarray | None = None,
    method: IntervalOfShares = "student",
) -> tuple[float, float] | None:
    """The interval of a mean of numbers between 0 and 1.

    It is Wilson's for yes and no in one group, else Student's, cut at 0 and 1. With the method
    `bayes`, it is that of the beta posterior for yes and no in any number of groups. (A value of
    1/2 is a tie. Means over several draws are not yes and no.) Student's has no width where yes and
    no do not vary within any group. Then it is Wilson's of the clusters, or of so many items as
    would tell as much in one group.
    """
    groups = np.zeros(len(values), np.int64) if groups is None else groups
    are_decisions = np.isin(values, (0, 0.5, 1)).all()
    is_clustered = estimate.n_clusters is not None
    if are_decisions and not is_clustered and method == "bayes":
        return beta_interval(np.bincount(groups, values), np.bincount(groups), confidence)
    if are_decisions and not is_clustered and not groups.any():
        return wilson(values.sum(), len(values), confidence)
    if are_decisions and estimate.se == 0:
        n = estimate.n_clusters or effective_items(shares(np.ones(len(values)), groups))
        return wilson(estimate.mean * n, n, confidence)
    return _cut_to_shares(interval(estimate, confidence))


def _cut_to_shares(bounds: tuple[float, float] | None) -> tuple[float, float] | None:
    """The bounds, cut at 0 and 1."""
    return bounds and (max(0.0, bounds[0]), min(1.0, bounds[1]))
