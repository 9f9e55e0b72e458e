"""The sign-flip test of a difference of two ratios over a corpus, and the interval that it gives.

Differences of texts and the sizes of these texts go in. A p value and an interval come out. Both
are read from the same patterns of signs, so p is below 1 - confidence exactly where the interval
excludes 0.

If the true difference is delta, then the difference of a text minus delta could as well have come
with the other sign. Let w be the shares of the texts in the corpus (they add up to 1), d their
differences, D = sum(w * d), and s a pattern of signs. The pattern reaches what was observed if
|sum(s * w * (d - delta))| >= |D - delta|. Write r for the mean of d, weighted by w, over the texts
whose sign is 1, and q for that over the other texts. Squared and factored, the inequality says that
delta lies between r and q. So a pattern keeps every delta from min(r, q) to max(r, q), D is always
among them, and the share of patterns that keep delta falls on both sides of D. The interval of all
delta with p >= 1 - confidence therefore ends at two order statistics of min(r, q) and of max(r, q).
A pattern whose signs are all alike keeps every delta.

Source: Hartigan 1969, Journal of the American Statistical Association 64, on means of subsamples as
typical values; for the weights see above.
"""

from typing import NamedTuple

import numpy as np
from scipy import special

from lmcore.statistics.paired import ALL_PATTERNS, BLOCK, MAX_SIGNS
from lmcore.statistics.stats import effective_items

NORMAL_FROM = 100  # effective items; with fewer, a few texts decide, and no sum is normal
EXACT_SIGNS = 50  # of so many, the chances of patterns are floats without an error
NEAR = 1e-12  # relative to the greatest difference: sums in another order are the same number


class Flipped(NamedTuple):
    """A p value and the interval of the same test.

    `low` and `high` are None where so few texts cannot bound the difference at this confidence.
    """

    p: float
    low: float | None
    high: float | None


class _Kept(NamedTuple):
    """What each pattern keeps, and how probable it is."""

    lows: np.ndarray  # (patterns,) the least difference; -inf where the signs are all alike
    highs: np.ndarray  # (patterns,) the greatest
    chances: np.ndarray | None  # (patterns,); None where all are equally probable


def ratio_flips(
    differences: np.ndarray, weights: np.ndarray, *, confidence: float, resamples: int, seed: int
) -> Flipped:
    """The test of sum(difference * weight) / sum(weight), and its interval.

    Texts of weight 0 are left out. The result is exact if at most ALL_PATTERNS texts remain, or if
    so many are equal that there are no more different patterns. Otherwise, it is estimated from
    `resamples` random patterns and the observed one. For more than MAX_SIGNS signs, the sums are
    taken as normal, unless a few texts hold most of the weight.

    differences, weights: (N,); a weight is at least 0.
    """
    has_weight = weights > 0
    differences, weights = differences[has_weight], weights[has_weight]
    n = len(weights)
    if n == 0:
        return Flipped(1.0, None, None)
    shares = weights / weights.sum()
    terms = np.stack([shares * differences, shares], 1)
    kinds, counts = np.unique(terms, axis=0, return_counts=True)
    if np.log2(counts + 1.0).sum() <= ALL_PATTERNS + 1e-9:
        kept = _all_patterns(kinds, counts)
    elif n * resamples > MAX_SIGNS and effective_items(weights) >= NORMAL_FROM:
        return _normal(differences, shares, confidence)
    else:
        kept = _drawn_patterns(terms, resamples, seed)
    near = NEAR * float(np.abs(differences).max())
    return _read(kept, float(terms[:, 0].sum()), near, 1 - confidence)


def _all_patterns(kinds: np.ndarray, counts: np.ndarray) -> _Kept:
    """What all patterns keep; those with the same number of pluses of each kind are one.

    kinds: (kinds, 2) the terms of texts that are equal; counts: (kinds,) how many texts they are.
    """
    n_plus = np.indices(tuple(counts + 1)).reshape(len(counts), -1).T
    chances = np.ones(len(n_plus))
    for of_kind, count in zip(n_plus.T, counts.tolist()):
        chances *= _chances(of_kind, count)
    lows, highs = _bounds(n_plus @ kinds, (counts - n_plus) @ kinds)
    is_alike = (n_plus == 0).all(1) | (n_plus == counts).all(1)
    lows[is_alike], highs[is_alike] = -np.inf, np.inf
    return _Kept(lows, highs, chances)


