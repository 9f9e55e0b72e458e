import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as reference

from lmcore.statistics import paired
from lmcore.statistics.ratio_flips import ratio_flips
from lmcore.statistics.stats import effective_items, interval, ratio, ratio_df

HOW = {"confidence": 0.95, "resamples": 2000, "seed": 0}


def p_of(delta: float, differences: np.ndarray, weights: np.ndarray) -> float:
    """The sign-flip p value of the hypothesis that the true difference is `delta`, by hand."""
    terms = weights / weights.sum() * (differences - delta)
    patterns = np.array(list(itertools.product((-1, 1), repeat=len(terms))))
    return float((np.abs(patterns @ terms) >= abs(terms.sum()) - 1e-12).mean())


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95])
def test_interval_ends_where_the_p_value_falls_below_the_level(seed, confidence):
    rng = np.random.default_rng(seed)
    differences, weights = rng.normal(0.3, 1, 8), rng.lognormal(0, 1, 8)
    found = ratio_flips(differences, weights, **HOW | {"confidence": confidence})
    assert found.p == pytest.approx(p_of(0, differences, weights))
    for bound, outwards in ((found.low, -1e-6), (found.high, 1e-6)):
        assert p_of(bound - outwards, differences, weights) >= 1 - confidence
        assert p_of(bound + outwards, differences, weights) < 1 - confidence


def test_p_of_few_texts_is_that_of_the_sign_flip_test():
    rng = np.random.default_rng(1)
    for n in (1, 2, 5, 12, 16):
        differences, weights = rng.normal(0.5, 1, n), rng.lognormal(0, 1, n)
        expected = paired.sign_flip(differences, weights / weights.sum(), resamples=9, seed=0)
        assert ratio_flips(differences, weights, **HOW).p == pytest.approx(expected)


@st.composite
def corpora(draw) -> tuple[np.ndarray, np.ndarray]:
    """Differences (some rounded, so that sums are equal) and sizes of 1 to 40 texts."""
    n = draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    differences = rng.normal(draw(st.sampled_from([0.0, 0.3, 1.0])), 1, n)
    if draw(st.booleans()):
        differences = np.round(differences)
    weights = np.exp(draw(st.sampled_from([0.0, 1.0, 2.5])) * rng.normal(size=n))
    return differences, np.where(rng.random(n) < 0.1, 0.0, weights)


@given(corpora(), st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.99]))
def test_p_is_below_the_level_exactly_where_the_interval_excludes_zero(corpus, confidence):
    how = HOW | {"confidence": confidence, "resamples": 199}
    p, low, high = ratio_flips(*corpus, **how)
    is_outside = low is not None and not low <= 0 <= high
    assert (p < 1 - confidence) == is_outside
    differences, weights = corpus
    if low is not None:
        assert low <= (differences * weights).sum() / weights.sum() <= high
        back = ratio_flips(-differences, weights, **how)
        assert (back.p, back.low, back.high) == pytest.approx((p, -high, -low))


def test_interval_moves_with_the_differences():
    rng = np.random.default_rng(2)
    differences, weights = rng.normal(size=40), rng.lognormal(0, 1, 40)
    first, moved = (ratio_flips(differences + by, weights, **HOW) for by in (0, 5))
    assert (moved.low - 5, moved.high - 5) == pytest.approx((first.low, first.high))


def test_texts_too_few_for_the_confidence_bound_nothing():
    differences = np.array([1.0, 1.1, 0.9, 1.2, 1.0])
    assert ratio_flips(differences, np.ones(5), **HOW) == (2 / 32, None, None)
    six = ratio_flips(np.append(differences, 1.05), np.ones(6), **HOW)
    assert six.p == 2 / 64 < 0.05 and six.low > 0
    assert ratio_flips(np.array([3.0]), np.array([2.0]), **HOW) == (1, None, None)
    assert ratio_flips(np.array([3.0]), np.array([0.0]), **HOW) == (1, None, None)


