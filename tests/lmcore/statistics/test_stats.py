import numpy as np
import pytest
from scipy import stats as reference
from statsmodels.stats.proportion import proportion_confint

from lmcore.statistics.stats import (
    interval,
    macro,
    median_interval,
    random_choice_accuracy,
    ratio,
    ratio_of_runs,
    wilson,
)


def test_ratio_equal_weights_gives_mean_and_its_standard_error():
    values = np.random.default_rng(0).normal(size=50)
    estimate = ratio(values, np.full(50, 3.0))
    assert estimate.mean == pytest.approx(values.mean()) and estimate.se == pytest.approx(
        reference.sem(values)
    )
    assert interval(estimate, 0.95) == pytest.approx(
        reference.t.interval(0.95, 49, values.mean(), reference.sem(values))
    )


@pytest.mark.parametrize("are_alike", [True, False])
def test_ratio_of_runs_is_that_of_all_items_at_once(are_alike):
    rng = np.random.default_rng(0)
    values = rng.normal(size=50)
    weights = np.full(50, 3) if are_alike else rng.integers(1, 9, 50)
    cuts = [0, 0, 7, 7, 30]  # some runs are empty
    runs = list(zip(np.split(values, cuts), np.split(weights, cuts)))
    found, expected = ratio_of_runs(lambda: runs), ratio(values, weights)
    assert found._replace(n_effective=None) == pytest.approx(expected._replace(n_effective=None))
    assert found.n_effective == pytest.approx(expected.n_effective)


@pytest.mark.parametrize("n", [1, 4])
def test_ratio_without_any_weight_is_unknown(n):
    assert np.isnan(ratio(np.arange(n), np.zeros(n)).mean)
    groups = np.append(np.zeros(n, int), [1, 1])
    assert np.isnan(macro(np.ones(n + 2), np.append(np.zeros(n), [1, 1]), groups).mean)


def test_ratio_one_item_has_no_standard_error():
    assert ratio(np.array([0.5]), np.array([1.0])).se is None
    assert interval(ratio(np.array([0.5]), np.array([1.0])), 0.95) is None


def test_ratio_interval_covers_the_true_ratio_as_often_as_it_says():
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(1000):
        weights = rng.integers(5, 60, size=80).astype(float)
        values = 4.0 + rng.normal(size=80) * 3 / np.sqrt(weights)
        low, high = interval(ratio(values, weights), 0.9)
        hits += low <= 4.0 <= high
    assert hits / 1000 == pytest.approx(0.9, abs=0.03)


def test_macro_standard_error_is_that_of_the_mean_of_groups():
    rng = np.random.default_rng(2)
    groups = np.repeat([0, 1, 2], [842, 64, 165])
    values = (rng.random(len(groups)) < np.array([0.5, 0.55, 0.41])[groups]).astype(float)
    parts = [values[groups == group] for group in range(3)]
    estimate = macro(values, np.ones(len(values)), groups)
    assert estimate.mean == pytest.approx(np.mean([part.mean() for part in parts]))
    assert estimate.se == pytest.approx(
        np.sqrt(sum(reference.sem(part) ** 2 for part in parts)) / 3
    )
    bootstrap = []
    for _ in range(2000):
        means = [rng.choice(part, len(part)).mean() for part in parts]
        bootstrap.append(np.mean(means))
    assert estimate.se == pytest.approx(np.std(bootstrap), rel=0.08)


def test_macro_of_two_groups_has_welchs_degrees_of_freedom():
    rng = np.random.default_rng(8)
    parts = rng.normal(size=12), rng.normal(size=5) * 3
    values, groups = np.concatenate(parts), np.repeat([0, 1], [12, 5])
    estimate = macro(values, np.ones(17), groups)
    welch = reference.ttest_ind(*parts, equal_var=False)
    assert estimate.df == pytest.approx(welch.df)
    difference = parts[0].mean() - parts[1].mean()
    assert estimate.se == pytest.approx(difference / welch.statistic / 2)


def test_macro_group_of_one_item_has_the_mean_variance_of_the_others():
    values, groups = np.array([0.0, 1.0, 2.0, 4.0, 7.0]), np.array([0, 0, 1, 1, 2])
    variances = [0.5, 2.0]  # of an item, in the groups that have two
    of_means = [0.5 / 2, 2.0 / 2, np.mean(variances)]
    assert macro(values, np.ones(5), groups).se == pytest.approx(np.sqrt(sum(of_means)) / 3)


def test_macro_one_item_a_group_takes_the_groups_as_the_sample():
    values = np.array([0.0, 1.0, 1.0, 0.0])
    estimate = macro(values, np.ones(4), np.arange(4))
    assert (estimate.mean, estimate.se) == (0.5, pytest.approx(reference.sem(values)))


def test_macro_all_values_equal_has_no_width_and_finite_numbers():
    estimate = macro(np.ones(6), np.ones(6), np.repeat([0, 1], 3))
    assert interval(estimate, 0.95) == (1.0, 1.0)


def test_wilson_equals_statsmodels():
    for n_successes in (0, 3, 40, 57):
        assert wilson(n_successes, 57, 0.95) == pytest.approx(
            proportion_confint(n_successes, 57, method="wilson"), abs=1e-12
        )
    assert wilson(40, 57, 0.99) == pytest.approx(proportion_confint(40, 57, 0.01, "wilson"))


def test_median_interval_covers_the_median_at_least_as_often_as_it_says():
    rng = np.random.default_rng(3)
    bounds = [median_interval(rng.exponential(size=41), 0.95) for _ in range(1000)]
    assert 0.94 < np.mean([low <= np.log(2) <= high for low, high in bounds]) < 0.99
    assert median_interval(np.array([7.0]), 0.95) == (7.0, 7.0)


def random_wins(n_tokens: list[int], gold: int, vocab_size: int, draws: int) -> float:
    """How often the gold option wins among random options.

    The log-prob of every token is that of one of `vocab_size` standard normal logits.
    """
    rng = np.random.default_rng(0)
    sums = []
    for n in n_tokens:
        logits = rng.normal(size=(draws, n, vocab_size))
        sums.append((logits[..., 0] - np.log(np.exp(logits).sum(-1))).sum(-1))
    return float((np.argmax(np.stack(sums), 0) == gold).mean())


@pytest.mark.parametrize(
    ("n_tokens", "gold"),
    [
        ([3, 3], 0),
        ([3, 4], 0),
        ([3, 4], 1),
        ([2, 3, 3, 4], 0),
        ([3, 3, 3, 4], 1),
        ([2, 2, 2, 2], 3),
    ],
)
def test_random_choice_accuracy_equals_simulation_with_random_logits(n_tokens, gold):
    expected = random_wins(n_tokens, gold, vocab_size=40, draws=8000)
    got = random_choice_accuracy(np.array([n_tokens]), np.array([gold]), 40, "half")[0]
    assert got == pytest.approx(expected, abs=4 * 0.5 / np.sqrt(8000))


def test_random_choice_accuracy_sums_to_one_over_the_options():
    n_tokens = np.random.default_rng(4).integers(1, 9, size=(20, 4))
    total = sum(
        random_choice_accuracy(n_tokens, np.full(20, gold), 4096, "half") for gold in range(4)
    )
    assert total == pytest.approx(np.ones(20), abs=1e-3)


@pytest.mark.parametrize(("ties", "value"), [("half", 0.5), ("win", 1.0), ("loss", 0.0)])
def test_random_choice_accuracy_identical_options_follow_the_tie_policy(ties, value):
    assert random_choice_accuracy(np.array([[0, 0]]), np.array([0]), 4096, ties)[0] == value
