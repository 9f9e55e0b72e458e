"""What holds for any data: exchanging sides changes only signs, shares lie between 0 and 1."""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lmcore.comparing.comparison import align, compare, judge, take
from lmcore.statistics import paired
from lmcore.statistics.agreement import agreement, expected_agreement
from lmcore.statistics.intervals import (
    bootstrap_bounds,
    by_cluster,
    group_means,
    replicates,
    shares,
)
from lmcore.statistics.seeds import seeds_and_items
from lmcore.statistics.stats import (
    interval,
    macro,
    median_interval,
    random_choice_accuracy,
    ratio,
    wilson,
)
from tests.lmcore.score_tables import side

HOW = {"confidence": 0.95, "interval": "student", "resamples": 200, "seed": 0}
CONFIDENCE = st.sampled_from([0.5, 0.9, 0.95, 0.99])
COUNTS = st.integers(0, 60)
TIES = st.sampled_from(["half", "win", "loss"])


class Data(NamedTuple):
    """Two sides' values of the same items, their weights and groups (every one from 0 on)."""

    a: np.ndarray
    b: np.ndarray
    weights: np.ndarray
    groups: np.ndarray

    @property
    def differences(self) -> np.ndarray:
        return self.b - self.a


@st.composite
def data(draw, min_size: int = 2, max_size: int = 40) -> Data:
    """Decisions, rounded numbers or numbers, in one to three groups, weighted or not."""
    n = draw(st.integers(min_size, max_size))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    kind = draw(st.sampled_from(["decisions", "rounded", "numbers"]))
    values = rng.normal(size=(2, n))
    if kind == "decisions":
        values = rng.choice([0.0, 0.5, 1.0], (2, n), p=[0.45, 0.1, 0.45])
    elif kind == "rounded":
        values = np.round(values)
    groups = np.unique(rng.integers(0, draw(st.integers(1, 3)), n), return_inverse=True)[1]
    weights = rng.integers(1, 50, n).astype(float) if draw(st.booleans()) else np.ones(n)
    return Data(*values, weights, groups)


def sides(found: Data):
    a, b = {}, {}
    for group in np.unique(found.groups):
        rows = found.groups == group
        a[f"g{group}"], b[f"g{group}"] = found.a[rows], found.b[rows]
    return [side(a), side(b)]


@given(data())
def test_sign_flip_is_a_share_that_sign_order_and_unit_do_not_change(found: Data):
    terms, share = found.differences, shares(found.weights, found.groups)
    p = paired.sign_flip(terms, share, resamples=200, seed=1)
    assert 0 < p <= 1
    assert paired.sign_flip(-terms, share, resamples=200, seed=1) == p
    assert paired.sign_flip(terms[::-1], share[::-1], resamples=200, seed=1) == pytest.approx(p)
    assert paired.sign_flip(4 * terms, share, resamples=200, seed=1) == pytest.approx(p)
    more = np.append(terms, [0, 0]), np.append(share, [0.1, 0.1])
    again = paired.sign_flip(*more, resamples=200, seed=1)
    assert again == pytest.approx(p), "items that do not differ say nothing"


@given(data(max_size=12))
def test_sign_flip_of_differences_that_all_point_one_way_is_the_smallest_there_is(found: Data):
    terms = np.abs(found.differences)
    n = int((terms > 0).sum())
    p = paired.sign_flip(terms, np.ones(len(terms)), resamples=200, seed=0)
    assert p == pytest.approx(min(1.0, 2 / 2**n))


@given(COUNTS, COUNTS)
def test_mcnemar_is_symmetric_and_mid_p_the_smaller(n_better: int, n_worse: int):
    counts = np.array(n_better), np.array(n_worse)
    methods = ("exact", "mid_p", "chi_square")
    found = {method: float(paired.mcnemar(*counts, method)) for method in methods}
    assert found == {method: float(paired.mcnemar(*counts[::-1], method)) for method in found}
    assert all(0 < p <= 1 for p in found.values()) and found["mid_p"] <= found["exact"]
    further = float(paired.mcnemar(np.array(max(counts) + 1), np.array(min(counts)), "exact"))
    assert further <= found["exact"] + 1e-12, "the more one-sided, the smaller"


@given(COUNTS, COUNTS, st.integers(0, 100), CONFIDENCE)
def test_flips_interval_is_mirrored_and_holds_the_difference(n_better, n_worse, n_same, confidence):
    n = n_better + n_worse + n_same
    assume(n)
    low, high = paired.flips_interval(n_better, n_worse, n, confidence)
    assert -1 <= low <= (n_better - n_worse) / (n + 2) <= high <= 1
    assert paired.flips_interval(n_worse, n_better, n, confidence) == pytest.approx((-high, -low))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.sampled_from(["holm", "fdr_bh"]))
