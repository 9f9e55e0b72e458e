"""One comparison of two models, or of two recipes of several seeds, on one suite.

Scores go in. The difference, its interval, p value and verdict come out.

The items must be exactly the same on both sides: they are aligned by id and content hash. The
difference is `b - a`, in the metric's own unit. The difference and its interval belong to the
figure in metrics/models: a macro mean of decisions, or one ratio of a sum over running text. With
one seed on each side, the p value is that of a sign-flip test over items, and the verdict is about
these two models. With several seeds, it covers seeds and items.
"""

import hashlib
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import special

from lmcore.errors import InputError
from lmcore.folds.fold import PSEUDO
from lmcore.folds.metrics import CORPUS_RATIOS
from lmcore.folds.scores import rows_of_metric
from lmcore.statistics import paired, stats
from lmcore.statistics.clusters import of_clusters, shared
from lmcore.statistics.intervals import (
    bootstrap_bounds,
    by_cluster,
    group_means,
    replicates,
    shares,
)
from lmcore.statistics.power import detectable_difference, items_needed
from lmcore.statistics.ratio_flips import ratio_flips
from lmcore.statistics.seeds import seeds_and_items
from lmcore.tables import CLUSTER, SCORES, metrics_there
from lmcore.tables import read as read_table

OF_SURPRISAL = ("surprisal_per_byte", "surprisal_per_word")
OF_WORDS = ("surprisal", "previous_surprisal")  # of suites of kind reading
LOWER_IS_BETTER = ("rank", *OF_WORDS, *OF_SURPRISAL, *(PSEUDO + name for name in OF_SURPRISAL))
NEITHER_IS_BETTER = (
    "agreement",
    "entropy",
    "expected_agreement",
    "length_baseline",
    "tie",
    "windowed",
    "unknown",
    "dropped_bytes",
)
TWO_MODELS = "these two models differ; seed noise unknown"
VERDICTS = ("worse", "lower", "higher", "better", "equal", "no evidence")  # worst first


class DifferentItems(InputError):
    """Two sides were not scored on the same items. The message says which items differ."""


class Side(NamedTuple):
    """What one model, or the models of one recipe, scored under one metric.

    `values` has a row for each seed, or for each draw of a random model.
    """

    items: pa.Array  # (N,) ids
    hashes: np.ndarray  # (N,) content hashes
    groups: np.ndarray  # (N,) indices into `names`
    names: list[str]
    values: np.ndarray  # (seeds, N)
    weights: np.ndarray  # (N,)
    clusters: np.ndarray | None = None  # (N,) of any integers; None where the suite declares none


class Means(NamedTuple):
    """Two sides' means over their seeds, item by item; the items' weights, groups and clusters.

    All have the shape (N,); groups and clusters are integers from 0. There are no clusters where
    every item is its own.
    """

    a: np.ndarray
    b: np.ndarray
    weights: np.ndarray
    groups: np.ndarray
    clusters: np.ndarray | None = None


class Comparison(NamedTuple):
    """b against a.

    A field is None where these data cannot tell. `p_corrected` and the fields after it come from
    `judge`.
    """

    metric: str
    a: float
    b: float
    difference: float
    low: float | None
    high: float | None
    p: float
    n_items: int
    n_groups: int
    n_better: int
    n_worse: int
    n_seeds_a: int
    n_seeds_b: int
    se: float | None  # the standard error of the difference
    df: float  # the degrees of freedom of `se`
    cohens_dz: float | None
    # these four for decisions only
    odds_ratio: float | None = None
    cohens_h: float | None = None
    mcnemar_p: float | None = None  # mid-p over all items; ties are dropped; not with clusters
    n_ties: int | None = None
    p_bootstrap: float | None = None  # for bootstrap intervals only
    p_corrected: float = 1.0
    verdict: str = ""
    # the difference that would show among these comparisons, with the power asked for
    detectable: float | None = None
    # the number of items for a difference as large as the margin to show
    items_needed: int | None = None
    # where texts or clusters are of unequal size: how many of equal size would tell as much
    n_effective: float | None = None
    n_clusters: int | None = None  # where items share clusters, which are then what is drawn

    @property
    def changed(self) -> bool:
        """Whether the value of any item differs. If none does, there is nothing to judge."""
        return self.n_better + self.n_worse > 0

    @property
    def least_p(self) -> float:
        """The smallest p value that so many items can give; 0 where it has no such bound."""
        n = self.n_clusters or self.n_items
        if max(self.n_seeds_a, self.n_seeds_b) > 1 or n > paired.ALL_PATTERNS:
            return 0.0
        return 0.5 ** (n - 1)

    @property
    def claim(self) -> str:
        """What the verdict is about."""
        if self.verdict not in VERDICTS[:4]:
            return ""
        several = self.n_seeds_a > 1 and self.n_seeds_b > 1
        return f"this recipe is {self.verdict}" if several else TWO_MODELS


