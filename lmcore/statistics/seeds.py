"""The difference of two recipes with several training seeds on each side.

Values of items under every seed go in. An Estimate comes out.

Seeds and items are crossed: every model answers every item. Both are samples, so the variance of
the difference is the variance over seeds plus the variance over items, minus their interaction,
which is contained in both. The draws of a random model are its seeds.
"""

from typing import NamedTuple

import numpy as np

from lmcore.statistics.clusters import macro_by_cluster, sum_of_squares
from lmcore.statistics.intervals import shares
from lmcore.statistics.stats import Estimate, macro


class _OverSeeds(NamedTuple):
    """How the mean of one side varies over its seeds."""

    variance: float
    interaction: float  # the part of the variance that is the interaction of seeds and items
    df: int


def seeds_and_items(
    a: np.ndarray,
    b: np.ndarray,
    weights: np.ndarray,
    groups: np.ndarray,
    clusters: np.ndarray | None = None,
) -> Estimate:
    """The macro mean of b - a, with its standard error over seeds and items.

    If there are `clusters`, (N,) integers from 0, these take the place of items.

    a, b: (seeds, N). With one seed on each side, the standard error is over items alone. A side
    with one seed adds no variance of seeds: that variance is unknown, not 0. The degrees of freedom
    are Satterthwaite's.

    Source: Cameron, Gelbach & Miller 2011, Journal of Business & Economic Statistics 29(2),
    equation 2.13.
    """
    differences = b.mean(0) - a.mean(0)
    if clusters is None:
        over_items = macro(differences, weights, groups)
    else:
        over_items = macro_by_cluster(differences, weights, groups, clusters)
    sides = [_over_seeds(side, weights, groups, clusters) for side in (a, b) if len(side) > 1]
    if not sides or over_items.se is None:
        return over_items
    variances = [over_items.se**2, *(side.variance for side in sides)]
    dfs = [over_items.df, *(side.df for side in sides)]
    variance = sum(variances) - sum(side.interaction for side in sides)
    variance = max(variance, *variances)
    if variance:
        df = variance**2 / sum(part**2 / part_df for part, part_df in zip(variances, dfs))
    else:
        df = over_items.df
    return over_items._replace(se=float(np.sqrt(variance)), df=float(df))


def spread(values: np.ndarray, weights: np.ndarray, groups: np.ndarray) -> dict[str, float]:
    """How far the macro means of several seeds lie apart.

    `alike` says how often two seeds give an item the same value. values: (seeds, N).
    """
    means = [macro(value, weights, groups).mean for value in values]
    n_seeds = len(values)
    same = []
    for i in range(n_seeds):
        for j in range(i):
            same.append(float((values[i] == values[j]).mean()))
    return {
        "mean": float(np.mean(means)),
        "sd": float(np.std(means, ddof=1)),
        "lowest": min(means),
        "highest": max(means),
        "alike": sum(same) / (n_seeds * (n_seeds - 1) / 2),
    }


def _over_seeds(
    values: np.ndarray, weights: np.ndarray, groups: np.ndarray, clusters: np.ndarray | None
) -> _OverSeeds:
    """How the macro mean of one side's `values` (seeds, N) varies over its seeds."""
    n_seeds, share = len(values), shares(weights, groups)
    sums = np.stack([np.bincount(groups, value * weights) for value in values])
    means = sums / np.bincount(groups, weights)  # (seeds, groups)
    residuals = values - values.mean(0) - (means - means.mean(0))[:, groups]
    if clusters is None:
        n = np.bincount(groups)[groups]  # (N,) the number of items in each item's group
        squares = (share**2 * (residuals**2).sum(0) * n / np.maximum(n - 1, 1)).sum()
    else:
        squares = sum(sum_of_squares(share * of_seed, groups, clusters) for of_seed in residuals)
    interaction = squares / (n_seeds * (n_seeds - 1))
    variance = float(means.mean(1).var(ddof=1)) / n_seeds
    return _OverSeeds(variance, float(interaction), n_seeds - 1)
