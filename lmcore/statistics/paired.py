"""Tests on the same items under two models.

Differences of values go in. p values come out. Effect sizes and corrections of many p values are
here, too.

The p value of a difference is computed by `sign_flip`: if nothing distinguishes the models, the
difference of each item could as well have come with the other sign. All tests are two-sided, so
exchanging the models changes no p value.
"""

import numpy as np
from scipy import special

from lmcore.errors import InputError

ALL_PATTERNS = 16  # all patterns of signs are counted if at most so many items differ
# patterns are drawn as counts of each size if the differences have at most so many distinct sizes
MAX_SIZES = 256
MAX_SIGNS = 30_000_000  # signs drawn for one test; sums of so many items are normal
BLOCK = 2_000_000  # signs drawn at a time


def sign_flip(differences: np.ndarray, shares: np.ndarray, *, resamples: int, seed: int) -> float:
    """The p value of a difference: the share of sign patterns that give as great a difference.

    The difference is |sum(difference * share)| over the items. The p value is 1 where no item
    differs.

    The p value is exact for decisions whose items count alike (without ties, it is that of
    McNemar's exact test) and if at most ALL_PATTERNS items differ. Otherwise, it is estimated from
    `resamples` random patterns. For many items of many sizes, it is that of the normal limit.
    """
    terms = differences * shares
    sizes, counts = np.unique(np.abs(terms[terms != 0]), return_counts=True)
    n, observed = int(counts.sum()), abs(float(terms.sum()))
    if n == 0:
        return 1.0
    if len(sizes) == 1:
        return _lattice_p(observed / sizes[-1] * 2, 0, counts[0])
    if len(sizes) == 2 and sizes[1] == 2 * sizes[0]:
        return _lattice_p(observed / sizes[-1] * 2, *counts)
    if n <= ALL_PATTERNS:
        patterns = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
        sums = (2 * patterns - 1) @ np.repeat(sizes, counts)
        return float(_at_least(np.abs(sums), observed).mean())
    if len(sizes) > MAX_SIZES and n * resamples > MAX_SIGNS:
        return float(2 * special.ndtr(-observed / np.sqrt((sizes**2 * counts).sum())))
    sums = _random_sums(sizes, counts, resamples, seed)
    return float((1 + _at_least(np.abs(sums), observed).sum()) / (resamples + 1))