@pytest.mark.parametrize("n", [17, 60, 500])
def test_many_texts_of_few_kinds_are_exact(n):
    differences = np.full(n, 0.25)
    found = ratio_flips(differences, np.ones(n), **HOW)
    assert found == (pytest.approx(2 / 2**n), pytest.approx(0.25), pytest.approx(0.25))
    differences[: n // 3] = -0.25
    expected = reference.binomtest(n // 3, n).pvalue
    assert ratio_flips(differences, np.ones(n), **HOW).p == pytest.approx(expected)


def test_texts_without_weight_say_nothing():
    rng = np.random.default_rng(3)
    differences, weights = rng.normal(size=9), rng.lognormal(0, 1, 9)
    more = ratio_flips(np.append(differences, 99), np.append(weights, 0), **HOW)
    assert more == ratio_flips(differences, weights, **HOW)


def test_two_documents_that_hold_most_bytes_cannot_show_a_difference_by_themselves():
    weights = np.array([48.0, 40, 2, 2, 2, 2, 2, 2])
    differences = np.array([-0.21, -0.19, 0.1, -0.05, 0.12, 0.02, -0.1, 0.06])
    estimate = ratio(differences, weights)
    assert estimate.mean / estimate.se < -5, "n - 1 degrees of freedom would take this as certain"
    found = ratio_flips(differences, weights, **HOW)
    assert found.p > 0.1 and found.low < 0 < found.high
    assert estimate.n_effective == effective_items(weights) < 3
    low, high = interval(estimate, 0.95)
    assert estimate.df < 2 and low < 0 < high, "so does Student's with its effective df"


def test_normal_limit_agrees_with_drawn_patterns():
    rng = np.random.default_rng(4)
    weights = rng.lognormal(0, 0.7, 4000)
    differences = rng.normal(0.05, 1, 4000)
    drawn = ratio_flips(differences, weights, confidence=0.95, resamples=5000, seed=0)
    normal = ratio_flips(differences, weights, confidence=0.95, resamples=10_000, seed=0)
    assert normal.p == pytest.approx(drawn.p, abs=0.01) and normal.p != drawn.p
    width = normal.high - normal.low
    assert (drawn.low, drawn.high) == pytest.approx((normal.low, normal.high), abs=0.05 * width)
    exact = ratio_flips(differences, weights, confidence=1 - normal.p, resamples=10_000, seed=0)
    assert min(abs(exact.low), abs(exact.high)) == pytest.approx(0, abs=1e-9)


def test_many_texts_of_which_two_hold_most_are_not_taken_as_normal():
    weights = np.ones(4000)
    weights[:2] = 1e6
    differences = np.random.default_rng(8).normal(size=4000)
    differences[:2] = 0.1
    found = ratio_flips(differences, weights, confidence=0.95, resamples=8000, seed=0)
    assert found.p == pytest.approx(0.25, abs=0.03), "one half of the patterns splits the two"
    assert found.low < 0 < found.high


def coverage(n: int, spread: float, n_runs: int) -> tuple[float, float, float]:
    """How often three 95 % intervals hold the true ratio, 0, of n texts of lognormal sizes.

    They are that of the sign flips, Student's with effective and with n - 1 degrees of freedom. The
    bits of a text vary as sums over its bytes do, with a part that all its bytes share.
    """
    rng = np.random.default_rng(5)
    hits = np.zeros(3)
    for seed in range(n_runs):
        weights = rng.lognormal(0, spread, n)
        differences = rng.normal(size=n) * np.sqrt(0.1 / weights + 0.1)
        _, low, high = ratio_flips(differences, weights, confidence=0.95, resamples=999, seed=seed)
        estimate = ratio(differences, weights)
        of_student = interval(estimate, 0.95)
        of_n = interval(estimate._replace(df=n - 1), 0.95)
        bounds = [(low, high) if low is not None else (-1e9, 1e9), of_student, of_n]
        hits += [one[0] <= 0 <= one[1] for one in bounds]
    return tuple(hits / n_runs)


@pytest.mark.parametrize(("n", "spread"), [(8, 1.0), (12, 1.5), (40, 2.0)])
def test_intervals_of_texts_of_lognormal_sizes_cover_as_often_as_they_say(n, spread):
    flips, student, of_n = coverage(n, spread, 1000)
    error = 3 * np.sqrt(0.05 * 0.95 / 1000)
    assert flips >= 0.95 - error
    assert student >= 0.95 - error
    assert of_n < student


def test_ratio_df_is_n_less_one_for_equal_weights_and_one_for_two_heavy_texts():
    assert ratio_df(np.ones(7)) == pytest.approx(6)
    assert ratio_df(np.array([1e9, 1e9, 1, 1, 1])) == pytest.approx(1, abs=1e-6)
    assert ratio_df(np.array([1e12, 1, 1])) == 1
    assert ratio(np.arange(5.0), np.full(5, 3.0)).df == 4


def test_ratio_df_gives_the_variance_of_the_squared_standard_error():
    rng = np.random.default_rng(6)
    weights = rng.lognormal(0, 1, 9)
    share = weights / weights.sum()
    values = rng.normal(size=(200_000, 9))
    squares = (share**2 * (values - (values @ share)[:, None]) ** 2).sum(1)
    assert ratio_df(weights) == pytest.approx(2 * squares.mean() ** 2 / squares.var(), rel=0.02)


def test_ratio_df_of_one_seed_is_that_of_students_test_for_equal_weights():
    values = np.random.default_rng(7).normal(size=20)
    low, high = interval(ratio(values, np.ones(20)), 0.9)
    expected = reference.t.interval(0.9, 19, values.mean(), reference.sem(values))
    assert (low, high) == pytest.approx(expected)