def read_side(
    read: Callable[[list[str]], pa.Table], metrics: list[str], source: str, known: dict[bytes, Side]
) -> tuple[str, Side]:
    """The first of `metrics` that a scores table has, and the values under it.

    For a masked LM, a metric is looked up as pseudo_METRIC, too. `read` gives the columns asked
    for, but CLUSTER only where the table has it.

    `known` is filled with sides by a digest of their content hashes: the same hashes in the same
    order are the same items, whose ids and groups need no second reading.

    Raises InputError if the table has none of the metrics, if a value or weight is not finite, or
    if there is not one row for each item and draw.
    """
    table = read(["draw", "metric", "value", "weight", "content_hash"])
    names = table["metric"].combine_chunks().dictionary_encode()  # unchanged if it came encoded
    there = names.dictionary.to_pylist()
    metric = _first_metric(metrics, there, source)
    rows = np.flatnonzero(names.indices.to_numpy() == there.index(metric))
    draws, values, weights, hashes = (
        _of_rows(table[name], rows).to_numpy()
        for name in ("draw", "value", "weight", "content_hash")
    )
    del table, names  # before the ids are read
    if not (np.isfinite(values).all() and np.isfinite(weights).all() and weights.any()):
        raise InputError(
            f"{source}: {metric} has a value or weight that is not finite;"
            " rebuild it with `dvc repro fold_scores`"
        )
    n_draws = int(draws.max()) + 1
    if len(rows) % n_draws or (draws.reshape(-1, n_draws) != np.arange(n_draws)).any():
        raise InputError(
            f"{source}: expected one row an item and draw of metric '{metric}', sorted;"
            " rebuild it with `dvc repro fold_scores`"
        )
    values = np.ascontiguousarray(values.reshape(-1, n_draws).T)
    rows, weights, hashes = rows[::n_draws], weights[::n_draws], hashes[::n_draws]
    key = hashlib.sha256(hashes.tobytes()).digest()
    if key not in known:
        items, groups, group_names = _items_and_groups(read(["item", "group"]), rows)
        known[key] = Side(items, hashes, groups, group_names, values, weights)
    return metric, known[key]._replace(
        values=values, weights=weights, clusters=_clusters(read([CLUSTER]), rows)
    )


def reader_of(path: Path, metrics: list[str]) -> Callable[[list[str]], pa.Table]:
    """The `read` of `read_side` of the scores table at `path`, for these `metrics`.

    It gives the rows of the metric that `read_side` will choose, and all rows only where the table
    has none of the metrics. Raises InputError where there is no scores table.
    """
    there = metrics_there(path)
    metric = next((name for name in _known_as(metrics) if name in there), None)
    if metric is None:
        return partial(read_table, path, SCORES)
    return partial(rows_of_metric, path, metric)


def _known_as(metrics: list[str]) -> list[str]:
    """The names that are looked for, in order; a masked LM has pseudo_METRIC."""
    return [name for metric in metrics for name in (metric, PSEUDO + metric)]


def _first_metric(metrics: list[str], there: list[str], source: str) -> str:
    """The first of `metrics`, as itself or as a pseudo_ metric, that is among those `there`."""
    for name in _known_as(metrics):
        if name in there:
            return name
    raise InputError(
        f"{source}: there is no metric {' or '.join(metrics)}; there are {', '.join(sorted(there))}"
    )


def _of_rows(column: pa.ChunkedArray, rows: np.ndarray) -> pa.Array:
    """These rows of a column. Where they are all, as mostly, nothing is copied twice."""
    column = column.combine_chunks()
    return column if len(rows) == len(column) else column.take(pa.array(rows))


def _items_and_groups(table: pa.Table, rows: np.ndarray) -> tuple[pa.Array, np.ndarray, list[str]]:
    """The ids of these rows' items, the numbers of their groups, and the names of the groups."""
    items = _of_rows(table["item"], rows).cast(pa.string())
    groups = table["group"].combine_chunks().dictionary_encode()
    return items, groups.indices.to_numpy()[rows], groups.dictionary.to_pylist()


