"""Beta posteriors of shares of right items, for small samples.

Counts of right items by group go in. The bounds of a credible interval come out.
"""

import numpy as np
from scipy import special

DRAWS = 40_000  # of a macro mean's posterior: bounds to a hundredth of its standard deviation
SEED = 0


def beta_interval(
    n_right: np.ndarray, n: np.ndarray, confidence: float, *, draws: int = DRAWS
) -> tuple[float, float]:
    """The equal-tailed credible interval of the mean of the groups' shares of right items.

    With one group, the prior is Jeffreys': half a right item and half a wrong one, Beta(1/2, 1/2).
    It is chosen before the uniform prior, Beta(1, 1), since its interval covers shares near 0 and 1
    more evenly. With k groups, this one item is divided among them: Beta(1/(2k), 1/(2k)) in each.
    Half an item in every group would pull all of them towards 1/2, and these biases add up while
    the interval becomes narrower: in 36 groups of 25 items, it would hold a share of 98 % in 2 % of
    cases. The posterior of the mean over groups comes from seeded draws of the groups' posteriors.

    A tie counts as half a right item, so `n_right` may have halves. As with Wilson's interval, a
    bound is 0 where no item is right, and 1 where all are.

    n_right, n: (groups,), each group with at least one item.

    Source: Brown, Cai & DasGupta 2001, Interval Estimation for a Binomial Proportion, Statistical
    Science 16(2), section 4.1.2 (Jeffreys' interval); Berger, Bernardo & Sun 2015, Overall
    Objective Priors, Bayesian Analysis 10(1) (one item divided among many parameters).
    """
    levels = np.array([(1 - confidence) / 2, (1 + confidence) / 2])
    prior = 0.5 / len(n)
    right, wrong = n_right + prior, n - n_right + prior
    if len(n) == 1:
        low, high = special.betaincinv(right[0], wrong[0], levels)
    else:
        low, high = np.quantile(_draws_of_mean(right, wrong, draws), levels)
    is_none, is_all = not n_right.any(), bool((n_right == n).all())
    return 0.0 if is_none else float(low), 1.0 if is_all else float(high)


def _draws_of_mean(right: np.ndarray, wrong: np.ndarray, draws: int) -> np.ndarray:
    """(draws,): the mean over groups of draws from their beta posteriors."""
    rng = np.random.default_rng(SEED)
    total = np.zeros(draws)
    for a, b in zip(right, wrong, strict=True):
        total += rng.beta(a, b, draws)
    return total / len(right)
