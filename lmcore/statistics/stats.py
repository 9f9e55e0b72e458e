"""Means, their standard errors and intervals, and what chance alone would give.

Arrays of one value for each item go in. Plain numbers come out.

A macro mean is the mean of the groups' means. Its standard error is sqrt(sum se_i^2) / k over the k
groups, not that of the pooled items. Items are the unit of resampling throughout: several draws of
one item are averaged before they come here.
"""

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from scipy import stats


class Estimate(NamedTuple):
    """A mean and how certain it is.

    `se` is the standard error of the mean, `df` its degrees of freedom, and `n` the number of
    items. `se` is None where one item alone cannot tell. `n_effective` is the effective number of
    items of a ratio, None where all items weigh the same. `n_clusters` is None where every item is
    its own cluster (see lmcore.statistics.clusters); otherwise clusters are what is effective.
    """

    mean: float
    se: float | None
    df: float
    n: int
    n_effective: float | None = None
    n_clusters: int | None = None


FEW_ITEMS = 10  # with fewer effective items, an interval is rough and few differences can show


def ratio(values: np.ndarray, weights: np.ndarray) -> Estimate:
    """sum(value * weight) / sum(weight), with the linearised standard error of a ratio.

    For equal weights, this is the standard error of a mean, with n - 1 degrees of freedom. For
    unequal weights, they are those of `ratio_df`. Where no item has a weight, the mean is NaN.

    Source: Cochran 1977, Sampling Techniques, equation 6.13 (without the finite-population
    correction).
    """
    return ratio_of_runs(lambda: [(values, weights)])


def ratio_of_runs(
    runs: Callable[[], Iterable[tuple[np.ndarray, np.ndarray]]],
) -> Estimate:
    """`ratio` of items that come in runs of (values, weights), each (N,), as they fit into memory.

    `runs` is called twice, and gives the same both times.
    """
    n, total, of_values = 0, np.float64(0), 0.0
    equal: float | None = None  # the weight of all items so far
    are_alike = True
    for values, weights in runs():
        n += len(values)
        total += weights.sum()
        of_values += float((values * weights).sum())
        if len(weights):
            equal = float(weights[0]) if equal is None else equal
            are_alike = are_alike and bool((weights == equal).all())
    with np.errstate(invalid="ignore"):
        mean = float(of_values / total)
    if n < 2:
        return Estimate(mean, None, 0, n)
    squares = of_squares = 0.0
    powers = np.zeros(4)
    for values, weights in runs():
        squares += float(((weights * (values - mean)) ** 2).sum())
        if not are_alike:
            of_squares += float((weights**2).sum())
            powers += _powers(weights / total)
    se = float(math.sqrt(n / (n - 1) * squares) / total)
    if are_alike:
        return Estimate(mean, se, n - 1, n)
    return Estimate(mean, se, _satterthwaite(powers), n, float(total**2 / of_squares))


def effective_items(weights: np.ndarray) -> float:
    """How many items of equal weight would tell as much: sum(w)^2 / sum(w^2).

    Source: Kish 1965, Survey Sampling, section 11.7.
    """
    return float(weights.sum() ** 2 / (weights**2).sum())


def ratio_df(weights: np.ndarray) -> float:
    """The degrees of freedom of the variance of a ratio, at least 1; n - 1 for equal weights.

    With the shares w, the variance is a multiple of the quadratic form sum(w^2 (d - sum(w d))^2).
    If the d vary alike, it has the matrix M = (I - w 1') diag(w^2) (I - 1 w'), and Satterthwaite's
    degrees of freedom are tr(M)^2 / tr(M M). Both traces are sums of powers of w.

    Source: Bell & McCaffrey 2002, Survey Methodology 28(2); Imbens & Kolesar 2016, Review of
    Economics and Statistics 98(4).
    """
    return _satterthwaite(_powers(weights / weights.sum()))


def _powers(share: np.ndarray) -> np.ndarray:
    """The sums of the second to the fifth powers of shares."""
    return np.array([(share**power).sum() for power in (2, 3, 4, 5)])


def _satterthwaite(powers: np.ndarray) -> float:
    """`ratio_df` of the shares whose sums of powers these are."""
    s2, s3, s4, s5 = powers.tolist()
    trace = s2 - 2 * s3 + s2**2
    of_square = s4 + 4 * s2 * s4 + s2**4 - 4 * s5 + 2 * s3**2 - 4 * s2**2 * s3
    return max(1.0, trace**2 / of_square) if of_square > 0 else 1.0


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
    n_effective = estimates[0].n_effective if len(estimates) == 1 else None
    return Estimate(float(means.mean()), se, float(df), len(values), n_effective)


def interval(estimate: Estimate, confidence: float) -> tuple[float, float] | None:
    """Student's interval of the mean, or None where the standard error is unknown."""
    if estimate.se is None:
        return None
    half = float(stats.t.ppf((1 + confidence) / 2, estimate.df)) * estimate.se
    return estimate.mean - half, estimate.mean + half


def wilson(n_successes: float, n: float, confidence: float) -> tuple[float, float]:
    """Wilson's interval of a proportion. Unlike Student's, it has a width at 0 and at 1.

    `n` is the number of items, or the effective one.
    """
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
