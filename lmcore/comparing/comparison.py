"""One comparison: scores of two models, or recipes of several seeds, on one suite go in; difference, interval, p and verdict come out.

The items must be the same to the letter: they are aligned by id and content hash. `b - a` is the difference, in the metric's own unit; it
and its interval are those of the figure in metrics/models: a macro mean of decisions, one ratio of a sum over running text. With one seed a
side the p value is a sign-flip test over items, and a verdict speaks of these two models; with several it covers seeds and items.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import special

from lmcore.errors import InputError
from lmcore.folds.fold import PSEUDO
from lmcore.folds.metrics import CORPUS_RATIOS
from lmcore.statistics import paired, stats
from lmcore.statistics.intervals import (
    bootstrap_bounds,
    by_cluster,
    group_means,
    replicates,
    shares,
)
from lmcore.statistics.power import detectable_difference, items_needed
from lmcore.statistics.seeds import seeds_and_items

OF_SURPRISAL = ("surprisal_per_byte", "surprisal_per_word")
LOWER_IS_BETTER = ("rank", *OF_SURPRISAL, *(PSEUDO + name for name in OF_SURPRISAL))
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
    """Two sides that were not scored on the same items; the message says which differ."""


class Side(NamedTuple):
    """What one model, or one recipe's models, scored under one metric; `values` has a row for each seed (or draw of a random model)."""

    items: pa.Array
    hashes: np.ndarray
    groups: np.ndarray  # (N,) indices into `names`
    names: list[str]
    values: np.ndarray  # (seeds, N)
    weights: np.ndarray


class Means(NamedTuple):
    """Two sides' means over their seeds, item by item, with what each item weighs and its group (integers from 0)."""

    a: np.ndarray
    b: np.ndarray
    weights: np.ndarray
    groups: np.ndarray


class Comparison(NamedTuple):
    """b against a. What cannot be said of these data is None; p_corrected and what follows it come from `judge`."""

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
    se: float | None  # of the difference, with the degrees of freedom of that
    df: float
    cohens_dz: float | None
    odds_ratio: float | None = None  # of decisions alone, as the following
    cohens_h: float | None = None
    mcnemar_p: float | None = None  # mid-p over all items; ties are dropped
    n_ties: int | None = None
    p_bootstrap: float | None = None
    p_corrected: float = 1.0
    verdict: str = ""
    detectable: float | None = (
        None  # the difference that would show among these comparisons, with the power asked for
    )
    items_needed: int | None = None  # for a difference as large as the margin to show

    @property
    def changed(self) -> bool:
        """Whether any item's value differs: where none does there is nothing to judge."""
        return self.n_better + self.n_worse > 0

    @property
    def claim(self) -> str:
        """What the verdict speaks of."""
        if self.verdict not in VERDICTS[:4]:
            return ""
        several = self.n_seeds_a > 1 and self.n_seeds_b > 1
        return f"this recipe is {self.verdict}" if several else TWO_MODELS


def read_side(
    read: Callable[[list[str]], pa.Table], metrics: list[str], source: str, known: dict[bytes, Side]
) -> tuple[str, Side]:
    """The first of `metrics` that a scores table has (of a masked LM as pseudo_METRIC), and its values; `read` gives the columns asked for.

    `known` is filled with sides by their content hashes: the same hashes in the same order are the same items, whose ids and groups
    need no second reading. Raises InputError where there is none of the metrics, or not one row an item and draw.
    """
    table = read(["draw", "metric", "value", "weight", "content_hash"])
    names = table["metric"].combine_chunks().dictionary_encode()  # as it is where it came so
    there = names.dictionary.to_pylist()
    either = [name for metric in metrics for name in (metric, PSEUDO + metric)]
    if not (found := [metric for metric in either if metric in there]):
        raise InputError(
            f"{source}: there is no metric {' or '.join(metrics)}; there are {', '.join(sorted(there))}"
        )
    rows = np.flatnonzero(names.indices.to_numpy() == there.index(found[0]))
    draws, values, weights, hashes = (
        table[name].to_numpy()[rows] for name in ("draw", "value", "weight", "content_hash")
    )
    if not (np.isfinite(values).all() and np.isfinite(weights).all() and weights.any()):
        raise InputError(
            f"{source}: {found[0]} has a value or weight that is not finite; rebuild it with `dvc repro fold_scores`"
        )
    n_draws = int(draws.max()) + 1
    if len(rows) % n_draws or (draws.reshape(-1, n_draws) != np.arange(n_draws)).any():
        raise InputError(
            f"{source}: expected one row an item and draw of metric '{found[0]}', sorted; rebuild it with `dvc repro fold_scores`"
        )
    values = np.ascontiguousarray(values.reshape(-1, n_draws).T)
    rows, weights, hashes = rows[::n_draws], weights[::n_draws], hashes[::n_draws]
    if (key := hashes.tobytes()) not in known:
        table = read(["item", "group"])
        items = table["item"].combine_chunks().take(pa.array(rows)).cast(pa.string())
        groups = table["group"].combine_chunks().dictionary_encode()
        known[key] = Side(
            items,
            hashes,
            groups.indices.to_numpy()[rows],
            groups.dictionary.to_pylist(),
            values,
            weights,
        )
    return found[0], known[key]._replace(values=values, weights=weights)