def _clusters(table: pa.Table, rows: np.ndarray) -> np.ndarray | None:
    """The clusters of these rows' items, None where the table has none."""
    if CLUSTER not in table.column_names:
        return None
    return table[CLUSTER].combine_chunks().dictionary_encode().indices.to_numpy()[rows]


def as_one(sides: list[Side], source: str) -> Side:
    """The models of one recipe as its seeds.

    Raises InputError if they were not scored on the same items.
    """
    first = sides[0]
    for side in sides[1:]:
        is_alike = np.array_equal(side.hashes, first.hashes)
        if not (is_alike and np.array_equal(side.weights, first.weights)):
            raise InputError(
                f"{source}: the models of a recipe must have been scored on the same items;"
                " rebuild them with `dvc repro fold_scores`"
            )
    return first._replace(values=np.concatenate([side.values for side in sides]))


def averaged(side: Side) -> Side:
    """A side with the mean of its rows, item by item, as its only row: checkpoints as one model."""
    return side._replace(values=side.values.mean(0, keepdims=True))


def align(a: Side, b: Side, *, common: bool, what: str) -> tuple[Side, Side, int]:
    """Both sides with the same items in the same order, and how many items of either were left out.

    Items are left out only with `common`. Otherwise raises DifferentItems, whose message begins
    with `what` and says which items only one side has or whose content differs. It is raised with
    `common`, too, if no item is the same.
    """
    if np.array_equal(a.hashes, b.hashes):
        return a, b, 0
    row_in_b = pc.index_in(a.items, b.items)
    rows_a = np.flatnonzero(row_in_b.is_valid().to_numpy(zero_copy_only=False))
    rows_b = row_in_b.drop_null().to_numpy()
    same = a.hashes[rows_a] == b.hashes[rows_b]
    n_lost = len(a.items) + len(b.items) - 2 * int(same.sum())
    if n_lost and not (common and same.any()):
        different = {
            "only in A": a.items.filter(pc.invert(row_in_b.is_valid())),
            "only in B": b.items.filter(pc.invert(pc.is_in(b.items, a.items))),
            "with other content": a.items.take(pa.array(rows_a[~same])),
        }
        counts = [
            f"{len(ids):,} {kind} (e.g. {ids[0]})" for kind, ids in different.items() if len(ids)
        ]
        message = f"{what}: not the same items: {', '.join(counts)}"
        raise DifferentItems(message + ("" if same.any() else "; they have none in common"))
    return take(a, rows_a[same]), take(b, rows_b[same]), n_lost


def same_bytes(a: Side, b: Side, metric: str) -> tuple[Side, Side]:
    """For `surprisal_per_byte`, the items of which both sides scored the same bytes.

    In the other items, one of the tokenizers has no token for some bytes. Under other metrics, both
    sides stay as they are. Raises InputError if there is no such item.
    """
    if metric.removeprefix(PSEUDO) != "surprisal_per_byte" or np.array_equal(a.weights, b.weights):
        return a, b
    rows = np.flatnonzero(a.weights == b.weights)
    if not len(rows):
        raise InputError(
            f"metric '{metric}': expected items of which both tokenizers represent the same bytes,"
            " found none (see n_unknown and n_dropped_bytes in metrics/models); there is nothing to"
            " compare"
        )
    return take(a, rows), take(b, rows)


def take(side: Side, rows: np.ndarray) -> Side:
    """These items of a side."""
    return Side(
        items=side.items.take(pa.array(rows)),
        hashes=side.hashes[rows],
        groups=side.groups[rows],
        names=side.names,
        values=side.values[:, rows],
        weights=side.weights[rows],
        clusters=None if side.clusters is None else side.clusters[rows],
    )


def clustered(side: Side) -> Side:
    """A side with its groups (documents, books) as its items.

    Where the texts of a group resemble each other, whole groups are drawn instead of items. This is
    for running text, whose groups are a sample; the clusters of items take part within `compare`.
    """
    names, groups = np.unique(side.groups, return_inverse=True)
    values, weights = by_cluster(side.values, side.weights, groups)
    hashes = np.zeros(len(names), np.uint64)
    np.add.at(hashes, groups, side.hashes)
    labels = [side.names[name] for name in names]
    return Side(
        items=pa.array(labels, pa.string()),
        hashes=hashes,
        groups=np.zeros(len(names), np.int64),
        names=["all"],
        values=values,
        weights=weights,
    )


