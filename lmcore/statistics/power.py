"""How small a difference a comparison can find, and how many items a given difference takes.

An Estimate of a paired difference goes in: the calculation uses the standard error of a comparison
that was already made.
"""

import math

from scipy import special

from lmcore.statistics.stats import Estimate


def detectable_difference(estimate: Estimate, *, confidence: float, power: float) -> float | None:
    """The true difference that the share `power` of such comparisons would find.

    A comparison finds a difference if p < 1 - confidence. None without a standard error.

    Source: Bloom 1995, Minimum Detectable Effects, Evaluation Review 19(5).
    """
    if not estimate.se:
        return None
    significance_quantile = special.stdtrit(estimate.df, (1 + confidence) / 2)
    power_quantile = special.stdtrit(estimate.df, power)
    return float(significance_quantile + power_quantile) * estimate.se


def items_needed(
    difference: float, estimate: Estimate, *, confidence: float, power: float
) -> int | None:
    """How many items let the share `power` of comparisons find a true `difference`.

    The items are like those of the estimate, in the same proportions. None without a standard
    error.
    """
    if not estimate.se:
        return None
    quantiles = _sum_of_quantiles(confidence, power)
    return math.ceil(estimate.n * (quantiles * estimate.se / difference) ** 2)


def _sum_of_quantiles(confidence: float, power: float) -> float:
    """The difference that is found with this power, in standard errors of a normal estimate."""
    return float(special.ndtri((1 + confidence) / 2) + special.ndtri(power))
