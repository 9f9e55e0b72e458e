"""Means, their standard errors and intervals, and what chance alone would give.

Arrays of one value for each item go in. Plain numbers come out.

A macro mean is the mean of the groups' means. Its standard error is sqrt(sum se_i^2) / k over the k
groups, not that of the pooled items. Items are the unit of resampling throughout: several draws of
one item are averaged before they come here.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy import stats


class Estimate(NamedTuple):
    """A mean and how certain it is.

    `se` is the standard error of the mean, `df` its degrees of freedom, and `n` the number of
    items. `se` is None where one item alone cannot tell.
    """

    mean: float
    se: float | None
    df: float
    n: int


def ratio(values: np.ndarray, weights: np.ndarray) -> Estimate:
    """sum(value * weight) / sum(weight), with the linearised standard error of a ratio.

    For equal weights, this is the standard error of a mean.

    Source: Cochran 1977, Sampling Techniques, equation 6.13 (without the finite-population
    correction).
    """
    n, total = len(values), weights.sum()
    mean = float((values * weights).sum() / total)
    if n < 2:
        return Estimate(mean, None, 0, n)
    residuals = weights * (values - mean)
    return Estimate(mean, float(np.sqrt(n / (n - 1) * (residuals**2).sum()) / total), n - 1, n)


def macro(values: np.ndarray, weights: np.ndarray, groups: np.ndarray) -> Estimate:
    """The mean over groups of their weighted means.

    The degrees of freedom are those of Welch and Satterthwaite. A group of one item gets the mean
    variance of the other groups. If all groups have one item, the groups are the sample.

    groups: (N,) integers from 0.
    """
    estimates = []
    for group in range(int(groups.max()) + 1):
        rows = groups == group
        estimates.append(ratio(values[rows], weights[rows]))
    means = np.array([estimate.mean for estimate in estimates])
    if all(estimate.se is None for estimate in estimates):
        return ratio(means, np.ones(len(means)))._replace(n=len(values))
    item_variances = [e.se**2 * e.n for e in estimates if e.se is not None]
    of_one_item = float(np.mean(item_variances))  # the variance of a group that has one item
    variances = np.array([of_one_item if e.se is None else e.se**2 for e in estimates])
    if variances.any():
        dfs = np.array([max(estimate.df, 1) for estimate in estimates])
        df = variances.sum() ** 2 / (variances**2 / dfs).sum()
    else:
        df = len(values) - len(estimates)
    se = float(np.sqrt(variances.sum()) / len(estimates))
    return Estimate(float(means.mean()), se, float(df), len(values))


def interval(estimate: Estimate, confidence: float) -> tuple[float, float] | None:
    """Student's interval of the mean, or None where the standard error is unknown."""
    if estimate.se is None:
        return None
    half = float(stats.t.ppf((1 + confidence) / 2, estimate.df)) * estimate.se
    return estimate.mean - half, estimate.mean + half


def wilson(n_successes: float, n: int, confidence: float) -> tuple[float, float]:
    """Wilson's interval of a proportion. Unlike Student's, it has a width at 0 and at 1."""
    z = float(stats.norm.ppf((1 + confidence) / 2))
    share = n_successes / n
    spread = z / n * math.sqrt(n_successes * (n - n_successes) / n + z**2 / 4)
    centre = share + z**2 / (2 * n)
    low, high = (centre - spread) / (1 + z**2 / n), (centre + spread) / (1 + z**2 / n)
    return 0.0 if n_successes == 0 else low, 1.0 if n_successes == n else high


def median_interval(values: np.ndarray, confidence: float) -> tuple[float, float]:
    """An interval of the median from two order statistics, valid for every distribution.

    Source: Conover 1999, Practical Nonparametric Statistics, section 3.2.
    """
    ordered, n = np.sort(values), len(values)
    low = int(stats.binom.ppf((1 - confidence) / 2, n, 0.5))
    return float(ordered[max(0, low - 1)]), float(ordered[min(n - 1, n - low)])


def random_choice_accuracy(
    n_tokens: np.ndarray, gold: np.ndarray, vocab_size: int, ties: str
) -> np.ndarray:
    """(items,): how often a random model gives the gold option the greatest log-prob.

    The model's logits are standard normal and drawn anew for every prefix.

    n_tokens: (items, options), the tokens of each option behind the beginning that all options
    share, which cancels; gold: (items,), the number of the gold option; ties: `half`, `win` or
    `loss`, what an item counts if its options are all alike, which is a tie.

    With V logits, the log of the sum of exponentials is close to its mean log V + 1/2. So n tokens
    have a log-prob of mean -n (log V + 1/2) and variance n: the option with fewer tokens wins. For
    two options, this is a normal probability. For more, it is an integral over the gold option's
    log-prob; beginnings that only some options share are taken as independent.
    """
    n_options = n_tokens.shape[1]
    others = (gold[:, None] + np.arange(1, n_options)) % n_options
    n_gold = np.take_along_axis(n_tokens, gold[:, None], 1)
    n_others = np.take_along_axis(n_tokens, others, 1)
    cost = math.log(vocab_size) + 0.5
    if n_options == 2:
        accuracy = stats.norm.cdf(
            (n_others - n_gold) * cost / np.sqrt(np.maximum(n_gold + n_others, 1))
        )[:, 0]
    else:
        accuracy = _accuracy_of_many(n_gold, n_others, cost)
    alike = (n_tokens == 0).all(1)
    accuracy[alike] = {"half": 1 / n_options, "win": gold[alike] == 0, "loss": 0.0}[ties]
    return accuracy


def _accuracy_of_many(n_gold: np.ndarray, n_others: np.ndarray, cost: float) -> np.ndarray:
    """(items,): the chance of the gold option against several others, by numerical integration.

    n_gold: (items, 1) tokens; n_others: (items, options - 1) tokens; cost: the mean negative
    log-prob of a token, in nats.
    """
    lengths = np.concatenate([n_gold, np.sort(n_others, 1)], 1)
    cases, case = np.unique(lengths, axis=0, return_inverse=True)
    z = np.linspace(-8, 8, 641)
    # (cases, points): the gold option's log-prob
    at = -cases[:, :1] * cost + np.sqrt(cases[:, :1]) * z
    # (cases, options - 1, points): how far it lies above the others' means, in their deviations
    above = (at[:, None] + cases[:, 1:, None] * cost) / np.sqrt(
        np.maximum(cases[:, 1:, None], 1e-9)
    )
    densities = (stats.norm.cdf(above).prod(1) * stats.norm.pdf(z)).sum(1)
    return densities[case.ravel()] * (z[1] - z[0])
