import numpy as np
import pytest
from scipy import stats as reference

from lmcore.statistics.bayes import beta_interval


def of_one_group(n_right: float, n: int, confidence: float = 0.95) -> tuple[float, float]:
    return beta_interval(np.array([n_right]), np.array([n]), confidence)


@pytest.mark.parametrize(("n_right", "n"), [(1, 10), (3.5, 10), (40, 57), (299.5, 300)])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_interval_of_one_group_is_that_of_jeffreys_posterior(n_right, n, confidence):
    posterior = reference.beta(n_right + 0.5, n - n_right + 0.5)
    expected = posterior.interval(confidence)
    assert of_one_group(n_right, n, confidence) == pytest.approx(expected, rel=1e-9)


def test_bound_is_zero_where_no_item_is_right_and_one_where_all_are():
    assert of_one_group(0, 20) == (0, pytest.approx(reference.beta.ppf(0.975, 0.5, 20.5)))
    assert of_one_group(20, 20) == (pytest.approx(reference.beta.ppf(0.025, 20.5, 0.5)), 1)
    low, high = beta_interval(np.array([10, 30]), np.array([10, 30]), 0.95)
    assert 0.8 < low < high == 1


def test_interval_of_several_groups_is_that_of_their_posteriors_mean():
    n_right, n = np.array([3.0, 40, 7.5]), np.array([10, 60, 8])
    prior = 1 / 6
    posteriors = reference.beta(n_right + prior, n - n_right + prior)
    draws = posteriors.rvs((200_000, 3), random_state=np.random.default_rng(1)).mean(1)
    found = beta_interval(n_right, n, 0.95)
    assert found == pytest.approx(tuple(np.quantile(draws, [0.025, 0.975])), abs=0.02 * draws.std())


def test_groups_that_are_all_right_are_as_certain_as_if_they_were_one():
    """So that one item is divided among them: a sum of gammas is a gamma."""
    low, _ = beta_interval(np.full(5, 100), np.full(5, 100), 0.95)
    assert 1 - low == pytest.approx(1 - of_one_group(500, 500)[0], rel=0.05)


def test_interval_repeats():
    arguments = (np.array([3, 4]), np.array([5, 9]), 0.95)
    assert beta_interval(*arguments) == beta_interval(*arguments)


def test_jeffreys_prior_in_each_of_many_groups_would_miss():
    """The counterexample for the prior: 36 groups of 25 items, 98 % of which are right."""
    rng = np.random.default_rng(2)
    sizes = np.full(36, 25)
    n_hits = n_misses_of_jeffreys = 0
    for _ in range(40):
        n_right = rng.binomial(sizes, 0.98)
        low, high = beta_interval(n_right, sizes, 0.95, draws=1000)
        n_hits += low <= 0.98 <= high
        draws = rng.beta(n_right + 0.5, sizes - n_right + 0.5, (1000, 36)).mean(1)
        n_misses_of_jeffreys += np.quantile(draws, 0.975) < 0.98
    assert n_hits >= 34 and n_misses_of_jeffreys >= 36
