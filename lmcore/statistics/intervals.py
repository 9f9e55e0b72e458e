"""Bootstrap intervals of a macro mean: values, weights and groups of items go in, bounds come out.

Items are drawn anew within each group (stratified), since the groups of a suite are fixed. Few distinct values, such as 0, 1/2 and 1 or
the five differences of two such, are drawn exactly, as one multinomial a group. Running text is drawn by document: `by_cluster` first.
"""

import numpy as np
from scipy import special

from lmcore.errors import InputError

MAX_DISTINCT = 16  # distinct values of a group up to which its sample is drawn as counts of them
BLOCK = 4_000_000  # numbers drawn at a time where they are not


def by_cluster(
    values: np.ndarray, weights: np.ndarray, clusters: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """One value and weight a cluster: its ratio sum(value * weight) / sum(weight), and sum(weight). The ratio of all stays what it was.

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
    """The interval of the macro mean from its replicates `drawn`, by `percentile` or `bca` (bias-corrected and accelerated).

    Source: Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapters 13 and 14.
    """
    if method not in ("percentile", "bca"):
        raise InputError(f"unknown interval '{method}'; expected student, percentile or bca")
    levels = np.array([(1 - confidence) / 2, (1 + confidence) / 2])
    if method == "bca" and np.ptp(drawn) > 0:
        means = group_means(values, weights, groups)
        near = 1e-12 * max(
            np.abs(drawn).max(), np.ptp(drawn)
        )  # sums in another order are the same number
        below = ((drawn < means.mean() - near).mean() + (drawn <= means.mean() + near).mean()) / 2
        bias = special.ndtri(np.clip(below, 1 / len(drawn), 1 - 1 / len(drawn)))
        influence = shares(weights, groups) * (values - means[groups])
        acceleration = (influence**3).sum() / (6 * (influence**2).sum() ** 1.5)
        z = bias + special.ndtri(levels)
        levels = special.ndtr(bias + z / (1 - acceleration * z))
    low, high = np.quantile(drawn, levels)
    return float(low), float(high)


def replicates(
    values: np.ndarray, weights: np.ndarray, groups: np.ndarray, *, resamples: int, seed: int
) -> np.ndarray:
    """(resamples,): the macro means of bootstrap samples, in which each group's items are drawn anew with replacement."""
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
    n = len(values)
    if (weights == weights[0]).all():
        distinct, counts = np.unique(values, return_counts=True)
        if len(distinct) <= MAX_DISTINCT:
            return rng.multinomial(n, counts / n, resamples) @ distinct / n
    drawn = []
    for start in range(0, resamples, max(1, BLOCK // n)):
        rows = rng.integers(0, n, (min(max(1, BLOCK // n), resamples - start), n))
        drawn.append((values * weights)[rows].sum(1) / weights[rows].sum(1))
    return np.concatenate(drawn)


def shares(weights: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """(N,): how much each item counts in the macro mean, which is the sum of value * share; they add up to 1."""
    totals = np.bincount(groups, weights)
    return weights / totals[groups] / len(totals)


def group_means(values: np.ndarray, weights: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """(groups,): sum(value * weight) / sum(weight) of each group."""
    return np.bincount(groups, values * weights) / np.bincount(groups, weights)