def test_corrected_p_values_keep_their_order_and_are_never_smaller(p: list[float], method: str):
    found = paired.corrected(np.array(p), method)
    assert (found >= np.array(p) - 1e-12).all() and (found <= 1).all()
    assert (np.diff(found[np.argsort(p, kind="stable")]) >= 0).all()
    assert paired.corrected(np.array(p[::-1]), method).tolist() == found[::-1].tolist()


@given(st.floats(0, 1), st.floats(0, 1), COUNTS, COUNTS)
def test_effect_sizes_change_sides_with_the_models(a: float, b: float, n_better: int, n_worse: int):
    h, odds = paired.cohens_h(a, b), paired.odds_ratio(n_better, n_worse)
    assert h == pytest.approx(-paired.cohens_h(b, a)) and abs(h) <= np.pi + 1e-12
    assert (h > 0) == (b > a) or np.isclose(a, b)
    assert odds == pytest.approx(1 / paired.odds_ratio(n_worse, n_better))
    assert (odds > 1) == (n_better > n_worse)


@given(data(), CONFIDENCE)
def test_intervals_hold_their_estimate_and_grow_with_the_confidence(found: Data, confidence: float):
    values, weights, groups = found.a, found.weights, found.groups
    for estimate in (ratio(values, weights), macro(values, weights, groups)):
        assert values.min() - 1e-9 <= estimate.mean <= values.max() + 1e-9
        assert estimate.n == len(values)
        bounds, wider = interval(estimate, confidence), interval(estimate, 0.999)
        if bounds is not None:
            assert wider[0] <= bounds[0] <= estimate.mean <= bounds[1] <= wider[1]
    low, high = median_interval(values, confidence)
    assert low <= np.median(values) <= high and {low, high} <= set(values)
    assert median_interval(-values, confidence) == (-high, -low)


@given(COUNTS, COUNTS, CONFIDENCE)
def test_wilson_holds_the_share_and_is_mirrored(n_successes, n_failures, confidence):
    n = n_successes + n_failures
    assume(n)
    low, high = wilson(n_successes, n, confidence)
    assert 0 <= low <= n_successes / n <= high <= 1 and low < high
    assert wilson(n_failures, n, confidence) == pytest.approx((1 - high, 1 - low))


@given(data())
def test_macro_mean_is_the_sum_of_shares_and_that_of_the_group_means(found: Data):
    values, weights, groups = found.a, found.weights, found.groups
    share, estimate = shares(weights, groups), macro(values, weights, groups)
    assert share.sum() == pytest.approx(1) and (share > 0).all()
    assert estimate.mean == pytest.approx((values * share).sum(), abs=1e-9)
    assert estimate.mean == pytest.approx(group_means(values, weights, groups).mean(), abs=1e-9)
    moved = macro(3 * values + 2, weights, groups)
    assert moved.mean == pytest.approx(3 * estimate.mean + 2)
    assert (moved.se is None) == (estimate.se is None)
    assert moved.se is None or moved.se == pytest.approx(3 * estimate.se, abs=1e-9)


@given(data(), st.randoms(use_true_random=False))
def test_by_cluster_keeps_the_ratio_of_all_whatever_the_order(found: Data, random):
    values, weights = by_cluster(found.a, found.weights, found.groups)
    of_items = ratio(found.a, found.weights).mean
    assert ratio(values, weights).mean == pytest.approx(of_items, abs=1e-9)
    order = np.array(random.sample(range(len(found.a)), len(found.a)))
    again = by_cluster(found.a[order], found.weights[order], found.groups[order])
    assert again[0] == pytest.approx(values, abs=1e-9) and again[1].tolist() == weights.tolist()


@given(data(min_size=3), st.sampled_from(["percentile", "bca"]))
def test_bootstrap_replicates_and_bounds_lie_between_the_extreme_means(found: Data, method: str):
    values, weights, groups = found.differences, found.weights, found.groups
    drawn = replicates(values, weights, groups, resamples=200, seed=0)
    parts = [values[groups == group] for group in np.unique(groups)]
    least, most = np.mean([part.min() for part in parts]), np.mean([part.max() for part in parts])
    assert (drawn >= least - 1e-9).all() and (drawn <= most + 1e-9).all()
    low, high = bootstrap_bounds(drawn, values, weights, groups, method=method, confidence=0.9)
    assert drawn.min() <= low <= high <= drawn.max()
    p = paired.bootstrap_p(drawn)
    assert 0 < p <= 1 and p == paired.bootstrap_p(-drawn)


