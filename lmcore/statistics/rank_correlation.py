"""Spearman's and Pearson's correlation as means over items, so that they have intervals and tests.

Two arrays of one number for each item go in. One value for each item comes out.

The mean of the values is the correlation, and their spread is that of its influence function, so
the standard error of their mean is that of the correlation (in large samples).
"""

import numpy as np
from scipy.stats import rankdata


def spearman_values(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N,): the `pearson_values` of the ranks (ties: the mean); their mean is Spearman's rho.

    Source: Croux & Dehon 2010, Statistical Methods & Applications 19.
    """
    return pearson_values(rankdata(a), rankdata(b))


def pearson_values(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N,): r + z_a z_b - r (z_a² + z_b²) / 2, with z the standardised numbers.

    The mean is Pearson's r. Where all numbers of a side are equal there is no correlation: all
    values are 0.

    Source: the influence function of a correlation coefficient, Devlin, Gnanadesikan & Kettenring
    1975, Biometrika 62(3).
    """
    sides = np.stack([a, b])
    deviations = sides.std(1)
    if not deviations.all():
        return np.zeros(len(a))
    z_a, z_b = (sides - sides.mean(1, keepdims=True)) / deviations[:, None]
    rho = float((z_a * z_b).mean())
    return z_a * z_b - rho * (z_a**2 + z_b**2) / 2 + rho
