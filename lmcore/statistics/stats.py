"""Means, their standard errors and intervals, and what chance alone would give; arrays of one value an item go in, plain numbers come out.

A macro mean is the mean of the groups' means; its standard error is sqrt(sum se_i^2) / k over the k groups, not that of the pooled items.
Items are the unit of resampling throughout: several draws of one item are averaged before they come here.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy import stats


class Estimate(NamedTuple):
    """A mean, its standard error with the degrees of freedom of that, and the number of items; `se` is None where one item cannot tell."""

    mean: float
    se: float | None
    df: float
    n: int


def ratio(values: np.ndarray, weights: np.ndarray) -> Estimate:
    """sum(value * weight) / sum(weight), with the linearised standard error of a ratio; for equal weights, that of a mean.

    Source: Cochran 1977, Sampling Techniques, equation 6.13 (without the finite-population correction).
    """
    n, total = len(values), weights.sum()
    mean = float((values * weights).sum() / total)
    if n < 2:
        return Estimate(mean, None, 0, n)
    residuals = weights * (values - mean)
    return Estimate(mean, float(np.sqrt(n / (n - 1) * (residuals**2).sum()) / total), n - 1, n)


def macro(values: np.ndarray, weights: np.ndarray, groups: np.ndarray) -> Estimate:
    """The mean over groups of their weighted means; the degrees of freedom are Welch and Satterthwaite's.

    groups: (N,) integers from 0. A group of one item has the mean variance of the others; where all have one, the groups are the sample.
    """
    parts = [
        ratio(values[groups == group], weights[groups == group])
        for group in range(int(groups.max()) + 1)
    ]
    means = np.array([part.mean for part in parts])
    if all(part.se is None for part in parts):
        return ratio(means, np.ones(len(means)))._replace(n=len(values))
    spread = float(np.mean([part.se**2 * part.n for part in parts if part.se is not None]))
    variances = np.array([spread if part.se is None else part.se**2 for part in parts])
    df = (
        variances.sum() ** 2 / (variances**2 / np.array([max(part.df, 1) for part in parts])).sum()
        if variances.any()
        else len(values) - len(parts)
    )
    return Estimate(
        float(means.mean()), float(np.sqrt(variances.sum()) / len(parts)), float(df), len(values)
    )


def interval(estimate: Estimate, confidence: float) -> tuple[float, float] | None:
    """Student's interval of the mean, or None where the standard error is unknown."""
    if estimate.se is None:
        return None
    half = float(stats.t.ppf((1 + confidence) / 2, estimate.df)) * estimate.se
    return estimate.mean - half, estimate.mean + half


def wilson(n_successes: float, n: int, confidence: float) -> tuple[float, float]:
    """Wilson's interval of a proportion: unlike Student's it has a width at 0 and at 1."""
    z = float(stats.norm.ppf((1 + confidence) / 2))
    share, spread = (
        n_successes / n,
        z / n * math.sqrt(n_successes * (n - n_successes) / n + z**2 / 4),
    )
    centre = share + z**2 / (2 * n)
    low, high = (centre - spread) / (1 + z**2 / n), (centre + spread) / (1 + z**2 / n)
    return 0.0 if n_successes == 0 else low, 1.0 if n_successes == n else high


def median_interval(values: np.ndarray, confidence: float) -> tuple[float, float]:
    """An interval of the median from two order statistics, whatever the distribution.

    Source: Conover 1999, Practical Nonparametric Statistics, section 3.2.
    """
    ordered, n = np.sort(values), len(values)
    low = int(stats.binom.ppf((1 - confidence) / 2, n, 0.5))
    return float(ordered[max(0, low - 1)]), float(ordered[min(n - 1, n - low)])


def random_choice_accuracy(
    n_tokens: np.ndarray, gold: np.ndarray, vocab_size: int, ties: str
) -> np.ndarray:
    """(items,): how often a model with standard normal logits, drawn anew for every prefix, gives the gold option the greatest log-prob.

    n_tokens: (items, options), the tokens of each option behind the beginning that all share, which cancels; gold: (items,), its option.
    With V logits the log of the sum of exponentials is close to its mean log V + 1/2, so n tokens have a log-prob of mean
    -n (log V + 1/2) and variance n: the option with fewer tokens wins. For two options this is a normal probability, for more an
    integral over the gold option's log-prob (beginnings that only some options share are taken as independent). Options that
    are all alike are a tie.
    """
    cost = math.log(vocab_size) + 0.5
    n_gold = np.take_along_axis(n_tokens, gold[:, None], 1)
    n_others = np.take_along_axis(
        n_tokens, (gold[:, None] + np.arange(1, n_tokens.shape[1])) % n_tokens.shape[1], 1
    )
    if n_others.shape[1] == 1:
        accuracy = stats.norm.cdf(
            (n_others - n_gold) * cost / np.sqrt(np.maximum(n_gold + n_others, 1))
        )[:, 0]
    else:
        cases, case = np.unique(
            np.concatenate([n_gold, np.sort(n_others, 1)], 1), axis=0, return_inverse=True
        )
        z = np.linspace(-8, 8, 641)
        at = (
            -cases[:, :1] * cost + np.sqrt(cases[:, :1]) * z
        )  # the gold option's log-prob, (cases, points)
        above = (at[:, None] + cases[:, 1:, None] * cost) / np.sqrt(
            np.maximum(cases[:, 1:, None], 1e-9)
        )
        accuracy = (stats.norm.cdf(above).prod(1) * stats.norm.pdf(z)).sum(1)[case.ravel()] * (
            z[1] - z[0]
        )
    alike = (n_tokens == 0).all(1)
    at_tie = {"half": 1 / n_tokens.shape[1], "win": gold[alike] == 0, "loss": 0.0}[ties]
    accuracy[alike] = at_tie
    return accuracy
