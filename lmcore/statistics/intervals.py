"""Bootstrap intervals of a macro mean.

Values, weights and groups of items go in. Bounds come out.

Items are drawn anew within each group (stratified), since the groups of a suite are fixed. If a
group has few distinct values, such as 0, 1/2 and 1 or the five differences of two such values, its
sample is drawn exactly, as one multinomial. Running text is drawn by document: apply `by_cluster`
first.
"""

import numpy as np
from scipy import special

from lmcore.errors import InputError

MAX_DISTINCT = 16  # a group's sample is drawn as counts if it has at most so many distinct values
BLOCK = 4_000_000  # otherwise, this many numbers are drawn at a time


def by_cluster(
    values: np.ndarray, weights: np.ndarray, clusters: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """One value and one weight for each cluster; the ratio of all clusters stays what it was.

    A cluster's value is its ratio sum(value * weight) / sum(weight), and its weight is sum(weight).

    values: (..., N); clusters: (N,) integers from 0, each of which occurs.
    """
    order = np.argsort(clusters, kind="stable")
    starts = np.searchsorted(clusters[order], np.arange(int(clusters.max()) + 1))
    totals = np.add.reduceat(weights[order], starts)
    return np.add.reduceat((values * weights)[..., order], starts, axis=-1) / totals, totals


def bootstrap_bounds(
    drawn: np.ndarray,
    values: np.ndarray,
    weights: np.ndarray,
    groups: np.ndarray,
    *,
    method: str,
    confidence: float,
) -> tuple[float, float]:
    """The interval of the macro mean from its replicates `drawn`.

    `method` is `percentile` or `bca` (bias-corrected and accelerated). Raises InputError for
    another one.

    Source: Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapters 13 and 14.
    """
    if method not in ("percentile", "bca"):
        raise InputError(f"unknown interval '{method}'; expected student, percentile or bca")
    levels = np.array([(1 - confidence) / 2, (1 + confidence) / 2])
    if method == "bca" and np.ptp(drawn) > 0:
        levels = _bca_levels(levels, drawn, values, weights, groups)
    low, high = np.quantile(drawn, levels)
    return float(low), float(high)


def _bca_levels(
    levels: np.ndarray,
    drawn: np.ndarray,
    values: np.ndarray,
    weights: np.ndarray,
    groups: np.ndarray,
) -> np.ndarray:
    """The levels at which BCa reads the quantiles of the replicates, instead of `levels`."""
    means = group_means(values, weights, groups)
    # Sums in another order are the same number, so replicates this near count as equal to the mean
    near = 1e-12 * max(np.abs(drawn).max(), np.ptp(drawn))
    below = ((drawn < means.mean() - near).mean() + (drawn <= means.mean() + near).mean()) / 2
    bias = special.ndtri(np.clip(below, 1 / len(drawn), 1 - 1 / len(drawn)))
    influence = shares(weights, groups) * (values - means[groups])
    acceleration = (influence**3).sum() / (6 * (influence**2).sum() ** 1.5)
    z = bias + special.ndtri(levels)
    return special.ndtr(bias + z / (1 - acceleration * z))


def replicates(
    values: np.ndarray, weights: np.ndarray, groups: np.ndarray, *, resamples: int, seed: int
) -> np.ndarray:
    """(resamples,): the macro means of bootstrap samples.

    In each sample, the items of each group are drawn anew, with replacement.
    """
    rng = np.random.default_rng(seed)
    order = np.argsort(groups, kind="stable")
    bounds = np.searchsorted(groups[order], np.arange(1, int(groups.max()) + 1))
    total = np.zeros(resamples)
    for rows in np.split(order, bounds):
        total += _group_replicates(values[rows], weights[rows], resamples, rng)
    return total / (len(bounds) + 1)


def _group_replicates(
    values: np.ndarray, weights: np.ndarray, resamples: int, rng: np.random.Generator
) -> np.ndarray:
    """(resamples,): the weighted means of bootstrap samples of one group."""
    n = len(values)
    if (weights == weights[0]).all():
        distinct, counts = np.unique(values, return_counts=True)
        if len(distinct) <= MAX_DISTINCT:
            return rng.multinomial(n, counts / n, resamples) @ distinct / n
    block_size = max(1, BLOCK // n)
    means = []
    for start in range(0, resamples, block_size):
        rows = rng.integers(0, n, (min(block_size, resamples - start), n))
        means.append((values * weights)[rows].sum(1) / weights[rows].sum(1))
    return np.concatenate(means)


def shares(weights: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """(N,): how much each item counts in the macro mean.

    The macro mean is the sum of value * share. The shares add up to 1.
    """
    totals = np.bincount(groups, weights)
    return weights / totals[groups] / len(totals)


def group_means(values: np.ndarray, weights: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """(groups,): sum(value * weight) / sum(weight) of each group."""
    return np.bincount(groups, values * weights) / np.bincount(groups, weights)
