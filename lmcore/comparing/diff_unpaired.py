"""The difference between two revisions where the tables of a side are nowhere.

The figures that git has go in: metrics/models and metrics/intervals.json of both revisions. The
results of a diff come out.

Nothing says which item turned, so A and B are taken as two independent estimates. Both answer the
same items, which makes their difference more certain than that: the test is valid, and less sharp
than a paired one. Perplexities are compared by their logarithms, under the name of the score that
they come from, since there their intervals are symmetric. Three methods:

- `welch`: the standard error of the difference is sqrt(se_a^2 + se_b^2), its degrees of freedom
  those of Welch and Satterthwaite. Those of a side follow from its interval and standard error.
- `newcombe`, for the share of right items in one group, whose interval is Wilson's or that of its
  beta posterior: the hybrid score interval, and the two-proportion z test with the pooled share
  (Newcombe 1998, Statistics in Medicine 17, method 10; a tie is half a right item).
- `bounds`, for a median, which has bounds and no standard error: the distances of the bounds that
  face each other stand for the standard errors (Zou & Donner 2008, Statistics in Medicine 27).
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy import special

from lmcore.comparing.comparison import VERDICTS, Comparison, judge
from lmcore.comparing.diff_results import Asked, Results, Row, Scores, WithoutTables
from lmcore.comparing.settings import Settings
from lmcore.errors import InputError
from lmcore.folds.fold import PSEUDO
from lmcore.folds.metrics import STEPS_OF_SE
from lmcore.history.revisions import INTERVALS, ITEMS, METRICS, SCORES, MissingFile, Revision
from lmcore.statistics.bayes import beta_interval
from lmcore.statistics.stats import Estimate, interval, wilson

RECORDED_DIGITS = 1e-4  # relative: what rounding to a few digits may move an interval's bound by
# {recorded metric: the score that it is a function of}, where both have the same unit
RENAMED = {"bits_per_byte": "surprisal_per_byte", "median_rank": "rank"}
SAME_AS_ANOTHER = "byte_perplexity"  # two to the power of bits_per_byte, and nothing more


class Figure(NamedTuple):
    """A recorded metric in the unit of its score.

    `low` and `high` are the recorded bounds. The standard error of the estimate is None where only
    the bounds are known.
    """

    estimate: Estimate
    low: float
    high: float
    are_decisions: bool  # of one group: the interval is Wilson's, or that of the beta posterior

    @property
    def n_effective(self) -> float:
        """The effective number of its items."""
        return self.estimate.n_effective or self.estimate.n


class Unpaired(Comparison):
    """b against a as independent estimates; what only paired items tell is 0 or None."""

    __slots__ = ()

    @property
    def changed(self) -> bool:
        """Whether there is anything to judge: figures that do not differ are not compared."""
        return True

    @property
    def least_p(self) -> float:
        """No p value is too small for a test that is not over signs."""
        return 0.0


def compare_recorded(
    pairs: list[tuple[str, Scores, Scores]], asked: Asked, missing: MissingFile
) -> Results:
    """Compare the recorded figures of every model, by its name, in A and in B.

    Raises `missing` where a revision has no figures with intervals, and InputError if the items of
    all models and suites differ, or if a suite has none of the metrics asked for.
    """
    results = Results()
    a, b = pairs[0][1].revision, pairs[0][2].revision
    if not (a.intervals and b.intervals):
        raise missing
    tables = _locked_hash(a, SCORES), _locked_hash(b, SCORES)
    has_same_tables = tables[0] is not None and tables[0] == tables[1]
    others: list[Row] = []
    n_others = 0
    for name, scores_a, scores_b in pairs:
        suite = scores_a.suite
        if len(scores_a.models) > 1 or len(scores_b.models) > 1:
            kind = "average" if scores_b.are_averaged else "recipe"
            line = f"the {kind} {name} on {suite} needs the tables of its models: not compared"
            results.not_compared.append(line)
        elif has_same_tables:
            results.unchanged.append((name, suite))
        elif reason := _other_items(a, b, scores_a, scores_b):
            results.refused[name, suite] = reason
        else:
            n_others += _compare_one(name, scores_a, scores_b, asked.settings, results, others)
    if results.refused and not results.rows and not results.unchanged:
        reasons = "; ".join(dict.fromkeys(results.refused.values()))
        raise InputError(f"{reasons}; nothing else to compare")
    results.without_tables = WithoutTables(
        why=_why(pairs, has_same_tables),
        left_out=_left_out(asked),
        others=_judged_others(others, asked.settings),
        n_others=n_others,
    )
    return results


def _compare_one(
    name: str,
    scores_a: Scores,
    scores_b: Scores,
    settings: Settings,
    results: Results,
    others: list[Row],
) -> int:
    """Add one model on one suite to the results, and to `others` the metrics besides the headline.

    Returns the number of those other metrics. Raises InputError where there is no headline.
    """
    suite, draws = scores_a.suite, (_n_draws(scores_a), _n_draws(scores_b))
    figures_a, figures_b = _figures_of(scores_a), _figures_of(scores_b)
    there = [metric for metric in figures_b if metric in figures_a]
    headline = _headline(settings.metrics, there, f"{scores_b.models[0]} on {suite}")
    for metric in there:
        if figures_a[metric].estimate.mean == figures_b[metric].estimate.mean:
            if metric == headline:
                results.unchanged.append((name, suite))
            continue
        levels = (_confidence(scores_a.revision), _confidence(scores_b.revision))
        comparison, method = unpaired(
            metric, figures_a[metric], figures_b[metric], settings.confidence, levels, draws
        )
        row = Row(name, suite, comparison, n_lost=0, groups={}, items=[], method=method)
        row = row._replace(subset=scores_b.subset())
        (results.rows if metric == headline else others).append(row)
    return len(there) - 1


def _headline(metrics: list[str], there: list[str], where: str) -> str:
    """The first of `metrics`, as itself or as a pseudo_ metric, that is among those `there`."""
    for metric in metrics:
        for name in (metric, PSEUDO + metric):
            if name in there:
                return name
    raise InputError(
        f"{where}: {METRICS} has no metric {' or '.join(metrics)} with an interval;"
        f" it has {', '.join(sorted(there))}"
    )


def _judged_others(rows: list[Row], settings: Settings) -> list[Row]:
    """The rows of the other metrics with their verdicts, worst first.

    They are corrected together, as the groups of a pair are: one looks for leads in them.
    """
    comparisons = judge(
        [row.comparison for row in rows],
        correction=settings.group_correction,
        confidence=settings.confidence,
        power=settings.power,
        margin={},
    )
    judged = [row._replace(comparison=comparison) for row, comparison in zip(rows, comparisons)]

    def place(row: Row) -> tuple[int, float]:
        return VERDICTS.index(row.comparison.verdict), row.comparison.p

    return sorted(judged, key=place)


def _figures_of(scores: Scores) -> dict[str, Figure]:
    """The recorded figures of a model on a suite, as `figures`."""
    revision, model, suite = scores.revision, scores.models[0], scores.suite
    values = revision.metrics(model).get(suite, {})
    intervals = revision.intervals.get(model, {}).get(suite, {})
    return figures(values, intervals, _confidence(revision))


def figures(
    values: dict[str, Any], intervals: dict[str, dict[str, float]], confidence: float
) -> dict[str, Figure]:
    """{score: figure} of the metrics of a suite that have an interval.

    `confidence` is that of the recorded intervals.
    """
    is_completion = any(name.endswith("target_probability") for name in values)
    found = {}
    for recorded, bounds in intervals.items():
        pseudo = PSEUDO if recorded.startswith(PSEUDO) else ""
        metric = recorded.removeprefix(PSEUDO)
        if metric == SAME_AS_ANOTHER or recorded not in values:
            continue
        value = values[recorded]
        if metric == "perplexity":
            name = "target_logprob" if is_completion else "logprob"
            figure = _of_logarithms(lambda x: -math.log(x), value, bounds, confidence)
        elif metric == "word_perplexity":
            name = "surprisal_per_word"
            figure = _of_logarithms(math.log2, value, bounds, confidence)
        else:
            name = RENAMED.get(metric, metric)
            figure = _figure(value, bounds, int(bounds["n"]), confidence)
        found[pseudo + name] = figure
    return found


def _of_logarithms(
    logarithm: Callable[[float], float], value: float, bounds: dict[str, float], confidence: float
) -> Figure:
    """The figure of a perplexity, by its logarithm.

    That is a ratio over the corpus, with Student's interval. Its degrees of freedom are n - 1 where
    none are recorded.
    """
    low, high = sorted((logarithm(bounds["low"]), logarithm(bounds["high"])))
    n = int(bounds["n"])
    df = float(bounds.get("df", n - 1))
    se = (high - low) / 2 / float(special.stdtrit(df, (1 + confidence) / 2))
    estimate = Estimate(logarithm(value), se, df, n, bounds.get("n_effective"))
    return Figure(estimate, low, high, are_decisions=False)


def _figure(value: float, bounds: dict[str, float], n: int, confidence: float) -> Figure:
    """The figure of a metric that is recorded in the unit of its score."""
    low, high, se = bounds["low"], bounds["high"], bounds.get("se")
    are_decisions = _are_of_decisions(value, n, (low, high), confidence, se)
    are_decisions = are_decisions and "n_clusters" not in bounds
    df = float(bounds.get("df", n - 1))
    if se and not are_decisions and "df" not in bounds:
        # Where the interval was cut at 0 or 1, the other half is whole
        quantile = max(value - low, high - value) / se
        found = float(special.stdtridf((1 + confidence) / 2, quantile))
        if quantile > float(special.stdtrit(df, (1 + confidence) / 2)) and math.isfinite(found):
            df = min(df, found)
    estimate = Estimate(value, se, df, n, bounds.get("n_effective"))
    return Figure(estimate, low, high, are_decisions)


def _are_of_decisions(
    value: float,
    n: int,
    recorded: tuple[float, float],
    confidence: float,
    se: float | None,
) -> bool:
    """Whether recorded bounds are those of a share of right items in one group.

    These are Wilson's, or those of the beta posterior. Value and bounds are rounded to steps of at
    most a fiftieth of the standard error, so either may be off by half a step.
    """
    if not 0 <= value <= 1:
        return False
    n_right = value * n
    known = [
        wilson(n_right, n, confidence),
        beta_interval(np.array([n_right]), np.array([n]), confidence),
    ]
    rounding = (se or 0.0) / STEPS_OF_SE + 1e-9
    return any(np.allclose(recorded, bounds, RECORDED_DIGITS, rounding) for bounds in known)


def unpaired(
    metric: str,
    a: Figure,
    b: Figure,
    confidence: float,
    recorded_confidence: tuple[float, float],
    draws: tuple[int, int] = (1, 1),
) -> tuple[Unpaired, str]:
    """b against a as independent estimates, and the method's name.

    `recorded_confidence` is that of the recorded intervals of a and of b, and `draws` are the draws
    of a random model, which are its seeds.
    """
    if a.are_decisions and b.are_decisions:
        method, evidence = "newcombe", _newcombe(a.estimate, b.estimate, confidence)
    elif a.estimate.se is None or b.estimate.se is None:
        method, evidence = "bounds", _of_bounds(a, b, confidence, recorded_confidence)
    else:
        method, evidence = "welch", _welch(a.estimate, b.estimate, confidence)
    comparison = Unpaired(
        metric=metric,
        a=a.estimate.mean,
        b=b.estimate.mean,
        difference=b.estimate.mean - a.estimate.mean,
        n_items=b.estimate.n,
        n_groups=0,
        n_better=0,
        n_worse=0,
        n_seeds_a=draws[0],
        n_seeds_b=draws[1],
        cohens_dz=None,
        n_effective=_least_effective(a, b),
        **evidence,
    )
    return comparison, method


def _least_effective(a: Figure, b: Figure) -> float | None:
    """The smaller effective number of items, None where all items of both weigh the same."""
    if a.estimate.n_effective is None and b.estimate.n_effective is None:
        return None
    return min(a.n_effective, b.n_effective)


def _welch(a: Estimate, b: Estimate, confidence: float) -> dict[str, Any]:
    """Welch's t test and interval. Without any standard error, nothing is known of the difference.

    Source: Welch 1947, Biometrika 34.
    """
    assert a.se is not None and b.se is not None
    variances = a.se**2, b.se**2
    total = sum(variances)
    if not total:
        return {"p": 1.0, "low": None, "high": None, "se": None, "df": 0.0}
    df = total**2 / (variances[0] ** 2 / max(a.df, 1) + variances[1] ** 2 / max(b.df, 1))
    estimate = Estimate(b.mean - a.mean, math.sqrt(total), df, b.n)
    low, high = interval(estimate, confidence) or (None, None)
    p = float(2 * special.stdtr(df, -abs(estimate.mean) / math.sqrt(total)))
    return {"p": p, "low": low, "high": high, "se": math.sqrt(total), "df": df}


def _newcombe(a: Estimate, b: Estimate, confidence: float) -> dict[str, Any]:
    """The hybrid score interval of two proportions, and the z test with the pooled share."""
    low_a, high_a = wilson(a.mean * a.n, a.n, confidence)
    low_b, high_b = wilson(b.mean * b.n, b.n, confidence)
    difference = b.mean - a.mean
    share = (a.mean * a.n + b.mean * b.n) / (a.n + b.n)
    pooled = math.sqrt(share * (1 - share) * (1 / a.n + 1 / b.n))
    return {
        "p": float(2 * special.ndtr(-abs(difference) / pooled)) if pooled else 1.0,
        "low": difference - math.hypot(b.mean - low_b, high_a - a.mean),
        "high": difference + math.hypot(high_b - b.mean, a.mean - low_a),
        "se": math.sqrt(a.mean * (1 - a.mean) / a.n + b.mean * (1 - b.mean) / b.n),
        "df": math.inf,
    }


def _of_bounds(
    a: Figure, b: Figure, confidence: float, recorded_confidence: tuple[float, float]
) -> dict[str, Any]:
    """The interval and the test of two figures of which the bounds alone are known."""
    quantile_a, quantile_b = (special.ndtri((1 + level) / 2) for level in recorded_confidence)
    mean_a, mean_b = a.estimate.mean, b.estimate.mean
    downwards = math.hypot((mean_b - b.low) / quantile_b, (a.high - mean_a) / quantile_a)
    upwards = math.hypot((b.high - mean_b) / quantile_b, (mean_a - a.low) / quantile_a)
    difference = mean_b - mean_a
    se = downwards if difference > 0 else upwards  # those that face each other
    z = special.ndtri((1 + confidence) / 2)
    return {
        "p": float(2 * special.ndtr(-abs(difference) / se)) if se else 1.0,
        "low": float(difference - z * downwards),
        "high": float(difference + z * upwards),
        "se": float(se) or None,
        "df": math.inf,
    }


def _confidence(revision: Revision) -> float:
    """The confidence of a revision's recorded intervals: that with which aggregate ran.

    Raises InputError where neither dvc.lock nor params.yaml says it.
    """
    locked = revision.stages.get("aggregate", {}).get("params", {}).get("params.yaml", {})
    section = locked.get("aggregate") or revision.params.get("aggregate") or {}
    confidence = section.get("confidence")
    if not isinstance(confidence, float) or not 0 < confidence < 1:
        raise InputError(
            f"{revision.name}: params.yaml: aggregate.confidence, that of the intervals in"
            f" {INTERVALS}: expected a number above 0 and below 1, not {confidence}"
        )
    return confidence


def _n_draws(scores: Scores) -> int:
    """The draws of a random model, 1 for any other."""
    values = scores.revision.metrics(scores.models[0]).get(scores.suite, {})
    return int(values.get("n_draws", 1))


def _other_items(a: Revision, b: Revision, scores_a: Scores, scores_b: Scores) -> str | None:
    """Why the items of A and B are not the same, as far as git can tell; None where they are."""
    suite = scores_a.suite
    path = f"{ITEMS}/{suite}.parquet"
    hashes = _locked_hash(a, path), _locked_hash(b, path)
    if None not in hashes and hashes[0] != hashes[1]:
        return f"{suite}: not the same items: dvc.lock has another {path}"
    n_a, n_b = (
        scores.revision.metrics(scores.models[0]).get(suite, {}).get("n_items")
        for scores in (scores_a, scores_b)
    )
    if n_a != n_b:
        return f"{suite}: not the same items: {n_a} in A, {n_b} in B"
    return None


def _locked_hash(revision: Revision, path: str) -> str | None:
    """The hash of a path among the inputs and outputs in dvc.lock, None where it is not there."""
    for stage in revision.stages.values():
        for entry in [*(stage.get("outs") or []), *(stage.get("deps") or [])]:
            if entry["path"] == path:
                return entry.get("md5")
    return None


def _why(pairs: list[tuple[str, Scores, Scores]], has_same_tables: bool) -> str:
    """The line that says which tables are nowhere, and what brings a paired answer."""
    sides = {}
    for side, scores in zip("AB", pairs[0][1:]):
        try:
            scores.hashes()
        except MissingFile as missing:
            sides[side] = missing.revision.remedy
    where = f"the tables ({SCORES}) of {' and '.join(sides)} are not here"
    if has_same_tables:
        return f"{where}, but dvc.lock has the same ones in A and B: nothing changed"
    remedies = "; of ".join(f"{side}: {remedy}" for side, remedy in sides.items())
    return (
        f"unpaired, so less sharp: {where}, and the metrics that git has are compared."
        f" For a paired answer, commit what is here, then bring the tables of {remedies}"
    )


def _left_out(asked: Asked) -> list[str]:
    """A line for each option that cannot be followed without the tables."""
    options = {
        "--by-group": asked.groups,
        "--items": asked.n_items > 0,
        "--common": asked.common,
    }
    return [
        f"{name} is left out: it needs the tables" for name, is_set in options.items() if is_set
    ]
