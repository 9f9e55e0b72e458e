import itertools

import numpy as np
import pytest
from scipy import stats as reference
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.multitest import multipletests

from lmcore.errors import InputError
from lmcore.statistics import paired
from lmcore.statistics.intervals import replicates, shares

ONE = {"resamples": 2000, "seed": 0}


def by_hand(terms: np.ndarray) -> float:
    """The sign-flip p value over all patterns of signs."""
    patterns = np.array(list(itertools.product((-1, 1), repeat=len(terms))))
    return float((np.abs(patterns @ terms) >= abs(terms.sum()) - 1e-9).mean())


@pytest.mark.parametrize("values", [(-1, 1), (-1, -0.5, 0.5, 1), (-0.5, 0.5)])
def test_sign_flip_of_decisions_is_exact(values):
    rng = np.random.default_rng(0)
    for _ in range(30):
        differences = rng.choice(values, rng.integers(1, 12))
        assert paired.sign_flip(
            differences, np.full(len(differences), 1 / 40), **ONE
        ) == pytest.approx(by_hand(differences))


def test_sign_flip_without_ties_is_mcnemars_exact_test():
    differences = np.repeat([1.0, -1.0, 0.0], [31, 14, 500])
    expected = reference.binomtest(31, 45).pvalue
    assert paired.sign_flip(differences, np.full(545, 1 / 545), **ONE) == pytest.approx(expected)
    assert paired.mcnemar(np.array(31), np.array(14), "exact") == pytest.approx(expected)


def test_sign_flip_of_few_items_counts_all_patterns():
    terms = np.random.default_rng(1).normal(0.5, 1, 11)
    assert paired.sign_flip(terms, np.ones(11), **ONE) == pytest.approx(by_hand(terms))


def test_sign_flip_weighs_each_item_by_its_share():
    differences = np.random.default_rng(5).normal(0.3, 1, 10)
    share = shares(np.ones(10), np.repeat([0, 1], [8, 2]))
    p = paired.sign_flip(differences, share, **ONE)
    assert p == pytest.approx(by_hand(differences * share)) != pytest.approx(by_hand(differences))


def test_sign_flip_ways_of_drawing_agree_with_each_other_and_with_scipy():
    rng = np.random.default_rng(2)
    many, few = rng.normal(0.06, 1, 1500), np.round(rng.normal(0.06, 1, 1500), 1)
    normal = 2 * reference.norm.sf(abs(many.sum()) / np.sqrt((many**2).sum()))
    assert paired.sign_flip(many, np.ones(1500), resamples=10_000, seed=0) == pytest.approx(
        normal, abs=0.01
    )
    assert paired.sign_flip(many, np.ones(1500), resamples=10**6, seed=0) == pytest.approx(normal)
    drawn = reference.permutation_test(
        (few, np.zeros(1500)),
        lambda a, b: np.sum(a - b),
        permutation_type="samples",
        n_resamples=2000,
        rng=3,
    )
    assert paired.sign_flip(few, np.ones(1500), resamples=10_000, seed=0) == pytest.approx(
        drawn.pvalue, abs=0.03
    )


@pytest.mark.parametrize("differences", [np.linspace(1, 2, 17), np.linspace(1, 2, 300)])
def test_sign_flip_of_drawn_patterns_counts_the_observed_one(differences):
    """Where no drawn pattern reaches the observed sum, p is 1 / (patterns + 1), never 0."""
    assert paired.sign_flip(differences, np.ones(len(differences)), resamples=99, seed=0) == 1 / 100


@pytest.mark.parametrize("kind", ["one group", "unbalanced groups", "numbers"])
def test_sign_flip_p_values_are_uniform_where_nothing_differs(kind):
    rng, found = np.random.default_rng(3), []
    sizes = [120] if kind == "one group" else [200, 40, 20]
    groups = np.repeat(np.arange(len(sizes)), sizes)
    share = shares(np.ones(len(groups)), groups)
    for seed in range(2000):
        a, b = (
            (rng.random((2, len(groups))) < 0.6).astype(float)
            if kind != "numbers"
            else rng.standard_t(4, (2, len(groups)))
        )
        found.append(paired.sign_flip(b - a, share, resamples=499, seed=seed))
    for level in (0.05, 0.2, 0.5):
        rate = np.mean(np.array(found) <= level)
        error = 3 * np.sqrt(level * (1 - level) / 2000)
        assert rate <= level + error, "there are no more false alarms than the p value says"
        # Sums of whole numbers are conservative
        assert kind == "one group" or rate >= level - error - 0.01


def test_exchanging_a_and_b_changes_no_p_value():
    rng = np.random.default_rng(4)
    for differences in (
        rng.choice([-1, 0, 1], 300),
        rng.choice([-1, -0.5, 0, 0.5, 1], 300),
        rng.normal(size=300),
        rng.normal(size=9),
    ):
        share = shares(np.ones(len(differences)), np.repeat([0, 1], [3, len(differences) - 3]))
        assert paired.sign_flip(differences, share, **ONE) == paired.sign_flip(
            -differences, share, **ONE
        )
    for method in ("exact", "mid_p", "chi_square"):
        assert paired.mcnemar(np.array(9), np.array(3), method) == paired.mcnemar(
            np.array(3), np.array(9), method
        )


