"""Spearman's correlation as a mean over items: scipy's figure, and an error that covers."""

import numpy as np
import pytest
from scipy import stats

from lmcore.statistics.rank_correlation import spearman_values
from lmcore.statistics.stats import interval, ratio


@pytest.mark.parametrize("n", [5, 50, 200])
def test_mean_of_the_values_is_scipys_correlation(n):
    rng = np.random.default_rng(n)
    a, b = rng.normal(size=n), rng.integers(0, 12, n) / 11
    assert spearman_values(a, b).mean() == pytest.approx(stats.spearmanr(a, b)[0], abs=1e-12)


def test_where_one_side_is_constant_there_is_no_correlation():
    assert spearman_values(np.ones(4), np.arange(4.0)).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.8])
def test_interval_of_the_mean_covers_the_correlation(rho):
    """In 600 samples of 200 items, 95 % intervals cover the true value in 92 to 98 %."""
    rng = np.random.default_rng(1)
    true = 6 / np.pi * np.arcsin(rho / 2)  # Spearman's of a bivariate normal
    n_covered = 0
    for _ in range(600):
        a = rng.normal(size=200)
        b = rho * a + np.sqrt(1 - rho**2) * rng.normal(size=200)
        low, high = interval(ratio(spearman_values(a, b), np.ones(200)), 0.95)
        n_covered += low <= true <= high
    assert 0.92 <= n_covered / 600 <= 0.98
