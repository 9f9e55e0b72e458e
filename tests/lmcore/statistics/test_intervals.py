import numpy as np
import pytest
from scipy import stats as reference

from lmcore.errors import InputError
from lmcore.statistics.intervals import (
    bootstrap_bounds,
    by_cluster,
    group_means,
    replicates,
    shares,
)
from lmcore.statistics.stats import interval, macro, ratio

ONE = {"resamples": 2000, "seed": 0}
# BabyLM's supplement, filtered: items of each group, and accuracies of babyllama-10m-2024
SUPPLEMENT = {
    "sizes": (842, 64, 165, 3867, 280),
    "truth": (0.496, 0.547, 0.412, 0.86, 0.661),
}


def supplement(rng: np.random.Generator, share: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Values of 0 and 1 in five unbalanced groups, and the groups.

    There is a value for one in `share` of the supplement's items.
    """
    groups = np.repeat(np.arange(5), [n // share for n in SUPPLEMENT["sizes"]])
    return (rng.random(len(groups)) < np.array(SUPPLEMENT["truth"])[groups]).astype(float), groups


def bounds(values, weights, groups, method, confidence=0.95, **options):
    drawn = replicates(values, weights, groups, **(ONE | options))
    return bootstrap_bounds(drawn, values, weights, groups, method=method, confidence=confidence)


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_bootstrap_bounds_equal_scipys(method):
    values = np.random.default_rng(0).exponential(size=60)
    expected = reference.bootstrap(
        (values,), np.mean, method=method, n_resamples=20_000, rng=np.random.default_rng(1)
    ).confidence_interval
    found = bounds(values, np.ones(60), np.zeros(60, int), method, resamples=20_000)
    assert found == pytest.approx(tuple(expected), abs=0.02 * values.std())


def test_bca_of_values_that_lie_alike_on_both_sides_is_the_percentile_interval():
    """Many replicates equal the mean itself; half of them count as below it, so without bias."""
    values = np.repeat([-1.0, 0.0, 1.0], 4)
    drawn = np.repeat([-0.5, -0.25, 0.0, 0.25, 0.5], [100, 200, 400, 200, 100])
    arguments = (drawn, values, np.ones(12), np.zeros(12, int))
    for confidence, expected in ((0.9, (-0.5, 0.5)), (0.6, (-0.25, 0.25))):
        for method in ("bca", "percentile"):
            found = bootstrap_bounds(*arguments, method=method, confidence=confidence)
            assert found == pytest.approx(expected)


def test_replicates_of_few_values_are_distributed_as_those_of_drawn_items():
    rng = np.random.default_rng(2)
    values, groups = rng.choice([-1, -0.5, 0, 0.5, 1], 300), np.repeat([0, 1], [40, 260])
    exact = replicates(values, np.ones(300), groups, resamples=20_000, seed=3)
    drawn = replicates(
        values + rng.normal(size=300) * 1e-9, np.ones(300), groups, resamples=20_000, seed=4
    )
    assert exact.mean() == pytest.approx(drawn.mean(), abs=4 * exact.std() / np.sqrt(20_000))
    assert exact.std() == pytest.approx(drawn.std(), rel=0.03)
    assert np.quantile(exact, [0.025, 0.975]) == pytest.approx(
        np.quantile(drawn, [0.025, 0.975]), abs=0.006
    )


def test_replicates_repeat_with_the_seed_and_stay_within_their_groups():
    values, groups = np.array([0.0, 0, 0, 1, 1]), np.array([0, 0, 0, 1, 1])
    first = replicates(values, np.ones(5), groups, **ONE)
    assert (first == replicates(values, np.ones(5), groups, **ONE)).all() and (first == 0.5).all()


@pytest.mark.parametrize("method", ["student", "percentile", "bca"])
def test_intervals_cover_the_macro_mean_of_unbalanced_groups_as_often_as_they_say(method):
    rng = np.random.default_rng(5)
    hits, truth = 0, np.mean(SUPPLEMENT["truth"])
    for seed in range(1200):
        values, groups = supplement(rng, share=2)
        if method == "student":
            low, high = interval(macro(values, np.ones(len(values)), groups), 0.95)
        else:
            low, high = bounds(
                values, np.ones(len(values)), groups, method, resamples=500, seed=seed
            )
        hits += low <= truth <= high
    assert hits / 1200 == pytest.approx(0.95, abs=0.019)  # 3 standard errors of 1200 simulations


def test_by_cluster_keeps_the_ratio_and_gives_its_error_over_documents():
    rng = np.random.default_rng(6)
    hits, narrow = 0, 0
    for _ in range(300):
        # Sentences of 30 documents, each of which has its own level
        clusters = np.repeat(np.arange(30), rng.integers(5, 20, 30))
        weights = rng.integers(20, 80, len(clusters)).astype(float)
        values = 2.0 + rng.normal(size=30)[clusters] * 0.3 + rng.normal(size=len(clusters)) * 0.3
        estimate = ratio(*by_cluster(values, weights, clusters))
        assert estimate.mean == pytest.approx(ratio(values, weights).mean)
        low, high = interval(estimate, 0.95)
        hits += low <= 2.0 <= high
        low, high = interval(ratio(values, weights), 0.95)
        narrow += low <= 2.0 <= high
    assert hits / 300 == pytest.approx(0.95, abs=0.04)
    assert narrow / 300 < 0.7, "sentences of one document are not independent"


def test_by_cluster_takes_several_rows_of_values():
    values = np.array([[1.0, 3, 5], [0, 0, 6]])
    found, weights = by_cluster(values, np.array([1.0, 3, 2]), np.array([0, 0, 1]))
    assert found.tolist() == [[2.5, 5], [0, 6]] and weights.tolist() == [4, 2]


def test_shares_add_up_to_the_macro_mean():
    rng = np.random.default_rng(7)
    values, weights = rng.normal(size=90), rng.integers(1, 9, 90).astype(float)
    groups = np.repeat([0, 1, 2], [60, 20, 10])
    share = shares(weights, groups)
    assert share.sum() == pytest.approx(1)
    assert (
        (values * share).sum()
        == pytest.approx(macro(values, weights, groups).mean)
        == pytest.approx(group_means(values, weights, groups).mean())
    )


def test_bootstrap_bounds_of_equal_values_have_no_width():
    assert bounds(np.ones(8), np.ones(8), np.repeat([0, 1], 4), "bca") == (1.0, 1.0)


def test_bootstrap_bounds_unknown_method_is_named():
    with pytest.raises(
        InputError, match="unknown interval 'normal'; expected student, percentile or bca"
    ):
        bounds(np.ones(8), np.ones(8), np.repeat([0, 1], 4), "normal")