def compare(
    a: Side,
    b: Side,
    metric: str,
    *,
    confidence: float,
    interval: str,
    resamples: int,
    seed: int,
    lower_is_better: Collection[str] = LOWER_IS_BETTER,
) -> Comparison:
    """b against a on aligned items.

    Where items share clusters (those of b, or of a if b has none), these are what is drawn.
    `interval` is `student`, or `percentile` or `bca` (bootstrap). `lower_is_better` are the metrics
    of which less is better. Raises InputError if the items do not weigh the same on both sides, as
    with tokens of two tokenizers, and for a bootstrap of clusters that lie in several groups.
    """
    if not np.array_equal(a.weights, b.weights):
        raise InputError(
            f"metric '{metric}' counts tokens, and the two tokenizers cut them differently;"
            " compare surprisal_per_byte"
        )
    groups = groups_of_the_figure(a, metric)
    clusters = shared(a.clusters if b.clusters is None else b.clusters)
    estimate = seeds_and_items(a.values, b.values, a.weights, groups, clusters)
    means = Means(a.values.mean(0), b.values.mean(0), a.weights, groups, clusters)
    if max(len(a.values), len(b.values)) > 1 and estimate.se:
        evidence = _evidence_over_seeds(estimate, confidence)
    else:
        evidence = _evidence_over_items(
            means,
            estimate,
            metric,
            interval,
            confidence=confidence,
            resamples=resamples,
            seed=seed,
        )
    differences = means.b - means.a
    n_up, n_down = int((differences > 0).sum()), int((differences < 0).sum())
    return Comparison(
        metric=metric,
        a=float(group_means(means.a, a.weights, groups).mean()),
        b=float(group_means(means.b, a.weights, groups).mean()),
        difference=estimate.mean,
        n_items=len(differences),
        n_groups=int(groups.max()) + 1,
        n_better=n_down if metric in lower_is_better else n_up,
        n_worse=n_up if metric in lower_is_better else n_down,
        n_seeds_a=len(a.values),
        n_seeds_b=len(b.values),
        se=estimate.se,
        df=estimate.df,
        cohens_dz=paired.cohens_dz(differences),
        n_effective=estimate.n_effective,
        n_clusters=estimate.n_clusters,
        **evidence,
    )


def groups_of_the_figure(side: Side, metric: str) -> np.ndarray:
    """(N,): the groups whose means the figure is the mean of; one for a ratio over the corpus."""
    if metric in CORPUS_RATIOS:
        return np.zeros(len(side.weights), np.int64)
    return np.unique(side.groups, return_inverse=True)[1]


def _evidence_over_seeds(estimate: stats.Estimate, confidence: float) -> dict[str, Any]:
    """The interval of the difference and its p value by the t test, over seeds and items."""
    assert estimate.se is not None
    low, high = stats.interval(estimate, confidence) or (None, None)
    p = float(2 * special.stdtr(estimate.df, -abs(estimate.mean) / estimate.se))
    return {"p": p, "low": low, "high": high}


