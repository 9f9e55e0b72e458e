"""What a column adds to a linear regression, as values that are means over its rows.

Numbers for each of N rows go in. One value for each row comes out, so that the pipeline's means,
intervals and paired tests, by clusters too, hold for regressions.
"""

from itertools import combinations

import numpy as np


def with_products(columns: np.ndarray) -> np.ndarray:
    """(N, 1 + k + k (k - 1) / 2): 1, the columns (N, k), and their products in pairs.

    The columns are standardised first, for the sake of precision. What the result can explain is
    the same as without.
    """
    z = _standardised(columns)
    products = [z[:, i] * z[:, j] for i, j in combinations(range(z.shape[1]), 2)]
    return np.column_stack([np.ones(len(z)), z, *products])


def share_explained(y: np.ndarray, baseline: np.ndarray, added: np.ndarray) -> np.ndarray:
    """(N,) values whose mean is 100 (R² - R²_baseline) / (1 - R²_baseline), of least squares.

    That is 100 (1 - RSS / RSS_baseline), the share in per cent of what the baseline (N, k) leaves
    that the columns `added` (N, m) explain besides. With residuals e and the means m, a value is
    100 ((e_baseline² - e² - share e_baseline²) / m(e_baseline²) + share): the share and its
    influence function, so the standard error of the mean is that of the share. What the estimated
    coefficients add to it is of a smaller order, since the sums of squares are least at them.

    The share is positive even where the columns mean nothing: m columns of noise give 100 m / (N -
    k) in the mean. Near 0 it is no longer normal. In 400 samples with the predictors of BabyLM's
    1,696 words, and with intervals over their 205 sentences, 95 % intervals held a true share of 0
    always, of 0.25 in 87 %, and of 1 in 92 %; those of the difference of two models held the true
    one in 100, 96 and 92 %. `held_out_gain` is the sounder question near 0.

    All values are 0 where the baseline leaves nothing.
    """
    before = _residuals(y, baseline) ** 2
    after = _residuals(y, np.column_stack([baseline, _standardised(added)])) ** 2
    left = before.mean()
    if left <= 1e-24 * (y**2).mean():
        return np.zeros(len(y))
    share = 1 - after.mean() / left
    return 100 * ((before - after - share * before) / left + share)


def held_out_gain(
    y: np.ndarray, baseline: np.ndarray, added: np.ndarray, folds: np.ndarray
) -> np.ndarray:
    """(N,) how much greater the log density of each y is with the columns `added`, in nats.

    Both regressions, normal with one variance (its maximum-likelihood estimate), are fitted to the
    rows of all other folds. So columns that mean nothing lose a little on average.

    baseline: (N, k) with its column of ones; added: (N, m); folds: (N,) integers from 0.
    Source: Goodkind & Bicknell 2018, https://aclanthology.org/W18-0102; with held-out data as in
    Wilcox et al. 2020, arXiv 2006.01912.
    """
    with_added = np.column_stack([baseline, _standardised(added)])
    gain = np.empty(len(y))
    for fold in np.unique(folds):
        rows = folds == fold
        gain[rows] = _log_density(y, with_added, rows) - _log_density(y, baseline, rows)
    return gain


def folds_of(clusters: np.ndarray, n_folds: int, seed: int) -> np.ndarray:
    """(N,) the fold, from 0, of each row: a cluster is in one fold, and folds have equally many.

    clusters: (N,) integers from 0. The folds depend on the clusters' number and the seed alone.
    """
    n_clusters = int(clusters.max()) + 1
    order = np.random.default_rng(seed).permutation(n_clusters)
    fold_of_cluster = np.empty(n_clusters, np.int64)
    fold_of_cluster[order] = np.arange(n_clusters) % n_folds
    return fold_of_cluster[clusters]


def _standardised(columns: np.ndarray) -> np.ndarray:
    """The columns less their means, over their deviations; those of a constant column are 0."""
    centred = columns - columns.mean(0)
    deviations = centred.std(0)
    is_constant = deviations <= 1e-12 * np.abs(columns).max(0, initial=0)
    return np.where(is_constant, 0.0, centred / np.where(is_constant, 1.0, deviations))


def _coefficients(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    return np.linalg.lstsq(x, y, rcond=1e-12)[0]


def _residuals(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    return y - x @ _coefficients(y, x)


def _log_density(y: np.ndarray, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The log density of y in these rows, by the regression on all others."""
    coefficients = _coefficients(y[~rows], x[~rows])
    variance = ((y[~rows] - x[~rows] @ coefficients) ** 2).mean()
    errors = y[rows] - x[rows] @ coefficients
    return -0.5 * (np.log(2 * np.pi * variance) + errors**2 / variance)