def as_one(sides: list[Side], source: str) -> Side:
    """The models of one recipe as its seeds. Raises InputError where they were not scored on the same items."""
    for side in sides[1:]:
        if not (
            np.array_equal(side.hashes, sides[0].hashes)
            and np.array_equal(side.weights, sides[0].weights)
        ):
            raise InputError(
                f"{source}: the models of a recipe must have been scored on the same items; rebuild them with `dvc repro fold_scores`"
            )
    return sides[0]._replace(values=np.concatenate([side.values for side in sides]))


def align(a: Side, b: Side, *, common: bool, what: str) -> tuple[Side, Side, int]:
    """Both sides with the same items in the same order, and how many items of either fell out; these only with `common`.

    Raises DifferentItems, beginning with `what`, that says which items only one side has or whose content differs.
    """
    if np.array_equal(a.hashes, b.hashes):
        return a, b, 0
    ids_a, ids_b = a.items, b.items
    at = pc.index_in(ids_a, ids_b)
    rows_a = np.flatnonzero(at.is_valid().to_numpy(zero_copy_only=False))
    rows_b = at.drop_null().to_numpy()
    same = a.hashes[rows_a] == b.hashes[rows_b]
    n_lost = len(a.items) + len(b.items) - 2 * int(same.sum())
    if n_lost and not (common and same.any()):
        only = [
            ids_a.filter(pc.invert(at.is_valid())),
            ids_b.filter(pc.invert(pc.is_in(ids_b, ids_a))),
            ids_a.take(pa.array(rows_a[~same])),
        ]
        found = [
            f"{len(ids):,} {said} (e.g. {ids[0]})"
            for ids, said in zip(only, ("only in A", "only in B", "with other content"))
            if len(ids)
        ]
        raise DifferentItems(
            f"{what}: not the same items: {', '.join(found)}"
            + ("" if same.any() else "; they have none in common")
        )
    return take(a, rows_a[same]), take(b, rows_b[same]), n_lost


def same_bytes(a: Side, b: Side, metric: str) -> tuple[Side, Side]:
    """Of `surprisal_per_byte` the items of which both sides scored the same bytes: a tokenizer does not say all of the others.

    Raises InputError where there is no such item.
    """
    if metric.removeprefix(PSEUDO) != "surprisal_per_byte" or np.array_equal(a.weights, b.weights):
        return a, b
    rows = np.flatnonzero(a.weights == b.weights)
    if not len(rows):
        counts = "n_unknown and n_dropped_bytes in metrics/models"
        raise InputError(
            f"metric '{metric}': a tokenizer does not say all of any text ({counts}); there is nothing to compare"
        )
    return take(a, rows), take(b, rows)


def take(side: Side, rows: np.ndarray) -> Side:
    """These items of a side."""
    kept = {
        "items": side.items.take(pa.array(rows)),
        "hashes": side.hashes[rows],
        "groups": side.groups[rows],
    }
    return side._replace(**kept, values=side.values[:, rows], weights=side.weights[rows])


def clustered(side: Side) -> Side:
    """The groups of a side (documents, books) as its items: what to draw where the texts of a group resemble each other."""
    names, groups = np.unique(side.groups, return_inverse=True)
    values, weights = by_cluster(side.values, side.weights, groups)
    hashes = np.zeros(len(names), np.uint64)
    np.add.at(hashes, groups, side.hashes)
    labels = [side.names[name] for name in names]
    return Side(
        pa.array(labels, pa.string()),
        hashes,
        np.zeros(len(names), np.int64),
        ["all"],
        values,
        weights,
    )


