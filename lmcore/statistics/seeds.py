"""The difference of two recipes with several training seeds a side: values of items under every seed go in, an Estimate comes out.

Seeds and items are crossed: every model answers every item. Both are samples, so the variance of the difference is that over seeds plus
that over items, less their interaction, which is in both. The draws of a random model are its seeds.
"""

import numpy as np

from lmcore.statistics.intervals import shares
from lmcore.statistics.stats import Estimate, macro


def seeds_and_items(
    a: np.ndarray, b: np.ndarray, weights: np.ndarray, groups: np.ndarray
) -> Estimate:
    """The macro mean of b - a with its standard error over seeds and items; a, b: (seeds, N). With one seed a side, over items alone.

    Degrees of freedom are Satterthwaite's. A side with one seed adds no variance of seeds: that is unknown, not 0.
    Source: Cameron, Gelbach & Miller 2011, Journal of Business & Economic Statistics 29(2), equation 2.13.
    """
    over_items = macro(b.mean(0) - a.mean(0), weights, groups)
    sides = [_over_seeds(side, weights, groups) for side in (a, b) if len(side) > 1]
    if not sides or over_items.se is None:
        return over_items
    parts = [(over_items.se**2, over_items.df), *((seeds, df) for seeds, _, df in sides)]
    variance = sum(part for part, _ in parts) - sum(interaction for _, interaction, _ in sides)
    variance = max(variance, *(part for part, _ in parts))
    df = variance**2 / sum(part**2 / df for part, df in parts) if variance else over_items.df
    return over_items._replace(se=float(np.sqrt(variance)), df=float(df))


def spread(values: np.ndarray, weights: np.ndarray, groups: np.ndarray) -> dict[str, float]:
    """How far the macro means of several seeds lie apart, and how often two of them give an item the same value; values: (seeds, N)."""
    means = [macro(value, weights, groups).mean for value in values]
    n = len(values)
    alike = sum(float((values[i] == values[j]).mean()) for i in range(n) for j in range(i)) / (
        n * (n - 1) / 2
    )
    return {
        "mean": float(np.mean(means)),
        "sd": float(np.std(means, ddof=1)),
        "lowest": min(means),
        "highest": max(means),
        "alike": alike,
    }


def _over_seeds(
    values: np.ndarray, weights: np.ndarray, groups: np.ndarray
) -> tuple[float, float, int]:
    """Of one side's mean: its variance over seeds, the part of it that is the interaction of seeds and items, and degrees of freedom."""
    m, share = len(values), shares(weights, groups)
    means = np.stack([np.bincount(groups, value * weights) for value in values]) / np.bincount(
        groups, weights
    )  # (seeds, groups)
    residuals = values - values.mean(0) - (means - means.mean(0))[:, groups]
    n = np.bincount(groups)[groups]
    interaction = (share**2 * (residuals**2).sum(0) * n / np.maximum(n - 1, 1)).sum() / (
        m * (m - 1)
    )
    return float(means.mean(1).var(ddof=1)) / m, float(interaction), m - 1
