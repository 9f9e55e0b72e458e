"""Anytime-valid evidence: capitals by hand and by enumeration, errors under continuous looking."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as reference

from lmcore.statistics.anytime import (
    Drawn,
    Level,
    bounds,
    decision,
    log_capital,
    shares,
    stratified_order,
)

POPULATION, SUITE = Level(0.95), Level(0.95, of_suite=True)
N_RACES = 500
# {case: {difference: its probability}}
CASES = {
    "equal flips": {1.0: 0.2, -1.0: 0.2, 0.0: 0.6},
    "rare flips": {1.0: 0.01, -1.0: 0.01, 0.0: 0.98},
    "rare flips one way": {1.0: 0.02, 0.0: 0.98},
    "every item flips": {1.0: 0.5, -1.0: 0.5},
    "ties": {1.0: 0.1, 0.5: 0.2, -0.5: 0.3, -1.0: 0.05, 0.0: 0.35},
    "a large difference": {1.0: 0.5, -1.0: 0.1, 0.0: 0.4},
    "many losses, few gains": {1.0: 0.05, -0.5: 0.1, 0.0: 0.85},
}
HETEROGENEOUS = np.array([0.4, -0.4, 0.6, -0.6, 0.0])  # the groups' means


def sample(case: dict[float, float], n: int, rng: np.random.Generator) -> np.ndarray:
    return rng.choice(list(case), n, p=list(case.values()))


def mean_of(case: dict[float, float]) -> float:
    return sum(value * share for value, share in case.items())


def drawn(differences, groups=None, seed: int = 0) -> Drawn:
    """A whole suite, drawn to its end."""
    differences = np.asarray(differences, float)
    groups = np.zeros(len(differences), int) if groups is None else np.asarray(groups)
    rows, rounds = stratified_order(groups, seed)
    return Drawn(differences[rows], groups[rows], rounds, np.bincount(groups))


def until(race: Drawn, n: int) -> Drawn:
    """The first `n` items of a race."""
    return race._replace(
        differences=race.differences[:n], groups=race.groups[:n], rounds=race.rounds[:n]
    )


def is_ever_excluded(race: Drawn, mean: float, level: Level) -> bool:
    """Whether some look of a race excludes the mean, looking after every round."""
    options = {"of_suite": level.of_suite}
    above = log_capital(race, mean, **options).max()
    below = log_capital(race.mirrored, -mean, **options).max()
    return max(above, below) >= level.threshold


def assert_no_more_errors_than_said(n_errors: int) -> None:
    assert n_errors <= reference.binom.ppf(0.999, N_RACES, 0.05)


@pytest.mark.parametrize("case", CASES)
def test_true_mean_of_items_is_seldom_ever_excluded(case):
    rng = np.random.default_rng(0)
    truth = mean_of(CASES[case])
    n_errors = 0
    for _ in range(N_RACES):
        race = drawn(sample(CASES[case], 300, rng))
        n_errors += is_ever_excluded(race, truth, POPULATION)
    assert_no_more_errors_than_said(n_errors)


@pytest.mark.parametrize("case", CASES)
def test_final_figure_of_a_suite_is_seldom_ever_excluded(case):
    differences = sample(CASES[case], 300, np.random.default_rng(1))
    n_errors = 0
    for seed in range(N_RACES):
        race = drawn(differences, seed=seed)
        n_errors += is_ever_excluded(race, float(differences.mean()), SUITE)
    assert_no_more_errors_than_said(n_errors)


@pytest.mark.parametrize("sizes", [(40,) * 5, (80, 10, 20, 380, 30)])
@pytest.mark.parametrize("level", [POPULATION, SUITE], ids=["population", "suite"])
def test_macro_mean_of_groups_that_differ_is_seldom_ever_excluded(sizes, level):
    rng = np.random.default_rng(2)
    groups = np.repeat(np.arange(5), sizes)
    n_errors = 0
    for seed in range(N_RACES):
        flips = rng.random(len(groups))
        better = 0.35 + HETEROGENEOUS[groups] / 2
        differences = np.where(flips < better, 1.0, np.where(flips < 0.7, -1.0, 0.0))
        truth = 0.0
        if level.of_suite:
            truth = float(np.mean([differences[groups == group].mean() for group in range(5)]))
        n_errors += is_ever_excluded(drawn(differences, groups, seed), truth, level)
    assert_no_more_errors_than_said(n_errors)


def test_a_micro_mean_would_exclude_the_macro_mean_of_unequal_groups():
    """The counterexample for the weights: a large good group, and a small bad one."""
    groups = np.repeat([0, 1], [900, 100])
    differences = np.where(groups == 0, 0.5, -0.5)
    assert decision(drawn(differences), POPULATION, None) == "better"
    assert decision(drawn(differences, groups), POPULATION, None) == ""
    assert drawn(differences, groups).mean == 0


def test_capital_of_one_item_is_what_its_bets_give():
    bets = shares(np.array([1]))
    for difference in (1, 0, -1):
        found = log_capital(drawn([difference]), 0.0)
        assert np.exp(found) == pytest.approx([(1 + difference * bets).mean()])
    gains = 1 + shares(np.array([2])) / 3  # (1 + 1) / (1 + 1/2) - 1 = 1/3
    against_a_half = np.exp(log_capital(drawn([1, 1]), 0.5))
    assert against_a_half == pytest.approx([gains.mean(), (gains**2).mean()])


@pytest.mark.parametrize("sizes", [[1], [900], [25] * 36, [842, 64, 165, 3867, 280], [67_000]])
def test_shares_of_the_capital_are_of_it_and_few(sizes):
    found = shares(np.array(sizes))
    assert np.all((found > 0) & (found < 1)) and 2 < len(found) < 11


@pytest.mark.parametrize(
    ("probabilities", "groups", "is_fair"),
    [
        ([0.3] * 4, [0] * 4, True),  # of a difference of 1, else -1
        ([0.5, 0.2, 0.5, 0.2], [0, 1, 0, 1], False),
        ([0.5, 0.2, 0.2, 0.2], [0, 1, 1, 1], False),
        ([0.9, 0.1, 0.1, 0.1, 0.1], [0, 1, 1, 1, 1], False),
    ],
)
def test_expected_capital_at_the_true_mean_of_the_population(probabilities, groups, is_fair):
    """By enumeration of all outcomes: 1 for one group, and never more than 1 for several."""
    chances, groups = np.array(probabilities), np.array(groups)
    means = [2 * chances[groups == group].mean() - 1 for group in range(groups.max() + 1)]
    rows, rounds = stratified_order(groups, 0)
    expected = 0.0
    for outcome in itertools.product((0, 1), repeat=len(groups)):
        wins = np.array(outcome)
        race = Drawn((2.0 * wins - 1)[rows], groups[rows], rounds, np.bincount(groups))
        chance = np.where(wins, chances, 1 - chances).prod()
        expected = expected + chance * np.exp(log_capital(race, float(np.mean(means))))
    assert np.all(expected <= 1 + 1e-12)
    if is_fair:
        assert expected == pytest.approx(1)


@pytest.mark.parametrize(
    ("differences", "groups", "is_fair"),
    [
        # no -1: if it comes last it is certain, and only then a bet against it is not fair but lost
        ([1, -0.5, 0, 0.5, -0.5], [0] * 5, True),
        ([1, -1, 0, 0.5, -0.5], [0] * 5, False),
        ([1, 1, -1, 0, 0], [0, 0, 1, 1, 1], False),
        ([1, -1, -1, 0, 1], [0, 1, 1, 1, 1], False),
    ],
)
def test_expected_capital_at_the_final_figure_of_a_suite(differences, groups, is_fair):
    """By enumeration of all orders within the groups."""
    differences, groups = np.array(differences, float), np.array(groups)
    figure = np.mean([differences[groups == group].mean() for group in range(groups.max() + 1)])
    order, rounds = stratified_order(groups, 0)
    rows_of = [np.flatnonzero(groups == group) for group in range(groups.max() + 1)]
    capitals = []
    for permuted in itertools.product(*(itertools.permutations(rows) for rows in rows_of)):
        # the places of a group in the order are filled with its items in this permutation
        filled = order.copy()
        for group, rows in enumerate(permuted):
            filled[groups[order] == group] = rows
        race = Drawn(differences[filled], groups[order], rounds, np.bincount(groups))
        capitals.append(np.exp(log_capital(race, float(figure), of_suite=True)))
    expected = np.mean(capitals, 0)
    assert np.all(expected <= 1 + 1e-9)
    if is_fair:
        assert expected == pytest.approx(1)


@pytest.mark.parametrize("level", [POPULATION, SUITE], ids=["population", "suite"])
def test_differences_that_are_all_zero_are_equal_in_the_end_and_never_better(level):
    race = drawn(np.zeros(400))
    found = [decision(until(race, n), level, 0.05) for n in range(1, 401)]
    assert set(found) == {"", "equal"} and found[-1] == "equal"
    low, high = bounds(until(race, 200), level)
    assert low == pytest.approx(-high) and -0.05 < low < 0
    assert decision(race, POPULATION, None) == decision(race, POPULATION, 0.0) == ""


def test_whole_suite_tells_its_own_figure_exactly():
    differences = np.array([1.0, -1, 0, 0.5, 0, 0, 1])
    assert bounds(drawn(differences), SUITE) == pytest.approx([differences.mean()] * 2, abs=1e-9)
    assert decision(drawn(differences), SUITE, 0.01) == "better"
    assert decision(drawn(-differences), SUITE, 0.01) == "worse"
    assert decision(drawn(differences), SUITE, 0.3) == "equal"
    assert decision(drawn(differences - differences.mean()), SUITE, None) == ""


@pytest.mark.parametrize("value", [-1.0, 1.0])
def test_differences_at_the_end_of_the_range_break_nothing(value):
    race = drawn(np.full(60, value))
    for level in (POPULATION, SUITE):
        low, high = bounds(until(race, 30), level)
        assert -1 <= low <= value <= high <= 1 and high - low < 0.5 + 0.6
        assert decision(until(race, 30), level, 0.05) == ("better" if value > 0 else "worse")


def test_a_true_difference_stops_early_and_is_never_taken_for_its_opposite():
    rng = np.random.default_rng(3)
    case = {1.0: 0.25, -1.0: 0.05, 0.0: 0.7}
    n_used, found = [], []
    for _ in range(300):
        race = drawn(sample(case, 1000, rng))
        above = log_capital(race, 0.0) >= POPULATION.threshold
        n_used.append(int(above.argmax()) + 1 if above.any() else 1000)
        found.append(decision(until(race, n_used[-1]), POPULATION, 0.005))
    assert set(found) == {"better"}
    assert np.mean(n_used) < 100 and np.quantile(n_used, 0.95) < 250


def test_the_figure_of_a_suite_is_certain_earlier_than_that_of_the_population():
    differences = sample({1.0: 0.2, -1.0: 0.1, 0.0: 0.7}, 400, np.random.default_rng(4))
    widths = {}
    for level in (POPULATION, SUITE):
        low, high = bounds(until(drawn(differences), 300), level)
        widths[level] = high - low
    assert widths[SUITE] < 0.7 * widths[POPULATION]


@given(st.lists(st.sampled_from([-1, -0.5, 0, 0.5, 1]), min_size=1, max_size=30), st.booleans())
def test_bounds_are_what_the_capitals_exclude(differences, of_suite):
    level = Level(0.9, of_suite)
    race = until(drawn([*differences, 1, -1]), len(differences))
    low, high = bounds(race, level)
    assert -1 <= low <= high <= 1
    back = bounds(race.mirrored, level)
    assert back == pytest.approx((-high, -low), abs=1e-9)
    verdict = decision(race, level, None)
    assert verdict == ("better" if low > 1e-9 else "worse" if high < -1e-9 else "")
    means = np.linspace(-0.99, 0.99, 12)
    capitals = [log_capital(race, mean, of_suite=of_suite)[-1] for mean in means]
    assert np.all(np.diff(capitals) <= 1e-9), "a greater mean is harder to lie above"


@given(st.lists(st.integers(1, 12), min_size=1, max_size=5), st.integers(0, 5))
def test_order_holds_every_item_once_and_every_group_in_every_round(sizes, seed):
    groups = np.repeat(np.arange(len(sizes)), sizes)
    rows, rounds = stratified_order(groups, seed)
    assert sorted(rows) == list(range(len(groups)))
    assert np.all(np.diff(rounds) >= 0) and rounds[-1] == min(sizes) - 1
    for number in range(min(sizes)):
        counts = np.bincount(groups[rows[rounds == number]], minlength=len(sizes))
        assert np.all(np.abs(counts - np.array(sizes) / min(sizes)) < 1)


def test_order_repeats_with_the_seed_and_is_another_under_another():
    groups = np.repeat([0, 1], [10, 30])
    first = stratified_order(groups, 7)[0]
    assert np.array_equal(first, stratified_order(groups, 7)[0])
    assert not np.array_equal(first, stratified_order(groups, 8)[0])
