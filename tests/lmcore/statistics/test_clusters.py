import numpy as np
import pytest
from scipy import stats as reference
from statsmodels.regression.linear_model import OLS, WLS

from lmcore.errors import InputError
from lmcore.statistics.clusters import macro_by_cluster, of_clusters, shared
from lmcore.statistics.intervals import shares
from lmcore.statistics.seeds import seeds_and_items
from lmcore.statistics.stats import interval, macro, ratio


def one_group(values: np.ndarray, clusters: np.ndarray, weights: np.ndarray | None = None):
    weights = np.ones(len(values)) if weights is None else weights
    return macro_by_cluster(values, weights, np.zeros(len(values), int), clusters)


def test_shared_is_none_where_every_item_is_its_own_cluster():
    assert shared(None) is None and shared(np.array([7, 3, 5])) is None
    assert shared(np.array([7, 3, 7])).tolist() == [1, 0, 1]


@pytest.mark.parametrize("sizes", [[60], [40, 7, 2], [30, 1, 12]])
@pytest.mark.parametrize("are_weighted", [False, True])
def test_clusters_of_one_item_give_the_estimate_over_items(sizes, are_weighted):
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(len(sizes)), sizes)
    values = rng.normal(size=len(groups))
    weights = rng.lognormal(size=len(groups)) if are_weighted else np.ones(len(groups))
    expected = macro(values, weights, groups)
    found = macro_by_cluster(values, weights, groups, rng.permutation(len(groups)))
    assert found[:4] == pytest.approx(expected[:4]) and found.n_clusters == len(groups)


def test_clusters_of_one_item_where_all_groups_have_one():
    values = np.array([0.0, 1.0, 1.0, 0.0, 3.0])
    found = macro_by_cluster(values, np.ones(5), np.arange(5), np.arange(5))
    assert found[:4] == pytest.approx(macro(values, np.ones(5), np.arange(5))[:4])


@pytest.mark.parametrize("are_weighted", [False, True])
def test_standard_error_over_clusters_is_that_of_statsmodels(are_weighted):
    rng = np.random.default_rng(1)
    clusters = np.repeat(np.arange(15), rng.integers(1, 9, 15))
    values = rng.normal(size=15)[clusters] + rng.normal(size=len(clusters))
    weights = rng.lognormal(size=len(clusters)) if are_weighted else np.ones(len(clusters))
    fit = WLS(values, np.ones(len(values)), weights).fit(
        cov_type="cluster", cov_kwds={"groups": clusters}
    )
    found = one_group(values, clusters, weights)
    assert (found.mean, found.se) == pytest.approx((fit.params[0], fit.bse[0]))


def test_clusters_in_every_group_are_those_of_statsmodels_on_a_macro_mean():
    """A concept that occurs in all three groups: the macro mean is a sum of three coefficients."""
    rng = np.random.default_rng(2)
    clusters, groups = np.repeat(np.arange(12), 6), np.tile(np.repeat([0, 1, 2], 2), 12)
    values = rng.normal(size=12)[clusters] + rng.normal(size=len(clusters))
    design = np.eye(3)[groups]
    fit = OLS(values, design).fit(
        cov_type="cluster", cov_kwds={"groups": clusters, "use_correction": False}
    )
    contrast = np.full(3, 1 / 3)
    expected = np.sqrt(contrast @ fit.cov_params() @ contrast * 12 / 11)
    found = macro_by_cluster(values, np.ones(len(values)), groups, clusters)
    assert found.se == pytest.approx(expected) and found.df == pytest.approx(11)
    of_concepts = [values[clusters == number].mean() for number in range(12)]
    assert found.se == pytest.approx(reference.sem(of_concepts))


def test_clusters_within_groups_have_welchs_degrees_of_freedom():
    rng = np.random.default_rng(3)
    parts = rng.normal(size=12), rng.normal(size=5) * 3
    values, groups = np.repeat(np.concatenate(parts), 4), np.repeat([0, 1], [48, 20])
    found = macro_by_cluster(values, np.ones(68), groups, np.repeat(np.arange(17), 4))
    welch = reference.ttest_ind(*parts, equal_var=False)
    assert found.df == pytest.approx(welch.df)
    difference = parts[0].mean() - parts[1].mean()
    assert found.se == pytest.approx(difference / welch.statistic / 2)


def test_one_cluster_that_spans_two_groups_hides_no_small_group():
    """The degrees of freedom are those of the small group, which holds nearly all variance."""
    rng = np.random.default_rng(4)
    values = np.concatenate([0.1 * rng.normal(size=500), 5 * rng.normal(size=4)])
    clusters = np.append(np.arange(500), [0, 500, 501, 502])
    found = macro_by_cluster(values, np.ones(504), np.repeat([0, 1], [500, 4]), clusters)
    assert found.df < 6