@pytest.mark.parametrize(("n_better", "n_worse"), [(3, 9), (12, 1), (40, 61), (7, 7)])
def test_mcnemar_equals_statsmodels(n_better, n_worse):
    table = [[100, n_better], [n_worse, 50]]
    counts = np.array(n_better), np.array(n_worse)
    assert paired.mcnemar(*counts, "exact") == pytest.approx(
        statsmodels_mcnemar(table, exact=True).pvalue
    )
    assert paired.mcnemar(*counts, "chi_square") == pytest.approx(
        statsmodels_mcnemar(table, exact=False, correction=False).pvalue
    )


def test_mcnemar_mid_p_is_half_the_chance_of_the_observed_table_less():
    # Fagerland, Lydersen & Laake 2013, table 1: airway hyper-responsiveness, 1 and 7 discordant of
    # 21 (exact 0.0703, mid-p 0.0391)
    counts = np.array(1), np.array(7)
    assert paired.mcnemar(*counts, "exact") == pytest.approx(0.0703, abs=5e-5)
    assert paired.mcnemar(*counts, "mid_p") == pytest.approx(0.0391, abs=5e-5)


@pytest.mark.parametrize("method", ["exact", "mid_p", "chi_square"])
def test_mcnemar_without_discordant_items_is_one(method):
    assert paired.mcnemar(np.array([0, 5]), np.array([0, 5]), method) == pytest.approx([1, 1])


def test_mcnemar_finds_what_an_unpaired_test_on_paired_data_does_not():
    # A case like that of lm-eval's pull request 3868: unpaired p = .080, McNemar p = .008 on the
    # same data
    n, a_only, b_only, both = 1000, 60, 94, 500
    a, b = a_only + both, b_only + both
    pooled = (a + b) / (2 * n)
    unpaired = 2 * reference.norm.sf((b - a) / n / np.sqrt(2 * pooled * (1 - pooled) / n))
    assert unpaired > 0.08
    assert paired.mcnemar(np.array(b_only), np.array(a_only), "mid_p") < 0.008


@pytest.mark.parametrize(
    ("better", "worse", "n"), [(0.1, 0.1, 30), (0.02, 0.0, 100), (0.9, 0.02, 25), (0.2, 0.1, 400)]
)
def test_flips_interval_covers_the_difference_as_often_as_it_says(better, worse, n):
    counts = np.random.default_rng(7).multinomial(n, [better, worse, 1 - better - worse], 1000)
    bounds = [paired.flips_interval(b, w, n, 0.95) for b, w, _ in counts]
    covered = np.mean([low <= better - worse <= high for low, high in bounds])
    assert covered >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / 1000)


def test_flips_interval_is_walds_of_the_counts_with_one_added_to_each():
    better, worse = 13 / 52, 4 / 52
    half = reference.norm.ppf(0.975) * np.sqrt((better + worse - (better - worse) ** 2) / 52)
    expected = better - worse - half, better - worse + half
    assert paired.flips_interval(12, 3, 50, 0.95) == pytest.approx(expected)


def test_flips_interval_has_a_width_where_all_flip_one_way_and_ends_at_one():
    low, high = paired.flips_interval(2, 0, 2, 0.95)
    assert low < 0 and high == 1


def test_bootstrap_p_agrees_with_the_sign_flip():
    differences = np.repeat([1.0, -1.0, 0.0], [110, 80, 610])
    drawn = replicates(differences, np.ones(800), np.zeros(800, int), resamples=20_000, seed=0)
    assert paired.bootstrap_p(drawn) == pytest.approx(
        paired.sign_flip(differences, np.full(800, 1 / 800), **ONE), abs=0.01
    )
    assert paired.bootstrap_p(np.zeros(99)) == 1


@pytest.mark.parametrize("method", ["holm", "fdr_bh"])
def test_corrected_equals_statsmodels(method):
    p = np.random.default_rng(6).random(30) ** 3
    assert paired.corrected(p, method) == pytest.approx(multipletests(p, method=method)[1])
    assert paired.corrected(np.array([]), method).tolist() == []


def test_corrected_unknown_method_is_named():
    with pytest.raises(
        InputError, match="unknown correction 'bonferroni'; expected holm or fdr_bh"
    ):
        paired.corrected(np.array([0.1]), "bonferroni")


def test_effect_sizes_by_hand():
    assert paired.cohens_dz(np.array([1.0, 2, 3])) == pytest.approx(2)
    assert paired.cohens_dz(np.ones(3)) is None
    assert paired.cohens_h(0.5, 0.5) == 0 and paired.cohens_h(0.25, 0.75) == pytest.approx(
        np.pi / 3
    )
    assert paired.odds_ratio(30, 10) == pytest.approx(30.5 / 10.5)