def _chances(k: np.ndarray, n: int) -> np.ndarray:
    """The chance of k pluses among n signs; sums of few chances are exact."""
    if n <= EXACT_SIGNS:
        return special.binom(n, k) * 0.5**n
    return np.exp(
        special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1) - n * np.log(2)
    )


def _drawn_patterns(terms: np.ndarray, resamples: int, seed: int) -> _Kept:
    """What random patterns and the observed one, whose signs are alike, keep; terms: (N, 2)."""
    n = len(terms)
    rng = np.random.default_rng(seed)
    lows, highs = np.full(resamples + 1, -np.inf), np.full(resamples + 1, np.inf)
    for rows in np.array_split(np.arange(resamples), max(1, n * resamples // BLOCK)):
        random_bytes = rng.integers(0, 256, (len(rows), (n + 7) // 8), np.uint8)
        bits = np.unpackbits(random_bytes, axis=1)[:, :n].astype(np.float64)
        n_plus = bits.sum(1)
        is_mixed = (n_plus > 0) & (n_plus < n)
        lows[rows[is_mixed]], highs[rows[is_mixed]] = (
            bounds[is_mixed] for bounds in _bounds(bits @ terms, (1 - bits) @ terms)
        )
    return _Kept(lows, highs, None)


def _bounds(sums: np.ndarray, other_sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two arrays (patterns,): the smaller and the greater mean of the two parts of each pattern.

    sums, other_sums: (patterns, 2) of the terms; a part without texts has the mean 0.
    """
    means = []
    for totals, shares in (sums.T, other_sums.T):
        means.append(np.divide(totals, shares, out=np.zeros(len(shares)), where=shares > 0))
    return np.minimum(*means), np.maximum(*means)


def _read(kept: _Kept, observed: float, near: float, level: float) -> Flipped:
    """p and the interval from what each pattern keeps; numbers within `near` of 0 count as 0."""
    n = len(kept.lows)
    upwards, downwards = np.argsort(kept.lows), np.argsort(-kept.highs)
    lows, highs = kept.lows[upwards], kept.highs[downwards]
    if kept.chances is None:
        from_low = from_high = np.arange(1, n + 1) / n
    else:
        from_low, from_high = np.cumsum(kept.chances[upwards]), np.cumsum(kept.chances[downwards])
    p = 1.0
    if observed > near:
        p = from_low[int((lows <= near).sum()) - 1]
    elif observed < -near:
        p = from_high[int((highs >= -near).sum()) - 1]
    # the first bound that so many patterns keep, by their share
    places = [min(n - 1, int((shares < level).sum())) for shares in (from_low, from_high)]
    low, high = lows[places[0]], highs[places[1]]
    if np.isinf(low) or np.isinf(high):
        return Flipped(min(1.0, float(p)), None, None)
    bounds = [0.0 if abs(bound) <= near else float(bound) for bound in (low, high)]
    return Flipped(min(1.0, float(p)), *bounds)


def _normal(differences: np.ndarray, shares: np.ndarray, confidence: float) -> Flipped:
    """The same where the sum over the texts is normal: (D - delta)^2 <= z^2 sum(w^2 (d - delta)^2).

    The bounds are the roots of this quadratic in delta.
    """
    z = float(special.ndtri((1 + confidence) / 2))
    observed = float((shares * differences).sum())
    squares = shares**2
    s0, s1, s2 = (float((squares * differences**power).sum()) for power in range(3))
    p = float(2 * special.ndtr(-abs(observed) / np.sqrt(s2))) if s2 else 1.0
    first, half, last = 1 - z**2 * s0, observed - z**2 * s1, observed**2 - z**2 * s2
    if first <= 0:
        return Flipped(p, None, None)
    root = np.sqrt(max(half**2 - first * last, 0.0))
    return Flipped(p, float((half - root) / first), float((half + root) / first))
