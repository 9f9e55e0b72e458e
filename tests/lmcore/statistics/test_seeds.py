import numpy as np
import pytest
from scipy import stats as reference

from lmcore.statistics.seeds import seeds_and_items, spread
from lmcore.statistics.stats import macro

GROUPS = np.repeat(np.arange(4), 40)
ONES = np.ones(len(GROUPS))


def answers(
    rng: np.random.Generator, n_seeds: int, difficulty: np.ndarray, level: float, seed_noise: float
) -> np.ndarray:
    """(seeds, items) of 0 and 1: items have a difficulty, and every training seed has a level."""
    levels = level + seed_noise * rng.normal(size=(n_seeds, 1))
    return (
        rng.random((n_seeds, len(difficulty))) < reference.logistic.cdf(difficulty + levels)
    ).astype(float)


def rejections(n_a: int, n_b: int, seed_noise: float, effect: float = 0.0, n: int = 1000) -> float:
    rng, found = np.random.default_rng(0), 0
    for _ in range(n):
        difficulty = rng.normal(size=len(GROUPS)) * 1.5
        a = answers(rng, n_a, difficulty, 0, seed_noise)
        b = answers(rng, n_b, difficulty, effect, seed_noise)
        estimate = seeds_and_items(a, b, ONES, GROUPS)
        found += 2 * reference.t.sf(abs(estimate.mean) / estimate.se, estimate.df) < 0.05
    return found / n


@pytest.mark.parametrize("seed_noise", [0.0, 0.2, 0.6])
def test_three_seeds_a_side_of_one_recipe_give_no_more_false_alarms_than_stated(seed_noise):
    assert rejections(3, 3, seed_noise) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 1000)


def test_one_seed_a_side_finds_two_models_that_do_differ():
    assert rejections(1, 1, seed_noise=0.6) > 0.3, (
        "models of two seeds differ, and an item-level test rightly says so"
    )


def test_several_seeds_find_a_recipe_that_is_better():
    assert rejections(5, 5, seed_noise=0.2, effect=1.0) > 0.9


def test_interval_over_seeds_and_items_covers_the_difference_of_recipes():
    rng, hits = np.random.default_rng(1), 0
    for _ in range(300):
        a = rng.normal(size=(4, 1)) * 0.3 + rng.normal(size=(4, len(GROUPS)))
        b = 0.5 + rng.normal(size=(4, 1)) * 0.3 + rng.normal(size=(4, len(GROUPS)))
        estimate = seeds_and_items(a, b, ONES, GROUPS)
        hits += abs(estimate.mean - 0.5) <= reference.t.ppf(0.975, estimate.df) * estimate.se
    assert hits / 300 >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / 1000)


def test_one_seed_a_side_is_the_macro_estimate_of_the_differences():
    a, b = np.random.default_rng(2).normal(size=(2, 1, len(GROUPS)))
    assert seeds_and_items(a, b, ONES, GROUPS) == macro((b - a)[0], ONES, GROUPS)


def test_seeds_that_move_all_items_alike_add_their_variance_by_satterthwaite():
    """With unequal weights and no interaction, the variances of seeds and items are added."""
    rng = np.random.default_rng(6)
    weights = rng.integers(1, 30, len(GROUPS)).astype(float)
    base = rng.normal(size=(2, len(GROUPS)))
    levels = [rng.normal(size=n) * 0.3 for n in (4, 3)]
    a, b = (level[:, None] + of_side for level, of_side in zip(levels, base))
    found = seeds_and_items(a, b, weights, GROUPS)
    items = macro(b.mean(0) - a.mean(0), weights, GROUPS)
    parts = [(items.se**2, items.df)]
    parts += [(level.var(ddof=1) / len(level), len(level) - 1) for level in levels]
    variance = sum(part for part, _ in parts)
    assert found.se == pytest.approx(np.sqrt(variance))
    assert found.df == pytest.approx(variance**2 / sum(part**2 / df for part, df in parts))


def test_interaction_of_seeds_and_items_is_counted_once_as_in_an_analysis_of_variance():
    rng = np.random.default_rng(7)
    m, n = 3, 6
    a = rng.normal(size=(m, 1)) + rng.normal(size=(1, n)) + rng.normal(size=(m, n)) / 2
    residuals = a - a.mean(0) - a.mean(1, keepdims=True) + a.mean()
    interaction = (residuals**2).sum() / ((m - 1) * (n - 1)) / (m * n)
    items, seeds = a.mean(0).var(ddof=1) / n, a.mean(1).var(ddof=1) / m
    found = seeds_and_items(a, np.zeros((1, n)), np.ones(n), np.zeros(n, int))
    assert found.se**2 == pytest.approx(items + seeds - interaction) and found.se**2 > items


def test_several_seeds_on_one_item_have_no_standard_error():
    one = np.ones(1)
    found = seeds_and_items(np.array([[0.0], [1.0]]), np.array([[1.0]]), one, np.zeros(1, int))
    assert (found.mean, found.se, found.n) == (0.5, None, 1)


def test_seeds_that_are_alike_add_nothing():
    a, b = np.random.default_rng(3).normal(size=(2, 1, len(GROUPS)))
    several = seeds_and_items(np.repeat(a, 3, 0), np.repeat(b, 3, 0), ONES, GROUPS)
    assert several.se == pytest.approx(macro((b - a)[0], ONES, GROUPS).se)


def test_exchanging_a_and_b_changes_the_sign_alone():
    rng = np.random.default_rng(4)
    a, b = rng.normal(size=(3, len(GROUPS))), rng.normal(size=(2, len(GROUPS)))
    there, back = seeds_and_items(a, b, ONES, GROUPS), seeds_and_items(b, a, ONES, GROUPS)
    assert (there.mean, there.se, there.df) == pytest.approx((-back.mean, back.se, back.df))


def test_spread_of_seeds_that_are_alike_is_nothing_and_of_coins_what_theory_says():
    values = (np.random.default_rng(5).random((200, len(GROUPS))) < 0.5).astype(float)
    same = spread(values[:1].repeat(3, 0), ONES, GROUPS)
    assert (
        same["sd"] == 0 and same["alike"] == 1 and same["lowest"] == same["highest"] == same["mean"]
    )
    coins = spread(values, ONES, GROUPS)
    assert coins["alike"] == pytest.approx(0.5, abs=0.01) and coins["sd"] == pytest.approx(
        np.sqrt(0.25 / len(GROUPS)), rel=0.2
    )