def compare(
    a: Side, b: Side, metric: str, *, confidence: float, interval: str, resamples: int, seed: int
) -> Comparison:
    """b against a on aligned items; `interval` is student, or percentile or bca (bootstrap).

    Raises InputError where the items do not weigh the same on both sides, as in tokens of two tokenizers.
    """
    if not np.array_equal(a.weights, b.weights):
        raise InputError(
            f"metric '{metric}' counts tokens, and the two tokenizers cut them differently; compare surprisal_per_byte"
        )
    groups = (
        np.zeros(len(a.weights), np.int64)
        if metric in CORPUS_RATIOS
        else np.unique(a.groups, return_inverse=True)[1]
    )
    estimate = seeds_and_items(a.values, b.values, a.weights, groups)
    means = Means(a.values.mean(0), b.values.mean(0), a.weights, groups)
    if max(len(a.values), len(b.values)) > 1 and estimate.se:
        low, high = stats.interval(estimate, confidence) or (None, None)
        found: dict[str, Any] = {
            "p": float(2 * special.stdtr(estimate.df, -abs(estimate.mean) / estimate.se)),
            "low": low,
            "high": high,
        }
    else:
        found = _of_one_seed(means, estimate, confidence, interval, resamples, seed)
    differences = means.b - means.a
    n_up, n_down = int((differences > 0).sum()), int((differences < 0).sum())
    return Comparison(
        metric=metric,
        a=float(group_means(means.a, a.weights, groups).mean()),
        b=float(group_means(means.b, a.weights, groups).mean()),
        difference=estimate.mean,
        n_items=len(differences),
        n_groups=int(groups.max()) + 1,
        n_better=n_down if metric in LOWER_IS_BETTER else n_up,
        n_worse=n_up if metric in LOWER_IS_BETTER else n_down,
        n_seeds_a=len(a.values),
        n_seeds_b=len(b.values),
        se=estimate.se,
        df=estimate.df,
        cohens_dz=paired.cohens_dz(differences),
        **found,
    )


def _of_one_seed(
    means: Means,
    estimate: stats.Estimate,
    confidence: float,
    interval: str,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """The p value by sign flips and the interval; of decisions, in one group the interval of paired proportions, and McNemar's test."""
    a, b, weights, groups = means
    differences = b - a
    bounds, found = stats.interval(estimate, confidence), {}
    if interval != "student":
        drawn = replicates(differences, weights, groups, resamples=resamples, seed=seed)
        bounds = bootstrap_bounds(
            drawn, differences, weights, groups, method=interval, confidence=confidence
        )
        found["p_bootstrap"] = paired.bootstrap_p(drawn)
    if np.isin(a, (0, 0.5, 1)).all() and np.isin(b, (0, 0.5, 1)).all():
        found |= _of_decisions(a, b)
        if interval == "student" and not groups.any():
            bounds = paired.flips_interval(
                differences.clip(0).sum(),
                (-differences).clip(0).sum(),
                len(differences),
                confidence,
            )
    low, high = bounds or (None, None)
    return found | {
        "low": low,
        "high": high,
        "p": paired.sign_flip(differences, shares(weights, groups), resamples=resamples, seed=seed),
    }


def _of_decisions(a: np.ndarray, b: np.ndarray) -> dict[str, Any]:
    n_better, n_worse = int(((a == 0) & (b == 1)).sum()), int(((a == 1) & (b == 0)).sum())
    return {
        "mcnemar_p": float(paired.mcnemar(np.array(n_better), np.array(n_worse), "mid_p")),
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
) -> list[Comparison]:
    """The comparisons with p values corrected for all that are made at once, verdicts at the level 1 - confidence, and what would show.

    Where no item differs no p value could be small: such comparisons count for nothing in the correction (Tarone 1990). What would show
    does so whatever the others find (Bonferroni).
    """
    changed = [comparison for comparison in comparisons if comparison.changed]
    p_values = iter(
        paired.corrected(np.array([comparison.p for comparison in changed]), correction)
    )
    settings = {"confidence": 1 - (1 - confidence) / max(len(changed), 1), "power": power}
    judged = []
    for comparison in comparisons:
        within = margin.get(comparison.metric)
        estimate = stats.Estimate(
            comparison.difference, comparison.se, comparison.df, comparison.n_items
        )
        comparison = comparison._replace(
            p_corrected=float(next(p_values)) if comparison.changed else 1.0,
            detectable=detectable_difference(estimate, **settings),
            items_needed=items_needed(within, estimate, **settings) if within else None,
        )
        judged.append(comparison._replace(verdict=verdict(comparison, 1 - confidence, within)))
    return judged


def verdict(comparison: Comparison, level: float, margin: float | None) -> str:
    """`equal` where the whole interval is within the margin; else by the corrected p value `better`, `worse` or `no evidence`.

    Of a metric that is good neither high nor low, `higher` and `lower`; `unchanged` where no item differs.
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
    return "better" if is_up != (comparison.metric in LOWER_IS_BETTER) else "worse"
