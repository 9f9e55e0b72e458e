"""How small a difference a comparison can find, and how many items a given one takes: an Estimate of a paired difference goes in.

From the standard error of a comparison that was made; before there is one, from the shares of items that would turn either way.
"""

import math

from scipy import special

from lmcore.statistics.stats import Estimate


def detectable_difference(estimate: Estimate, *, confidence: float, power: float) -> float | None:
    """The true difference that the share `power` of such comparisons would find (p < 1 - confidence); None without a standard error.

    Source: Bloom 1995, Minimum Detectable Effects, Evaluation Review 19(5).
    """
    if not estimate.se:
        return None
    return (
        float(
            special.stdtrit(estimate.df, (1 + confidence) / 2) + special.stdtrit(estimate.df, power)
        )
        * estimate.se
    )


def items_needed(
    difference: float, estimate: Estimate, *, confidence: float, power: float
) -> int | None:
    """How many items like these, in the same proportions, let the share `power` of comparisons find a true `difference`."""
    if not estimate.se:
        return None
    return math.ceil(estimate.n * (_quantiles(confidence, power) * estimate.se / difference) ** 2)


def items_needed_for_flips(better: float, worse: float, *, confidence: float, power: float) -> int:
    """The number of items with which McNemar's test finds that the share `better` turns right and `worse` turns wrong.

    Source: Connor 1987, Sample size for testing differences in proportions for the paired-sample design, Biometrics 43(1).
    """
    z, z_power = special.ndtri((1 + confidence) / 2), special.ndtri(power)
    flips, difference = better + worse, better - worse
    return math.ceil(
        (z * math.sqrt(flips) + z_power * math.sqrt(flips - difference**2)) ** 2 / difference**2
    )


def _quantiles(confidence: float, power: float) -> float:
    return float(special.ndtri((1 + confidence) / 2) + special.ndtri(power))