@given(data(min_size=4), st.integers(1, 3), st.integers(1, 3))
def test_seeds_add_to_the_error_of_items_and_go_with_their_side(found: Data, n_a: int, n_b: int):
    rng = np.random.default_rng(0)
    a, b = found.a + rng.normal(size=(n_a, 1)), found.b + rng.normal(size=(n_b, 1))
    there, back = (seeds_and_items(*pair, found.weights, found.groups) for pair in ((a, b), (b, a)))
    items = macro(b.mean(0) - a.mean(0), found.weights, found.groups)
    assert there.mean == pytest.approx(items.mean) == pytest.approx(-back.mean)
    assert (there.se, there.df) == pytest.approx((back.se, back.df))
    assert there.se >= items.se * (1 - 1e-9) and there.df > 0


@given(st.integers(2, 5), st.integers(1, 6), st.integers(2, 4), st.integers(0, 9))
def test_agreement_is_a_share_that_no_order_changes(n_draws, n_items, n_options, seed):
    values = np.random.default_rng(seed).integers(0, 3, (n_draws, n_items, n_options)).astype(float)
    found = agreement(values)
    assert ((found >= -1e-12) & (found <= 1 + 1e-12)).all()
    assert agreement(values[::-1, :, ::-1]) == pytest.approx(found)


@given(st.lists(st.lists(st.integers(0, 9), min_size=3, max_size=3), min_size=1, max_size=5), TIES)
def test_chance_of_random_logits_is_a_share_and_adds_up_to_one(lengths: list[list[int]], ties: str):
    n_tokens = np.array(lengths)
    golds = [np.full(len(lengths), gold) for gold in range(3)]
    of_options = np.stack([random_choice_accuracy(n_tokens, gold, 4096, ties) for gold in golds])
    assert (of_options >= 0).all() and (of_options <= 1 + 1e-6).all()
    if ties != "loss":
        assert of_options.sum(0) == pytest.approx(np.ones(len(lengths)), abs=1e-2)
    expected = expected_agreement(n_tokens, 4096)
    assert (expected >= 1 / 3 - 1e-2).all() and (expected <= 1 + 1e-2).all()


@given(data())
def test_comparison_exchanged_has_the_other_sign_and_the_same_evidence(found: Data):
    a, b = sides(found)
    there, back = compare(a, b, "accuracy", **HOW), compare(b, a, "accuracy", **HOW)
    assert (there.p, there.mcnemar_p, there.n_ties) == (back.p, back.mcnemar_p, back.n_ties)
    assert (there.a, there.b, there.n_better, there.n_worse) == (
        back.b,
        back.a,
        back.n_worse,
        back.n_better,
    )
    assert there.difference == pytest.approx(-back.difference, abs=1e-12)
    assert there.difference == pytest.approx(there.b - there.a, abs=1e-9)
    if there.low is not None:
        assert (there.low, there.high) == pytest.approx((-back.high, -back.low), abs=1e-9)


@given(data(), st.randoms(use_true_random=False))
def test_comparison_pairs_items_by_name_whatever_their_order(found: Data, random):
    a, b = sides(found)
    order = np.array(random.sample(range(len(found.a)), len(found.a)))
    expected = compare(a, b, "accuracy", **HOW)
    got = compare(*align(a, take(b, order), common=False, what="x")[:2], "accuracy", **HOW)
    assert got.difference == pytest.approx(expected.difference, abs=1e-12)
    assert (got.n_better, got.n_worse) == (expected.n_better, expected.n_worse)
    assert got.p == pytest.approx(expected.p)


@given(data(min_size=6))
def test_a_constant_shift_of_every_item_is_certain_in_pairs_however_much_items_differ(found: Data):
    """In an unpaired test, items that lie far apart would hide the shift."""
    spread = np.round(400 * found.a) / 4  # quarters, so that in floats the shift is constant, too
    a, b = sides(found._replace(a=spread, b=spread + 0.25))
    got = compare(a, b, "logprob", **HOW)
    assert got.difference == pytest.approx(0.25) and got.se == pytest.approx(0, abs=1e-9)
    assert got.p == pytest.approx(2 / 2 ** len(found.a), rel=1e-6) and got.n_better == len(found.a)


@given(
    st.lists(data(min_size=3, max_size=12), min_size=1, max_size=4),
    st.sampled_from(["holm", "fdr_bh"]),
)
def test_judged_comparisons_claim_no_more_than_their_own_p_allows(some, correction):
    comparisons = [compare(*sides(found), "accuracy", **HOW) for found in some]
    settings = {"correction": correction, "confidence": 0.9, "power": 0.8, "margin": {}}
    for one, judged in zip(comparisons, judge(comparisons, **settings), strict=True):
        assert judged.p_corrected >= one.p - 1e-12
        assert (judged.verdict in ("better", "worse")) == (one.changed and judged.p_corrected < 0.1)
        if judged.verdict in ("better", "worse"):
            assert (judged.verdict == "better") == (one.difference > 0)