def test_groups_of_one_cluster_each():
    values, groups = np.array([0.0, 2.0, 5.0, 7.0]), np.array([0, 0, 1, 1])
    found = macro_by_cluster(values, np.ones(4), groups, groups)
    assert found.se == pytest.approx(reference.sem([1.0, 6.0])) and found.n == 4
    alone = macro_by_cluster(values, np.ones(4), groups, np.zeros(4, int))
    assert (alone.mean, alone.se, alone.n_clusters) == (3.5, None, 1)
    constant = macro_by_cluster(np.ones(6), np.ones(6), np.repeat([0, 1], 3), np.arange(6) // 2)
    assert constant.se == 0 and np.isfinite(constant.df)


def test_few_large_clusters_count_like_few():
    clusters = np.repeat(np.arange(22), [200, 200] + [2] * 20)
    values = np.random.default_rng(5).normal(size=22)[clusters]
    found = one_group(values, clusters)
    assert found.n_effective == pytest.approx(440**2 / (2 * 200**2 + 20 * 4)) and found.df < 2
    assert one_group(values[:400], clusters[:400]).n_effective is None


def coverage(n_clusters: int, n_each: int, n_groups: int, n_runs: int = 800) -> tuple[float, float]:
    """How often 95 % intervals over items and over clusters hold the true difference, 0.

    A cluster is a concept that has `n_each` items in each group; a part of its difference is the
    same in all of them.
    """
    rng = np.random.default_rng(6)
    clusters = np.tile(np.repeat(np.arange(n_clusters), n_each), n_groups)
    groups = np.repeat(np.arange(n_groups), n_clusters * n_each)
    weights = np.ones(len(groups))
    hits = np.zeros(2)
    for _ in range(n_runs):
        values = 0.5 * rng.normal(size=n_clusters)[clusters] + rng.normal(size=len(groups))
        for place, estimate in enumerate(
            (macro(values, weights, groups), macro_by_cluster(values, weights, groups, clusters))
        ):
            low, high = interval(estimate, 0.95)
            hits[place] += low <= 0 <= high
    return tuple(hits / n_runs)


@pytest.mark.parametrize(("n_clusters", "n_each", "n_groups"), [(8, 10, 1), (30, 5, 1), (20, 3, 3)])
def test_intervals_over_clusters_cover_where_those_over_items_do_not(n_clusters, n_each, n_groups):
    over_items, over_clusters = coverage(n_clusters, n_each, n_groups)
    assert over_items < 0.87
    assert over_clusters >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / 800)


def test_seeds_and_clusters_of_one_item_are_seeds_and_items():
    rng = np.random.default_rng(7)
    a, b = rng.normal(size=(2, 3, 40))
    groups = np.repeat([0, 1], [30, 10])
    expected = seeds_and_items(a, b, np.ones(40), groups)
    found = seeds_and_items(a, b, np.ones(40), groups, np.arange(40))
    assert found[:4] == pytest.approx(expected[:4])


def test_seeds_and_clusters_raise_no_more_false_alarms_than_stated():
    rng, found = np.random.default_rng(8), np.zeros(2)
    clusters, groups, ones = np.repeat(np.arange(15), 8), np.zeros(120, int), np.ones(120)
    for _ in range(500):
        a, b = (
            0.6 * rng.normal(size=(3, 15))[:, clusters] + rng.normal(size=(3, 120))
            for _ in range(2)
        )
        for place, of in enumerate((None, clusters)):
            estimate = seeds_and_items(a, b, ones, groups, of)
            p = 2 * reference.t.sf(abs(estimate.mean) / estimate.se, estimate.df)
            found[place] += p < 0.05
    assert found[1] / 500 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 500)


def test_whole_clusters_are_drawn_only_where_each_lies_in_one_group():
    values, weights = np.array([1.0, 3.0, 5.0, 7.0]), np.array([1.0, 1.0, 1.0, 3.0])
    groups, clusters = np.array([0, 0, 1, 1]), np.array([0, 0, 1, 2])
    found = of_clusters(values, weights, groups, clusters, "x")
    assert [part.tolist() for part in found] == [[2, 5, 7], [2, 1, 3], [0, 1, 1]]
    before, after = shares(weights, groups) @ values, shares(*found[1:]) @ found[0]
    assert before == pytest.approx(after)
    with pytest.raises(InputError, match=r"x: expected clusters .* in one group each.*student"):
        of_clusters(values, weights, groups, np.array([0, 1, 1, 2]), "x")


def test_a_ratio_over_clusters_is_that_of_whole_clusters():
    rng = np.random.default_rng(9)
    clusters, weights = np.repeat(np.arange(10), 3), rng.lognormal(size=30)
    values = rng.normal(size=30)
    totals = np.bincount(clusters, weights)
    means = np.bincount(clusters, weights * values) / totals
    expected, found = ratio(means, totals), one_group(values, clusters, weights)
    assert found[:3] == pytest.approx(expected[:3])
    assert found.n_effective == pytest.approx(expected.n_effective)
