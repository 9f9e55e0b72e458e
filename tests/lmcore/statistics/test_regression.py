"""Regressions as means over rows: statsmodels' figures, and intervals that cover."""

import numpy as np
import pytest
import statsmodels.api as sm

from lmcore.statistics.clusters import macro_by_cluster
from lmcore.statistics.regression import (
    folds_of,
    held_out_gain,
    share_explained,
    with_products,
)
from lmcore.statistics.stats import interval, ratio


def sample(rng, n: int, effect: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times, three predictors and surprisals, whose deviation beside the predictors is 1."""
    known = rng.normal(size=(n, 3)) * [1, 10, 100] + [0, 5, 900]
    surprisal = 0.3 * known[:, :1] + rng.normal(size=(n, 1))
    y = known @ [2, 0.1, 0.01] + effect * surprisal[:, 0] + rng.standard_t(8, n)
    return y, known, surprisal


@pytest.mark.parametrize("effect", [0.0, 0.4])
def test_mean_of_the_values_is_the_share_by_statsmodels(effect):
    y, known, surprisal = sample(np.random.default_rng(0), 90, effect)
    raw = [np.ones(90), *known.T]
    raw += [known[:, i] * known[:, j] for i, j in ((0, 1), (0, 2), (1, 2))]
    before = sm.OLS(y, np.column_stack(raw)).fit().rsquared
    after = sm.OLS(y, np.column_stack([*raw, surprisal])).fit().rsquared
    values = share_explained(y, with_products(known), surprisal)
    assert values.mean() == pytest.approx(100 * (after - before) / (1 - before), abs=1e-9)


def test_column_that_is_constant_or_known_before_explains_nothing():
    y, known, surprisal = sample(np.random.default_rng(0), 50, 0.4)
    baseline = with_products(known)
    for useless in (np.full((50, 1), 3.1), known[:, :1] * 2 + 1):
        assert share_explained(y, baseline, useless) == pytest.approx(0, abs=1e-9)
    assert (share_explained(np.ones(50), baseline, surprisal) == 0).all()


def test_column_of_noise_seems_to_explain_its_part_of_the_rows():
    """As the docstring warns: 100 m / (N - k) per cent, here 100 / (100 - 7)."""
    rng = np.random.default_rng(2)
    shares = []
    for _ in range(1500):
        y, known, _ = sample(rng, 100, 0.0)
        noise = rng.normal(size=(100, 1))
        shares.append(share_explained(y, with_products(known), noise).mean())
    assert np.mean(shares) == pytest.approx(100 / 93, abs=0.12)


@pytest.mark.parametrize("effect", [0.4, 0.8])
def test_interval_of_the_mean_covers_the_share(effect):
    """In 500 samples of 400 rows, 95 % intervals cover the true share in 92 to 98 %."""
    rng = np.random.default_rng(1)
    variance = 8 / 6  # of Student's t with 8 degrees of freedom
    true = 100 * effect**2 / (effect**2 + variance)
    n_covered = 0
    for _ in range(500):
        y, known, surprisal = sample(rng, 400, effect)
        values = share_explained(y, with_products(known), surprisal)
        low, high = interval(ratio(values, np.ones(400)), 0.95)
        n_covered += low <= true <= high
    assert 0.92 <= n_covered / 500 <= 0.98


def test_standard_error_over_clusters_is_that_of_the_jackknife():
    """Sentences are left out one at a time, and both regressions are fitted anew."""
    rng = np.random.default_rng(3)
    clusters = np.repeat(np.arange(60), 8)
    y, known, surprisal = sample(rng, 480, 0.5)
    y = y + rng.normal(size=60)[clusters]
    values = share_explained(y, with_products(known), surprisal)
    groups = np.zeros(480, np.int64)
    ours = macro_by_cluster(values, np.ones(480), groups, clusters).se
    left = []
    for cluster in range(60):
        rows = clusters != cluster
        left.append(share_explained(y[rows], with_products(known[rows]), surprisal[rows]).mean())
    jackknife = np.sqrt(59 / 60 * ((np.array(left) - np.mean(left)) ** 2).sum())
    assert ours == pytest.approx(jackknife, rel=0.05)


def test_gain_is_what_surprisal_tells_of_other_sentences():
    """The expected gain is half the log of the ratio of variances, and less than 0 for noise."""
    y, known, surprisal = sample(np.random.default_rng(4), 4000, 1.0)
    folds = folds_of(np.arange(4000) // 8, 10, 0)
    baseline = with_products(known)
    gain = held_out_gain(y, baseline, surprisal, folds).mean()
    assert gain == pytest.approx(0.5 * np.log(1 + 6 / 8), abs=0.02)
    noise = np.random.default_rng(5).normal(size=(4000, 5))
    assert -0.005 < held_out_gain(y, baseline, noise, folds).mean() < 0.001


def test_gain_of_a_fold_does_not_depend_on_what_is_held_out():
    """The density of one row is that of regressions on the rows of all other folds."""
    y, known, surprisal = sample(np.random.default_rng(6), 60, 0.7)
    folds = np.arange(60) % 3
    gain = held_out_gain(y, with_products(known), surprisal, folds)
    rest = folds != 1
    expected = 0.0
    for sign, x in (
        (-1, with_products(known)),
        (1, np.column_stack([with_products(known), surprisal])),
    ):
        fitted = sm.OLS(y[rest], x[rest]).fit()
        variance = fitted.ssr / rest.sum()
        error = y[1] - fitted.predict(x[1:2])[0]
        expected += sign * -0.5 * (np.log(2 * np.pi * variance) + error**2 / variance)
    assert gain[1] == pytest.approx(expected, abs=1e-9)


def test_folds_hold_whole_clusters_and_equally_many():
    clusters = np.random.default_rng(0).integers(0, 50, 400)
    folds = folds_of(clusters, 10, 0)
    of_clusters = {(fold, cluster) for fold, cluster in zip(folds, clusters)}
    assert len(of_clusters) == 50
    assert np.bincount([fold for fold, _ in of_clusters]).tolist() == [5] * 10
    assert (folds_of(clusters, 10, 1) != folds).any()