def _random_sums(sizes: np.ndarray, counts: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """(resamples,): sums of terms under random signs; `counts[i]` terms have size `sizes[i]`."""
    rng = np.random.default_rng(seed)
    if len(sizes) <= MAX_SIZES:
        sums = np.zeros(resamples)
        for size, count in zip(sizes, counts):
            sums += size * (2.0 * rng.binomial(count, 0.5, resamples) - count)
        return sums
    n = int(counts.sum())
    sums, terms = np.empty(resamples), np.repeat(sizes, counts)
    for rows in np.array_split(np.arange(resamples), max(1, n * resamples // BLOCK)):
        random_bytes = rng.integers(0, 256, (len(rows), (n + 7) // 8), np.uint8)
        bits = np.unpackbits(random_bytes, axis=1)[:, :n]
        sums[rows] = 2.0 * (bits @ terms) - terms.sum()
    return sums


def _at_least(sums: np.ndarray, observed: float) -> np.ndarray:
    return sums >= observed * (1 - 1e-9)  # the same sum in another order is the same


def _lattice_p(observed: float, n_half: int, n_whole: int) -> float:
    """P(|S| >= observed), where S is the sum of `n_half` signs and of twice `n_whole` signs."""
    at_least = round(observed)
    if at_least == 0:
        return 1.0
    halves = np.arange(n_half + 1)
    # So many of the whole signs must be positive: the ceiling of a quarter of what is lacking
    needed = -((2 * halves - n_half - 2 * n_whole - at_least) // 4)
    tail = np.where(needed > 0, special.bdtrc(np.clip(needed - 1, 0, n_whole), n_whole, 0.5), 1.0)
    return float(min(1.0, 2 * (_half_pmf(halves, n_half) * tail).sum()))


def _half_pmf(k: np.ndarray, n: np.ndarray | int) -> np.ndarray:
    """The chance of k heads in n tosses."""
    return np.exp(
        special.gammaln(np.add(n, 1))
        - special.gammaln(k + 1)
        - special.gammaln(n - k + 1)
        - np.multiply(n, np.log(2))
    )


def mcnemar(n_better: np.ndarray, n_worse: np.ndarray, method: str) -> np.ndarray:
    """The p values of McNemar's test for these numbers of discordant items; 1 where there are none.

    `method` is `exact`, `mid_p` or `chi_square`, which has no continuity correction. Raises
    ValueError for another one. The caller leaves out items that are a tie under either model.

    Source: Fagerland, Lydersen & Laake 2013, BMC Medical Research Methodology 13:91, who recommend
    mid-p.
    """
    n_better, n_worse = np.asarray(n_better, float), np.asarray(n_worse, float)
    n, fewer = n_better + n_worse, np.minimum(n_better, n_worse)
    if method == "chi_square":
        return special.chdtrc(1, (n_better - n_worse) ** 2 / np.maximum(n, 1))
    if method not in ("exact", "mid_p"):
        raise ValueError(f"unknown method '{method}'; expected exact, mid_p or chi_square")
    both_tails = 2 * special.bdtr(fewer, n.astype(int), 0.5)
    return np.minimum(1.0, both_tails if method == "exact" else both_tails - _half_pmf(fewer, n))


def flips_interval(
    n_better: float, n_worse: float, n: int, confidence: float
) -> tuple[float, float]:
    """The interval of (n_better - n_worse) / n, a difference of paired proportions.

    Unlike Student's interval, it has a width where all items flip in one direction.

    Source: Bonett & Price 2012, Journal of Educational and Behavioral Statistics 37(4): one item
    added to either count.
    """
    better, worse = (n_better + 1) / (n + 2), (n_worse + 1) / (n + 2)
    variance = (better + worse - (better - worse) ** 2) / (n + 2)
    half = float(special.ndtri((1 + confidence) / 2)) * np.sqrt(variance)
    return max(-1.0, float(better - worse - half)), min(1.0, float(better - worse + half))


def bootstrap_p(replicates: np.ndarray) -> float:
    """The two-sided p value of a difference from its bootstrap replicates.

    It is twice the smaller share of replicates on either side of 0.
    """
    n_beyond = min((replicates <= 0).sum(), (replicates >= 0).sum())
    return float(min(1.0, 2 * (1 + n_beyond) / (len(replicates) + 1)))


def cohens_dz(differences: np.ndarray) -> float | None:
    """The mean difference in standard deviations of the differences; None where these do not vary.

    Source: Cohen 1988, Statistical Power Analysis for the Behavioral Sciences, section 2.3.5.
    """
    spread = float(differences.std(ddof=1)) if len(differences) > 1 else 0.0
    return float(differences.mean()) / spread if spread else None


def cohens_h(a: float, b: float) -> float:
    """The effect size of two proportions, 2 asin(sqrt(b)) - 2 asin(sqrt(a)).

    Source: Cohen 1988, section 6.2.
    """
    return float(2 * np.arcsin(np.sqrt(b)) - 2 * np.arcsin(np.sqrt(a)))


def odds_ratio(n_better: float, n_worse: float) -> float:
    """How many items turned right for one that turned wrong.

    This is the conditional odds ratio of paired decisions, with 1/2 added to either count.
    """
    return (n_better + 0.5) / (n_worse + 0.5)


def corrected(p: np.ndarray, method: str) -> np.ndarray:
    """The p values (in any order), corrected for their number.

    `holm` bounds the chance of one false claim, `fdr_bh` the share of false claims. Raises
    InputError for another method. The results are those of statsmodels' multipletests, whose import
    takes longer than a whole comparison.

    Source: Holm 1979; Benjamini & Hochberg 1995.
    """
    n, order = len(p), np.argsort(p, kind="stable")
    result = np.empty(n)
    if method == "holm":
        result[order] = np.maximum.accumulate((n - np.arange(n)) * p[order])
    elif method == "fdr_bh":
        result[order] = np.minimum.accumulate((n / np.arange(1, n + 1) * p[order])[::-1])[::-1]
    else:
        raise InputError(f"unknown correction '{method}'; expected holm or fdr_bh")
    return np.minimum(1.0, result)