def _evidence_over_items(
    means: Means,
    estimate: stats.Estimate,
    metric: str,
    interval: str,
    *,
    confidence: float,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """The interval of the difference and its p value by sign flips, over items.

    The interval of a ratio over the corpus comes from the sign flips, too. For decisions, McNemar's
    test is added. Student's interval of decisions in one group is that of paired proportions. Where
    items share clusters, whole clusters flip, and Student's interval is over clusters; McNemar's
    test and the interval of paired proportions, which take items as independent, are left out.
    """
    differences = means.b - means.a
    evidence: dict[str, Any] = {}
    bounds: tuple[float | None, float | None] | None
    if metric in CORPUS_RATIOS:
        of_texts = differences, means.weights
        if means.clusters is not None:
            of_texts = by_cluster(*of_texts, means.clusters)
        p, low, high = ratio_flips(*of_texts, confidence=confidence, resamples=resamples, seed=seed)
        bounds = low, high
    else:
        p = _sign_flip(means, resamples, seed)
        bounds = stats.interval(estimate, confidence)
    if interval != "student":
        drawn_items = differences, means.weights, means.groups
        if means.clusters is not None:
            what = f"metric '{metric}': interval: {interval}"
            drawn_items = of_clusters(*drawn_items, means.clusters, what)
        drawn = replicates(*drawn_items, resamples=resamples, seed=seed)
        bounds = bootstrap_bounds(drawn, *drawn_items, method=interval, confidence=confidence)
        evidence["p_bootstrap"] = paired.bootstrap_p(drawn)
    if np.isin(means.a, (0, 0.5, 1)).all() and np.isin(means.b, (0, 0.5, 1)).all():
        evidence |= _tests_of_decisions(means)
        is_one_sample = not means.groups.any() and means.clusters is None
        if interval == "student" and is_one_sample and metric not in CORPUS_RATIOS:
            n_better, n_worse = differences.clip(0).sum(), (-differences).clip(0).sum()
            bounds = paired.flips_interval(n_better, n_worse, len(differences), confidence)
    low, high = bounds or (None, None)
    return evidence | {"low": low, "high": high, "p": p}


def _sign_flip(means: Means, resamples: int, seed: int) -> float:
    """The sign-flip p value of a macro mean, over items or whole clusters."""
    differences, share = means.b - means.a, shares(means.weights, means.groups)
    if means.clusters is not None:
        terms = np.bincount(means.clusters, differences * share)
        # sums in another order are the same number
        differences = np.round(terms / (np.abs(terms).max() or 1.0), 12)
        share = np.ones(len(differences))
    return paired.sign_flip(differences, share, resamples=resamples, seed=seed)


def _tests_of_decisions(means: Means) -> dict[str, Any]:
    """McNemar's test, effect sizes and the number of ties of paired decisions (0, 1/2 or 1)."""
    a, b = means.a, means.b
    n_better, n_worse = int(((a == 0) & (b == 1)).sum()), int(((a == 1) & (b == 0)).sum())
    p = float(paired.mcnemar(np.array(n_better), np.array(n_worse), "mid_p"))
    return {
        "mcnemar_p": p if means.clusters is None else None,
        "odds_ratio": paired.odds_ratio(n_better, n_worse),
        "cohens_h": paired.cohens_h(a.mean(), b.mean()),
        "n_ties": int(((a == 0.5) | (b == 0.5)).sum()),
    }


def by_group(a: Side, b: Side, metric: str, **settings) -> dict[str, Comparison]:
    """`compare` of each group alone, by its name; `settings` are those of `compare`."""
    rows = {a.names[group]: np.flatnonzero(a.groups == group) for group in np.unique(a.groups)}
    return {
        name: compare(take(a, rows[name]), take(b, rows[name]), metric, **settings)
        for name in sorted(rows)
    }


def judge(
    comparisons: list[Comparison],
    *,
    correction: str,
    confidence: float,
    power: float,
    margin: dict[str, float],
    lower_is_better: Collection[str] = LOWER_IS_BETTER,
) -> list[Comparison]:
    """The comparisons with corrected p values, verdicts, and the differences that would show.

    All these comparisons are made at once, so their p values are corrected for all of them. A
    comparison in which no item differs does not count in the correction, since its p value could
    not be small (Tarone 1990). The verdicts are at the level 1 - confidence. `detectable` holds
    whatever the other comparisons find (Bonferroni); it is None where so few items cannot show any
    difference. `margin` is {metric: the difference within
    which two sides are equal}.
    """
    changed = [comparison for comparison in comparisons if comparison.changed]
    p_values = np.array([comparison.p for comparison in changed])
    corrected_p = iter(paired.corrected(p_values, correction))
    settings = {"confidence": 1 - (1 - confidence) / max(len(changed), 1), "power": power}
    judged = []
    for comparison in comparisons:
        within = margin.get(comparison.metric)
        can_show = comparison.least_p < 1 - settings["confidence"]
        estimate = stats.Estimate(
            comparison.difference, comparison.se, comparison.df, comparison.n_items
        )
        comparison = comparison._replace(
            p_corrected=float(next(corrected_p)) if comparison.changed else 1.0,
            detectable=detectable_difference(estimate, **settings) if can_show else None,
            items_needed=items_needed(within, estimate, **settings) if within else None,
        )
        said = verdict(comparison, 1 - confidence, within, lower_is_better)
        judged.append(comparison._replace(verdict=said))
    return judged


def verdict(
    comparison: Comparison,
    level: float,
    margin: float | None,
    lower_is_better: Collection[str] = LOWER_IS_BETTER,
) -> str:
    """What a comparison with a corrected p value says.

    `unchanged` if no item differs. `equal` if the whole interval is within the margin. Otherwise,
    by the corrected p value, `better`, `worse` or `no evidence`. For a metric that is good neither
    high nor low, `higher` and `lower`.
    """
    if not comparison.changed:
        return "unchanged"
    low, high = comparison.low, comparison.high
    if margin is not None and low is not None and high is not None and max(-low, high) <= margin:
        return "equal"
    if comparison.p_corrected >= level:
        return "no evidence"
    is_up = comparison.difference > 0
    if comparison.metric in NEITHER_IS_BETTER:
        return "higher" if is_up else "lower"
    return "better" if is_up != (comparison.metric in lower_is_better) else "worse"
