"""Spearman's rank correlation as a mean over items, so that it has intervals and paired tests.

Two arrays of one number for each item go in. One value for each item comes out.

The mean of the values is the correlation, and their spread is that of its influence function, so
the standard error of their mean is that of the correlation (in large samples).
"""

import numpy as np
from scipy.stats import rankdata


def spearman_values(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N,): rho + z_a z_b - rho (z_a² + z_b²) / 2, with z the standardised ranks (ties: the mean).

    The mean is Spearman's rho. Where all numbers of a side are equal there is no correlation: all
    values are 0.

    Source: the influence function of a correlation coefficient, Devlin, Gnanadesikan & Kettenring
    1975, Biometrika 62(3), here of ranks (Croux & Dehon 2010, Statistical Methods & Applications
    19).
    """
    ranks = np.stack([rankdata(a), rankdata(b)])
    deviations = ranks.std(1)
    if not deviations.all():
        return np.zeros(len(a))
    z_a, z_b = (ranks - ranks.mean(1, keepdims=True)) / deviations[:, None]
    rho = float((z_a * z_b).mean())
    return z_a * z_b - rho * (z_a**2 + z_b**2) / 2 + rho
