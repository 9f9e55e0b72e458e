"""How often the intervals of small samples hold the truth: by enumeration, else by simulation.

The coverages at 95 % are those of the table in docs/statistics.md, "Small samples". A method passes
with a mean coverage of 93 % or more over shares from 2 % to 98 %. Where one misses, the test says
how far.
"""

import numpy as np
import pytest
from scipy import stats as reference

from lmcore.statistics.bayes import beta_interval
from lmcore.statistics.paired import flips_interval
from lmcore.statistics.stats import interval, macro, wilson

SHARES = np.round(np.arange(0.02, 0.981, 0.02), 2)
SIZES = (10, 20, 50, 100, 300)
LEAST = 0.93


def beta_of_one_group(n_right: int, n: int, confidence: float) -> tuple[float, float]:
    return beta_interval(np.array([n_right]), np.array([n]), confidence)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize(
    ("method", "least_of_any_share"), [(wilson, 0.91), (beta_of_one_group, 0.86)]
)
def test_interval_of_a_share_covers_it(method, least_of_any_share, n):
    counts = np.arange(n + 1)
    low, high = np.array([method(int(count), n, 0.95) for count in counts]).T
    is_held = (low <= SHARES[:, None]) & (SHARES[:, None] <= high)
    coverages = (reference.binom.pmf(counts, n, SHARES[:, None]) * is_held).sum(1)
    assert coverages.mean() >= LEAST and coverages.min() >= least_of_any_share


@pytest.mark.parametrize("n", [10, 20, 50, 100])
def test_bonett_and_prices_interval_covers_the_difference(n):
    """Over shares of items that flip, and shares of the flips that go up."""
    better, worse = np.array([(i, j) for i in range(n + 1) for j in range(n + 1 - i)]).T
    bounds = [flips_interval(i, j, n, 0.95) for i, j in zip(better.tolist(), worse.tolist())]
    low, high = np.array(bounds).T
    outcomes = np.stack([better, worse, n - better - worse], 1)
    coverages = []
    for flips in np.linspace(0.02, 0.98, 9):
        for up in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0):
            chances = reference.multinomial.pmf(
                outcomes, n, [flips * up, flips * (1 - up), 1 - flips]
            )
            truth = flips * (2 * up - 1)
            is_held = (low <= truth + 1e-12) & (truth - 1e-12 <= high)
            coverages.append(chances[is_held].sum())
    assert np.mean(coverages) >= LEAST and min(coverages) >= 0.88


def coverage_of_macro_means(n_groups: int, size: int, n_samples: int, method: str) -> float:
    """The mean coverage of a macro mean over shares from 2 % to 98 %, alike in all groups."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(n_groups), size)
    n_held = 0
    # all methods treat right and wrong alike
    shares = [0.02, 0.1, 0.18, 0.26, 0.34, 0.42, 0.5]
    times = [2, 2, 2, 2, 2, 2, 1]
    for share, weight in zip(shares, times, strict=True):
        for _ in range(n_samples):
            values = (rng.random(len(groups)) < share).astype(float)
            if method == "student":
                low, high = interval(macro(values, np.ones(len(values)), groups), 0.95)
            else:
                n_right, n = np.bincount(groups, values), np.bincount(groups)
                low, high = beta_interval(n_right, n, 0.95, draws=2000)
            n_held += weight * (low <= share <= high)
    return n_held / n_samples / sum(times)


@pytest.mark.parametrize(("n_groups", "size"), [(2, 150), (5, 60), (10, 30)])
def test_students_interval_of_a_macro_mean_covers_it_from_300_items(n_groups, size):
    assert coverage_of_macro_means(n_groups, size, 300, "student") >= LEAST


@pytest.mark.parametrize(
    ("n_groups", "size", "coverage"), [(2, 5, 0.77), (2, 10, 0.83), (2, 25, 0.89), (5, 10, 0.89)]
)
def test_students_interval_of_a_macro_mean_misses_in_few_small_groups(n_groups, size, coverage):
    """Groups whose items are all right, or all wrong, have no variance."""
    found = coverage_of_macro_means(n_groups, size, 300, "student")
    assert found == pytest.approx(coverage, abs=0.025)


@pytest.mark.parametrize(("n_groups", "size"), [(2, 5), (2, 25), (5, 20), (5, 60)])
def test_beta_interval_of_a_macro_mean_covers_it_in_groups_of_some_items(n_groups, size):
    assert coverage_of_macro_means(n_groups, size, 200, "bayes") >= LEAST


@pytest.mark.parametrize(("n_groups", "size", "coverage"), [(5, 4, 0.90), (10, 5, 0.90)])
def test_beta_interval_of_a_macro_mean_misses_in_many_tiny_groups(n_groups, size, coverage):
    """The variance of a posterior is that of n + 1 items, estimated from n - 1."""
    found = coverage_of_macro_means(n_groups, size, 100, "bayes")
    assert found == pytest.approx(coverage, abs=0.025)
