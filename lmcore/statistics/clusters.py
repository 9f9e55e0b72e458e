"""Means of items that come in clusters: a story, a concept, a template that several items share.

Values, weights, groups and clusters of items go in. Estimates and values by cluster come out.

Items of one cluster resemble each other, so that ten of them tell less than ten others. Clusters
are the sample: they are drawn, and their signs flip, as wholes. Unlike the groups of a suite, which
are fixed, other clusters could have been drawn. A cluster may lie in several groups.

Source: Miller 2024, Adding Error Bars to Evals, arXiv 2411.00640, section 2.2; for the estimator
Liang & Zeger 1986, Biometrika 73.
"""

from typing import NamedTuple

import numpy as np

from lmcore.errors import InputError
from lmcore.statistics.intervals import by_cluster, group_means, shares
from lmcore.statistics.stats import Estimate, effective_items, ratio_df


class _Parts(NamedTuple):
    """What a macro mean is made of: a part is the items that one cluster has in one group."""

    groups: np.ndarray  # (parts,)
    clusters: np.ndarray  # (parts,)
    shares: np.ndarray  # (parts,) of the macro mean
    sums: np.ndarray  # (parts,) of share * residual, scaled for the number of clusters of its group
    n_of_group: np.ndarray  # (groups,) the number of clusters


def shared(clusters: np.ndarray | None) -> np.ndarray | None:
    """(N,) the clusters as integers from 0; None where no two items share one."""
    if clusters is None:
        return None
    names, numbers = np.unique(clusters, return_inverse=True)
    return numbers if len(names) < len(clusters) else None


def macro_by_cluster(
    values: np.ndarray, weights: np.ndarray, groups: np.ndarray, clusters: np.ndarray
) -> Estimate:
    """The mean over groups of their weighted means, with the standard error over clusters.

    The macro mean is linear: an item moves it by share * residual, where the residual is the value
    less the mean of the item's group. These are summed within each cluster, over all groups, and
    the variance is the sum of the squared sums. Each group's part is scaled by C / (C - 1) for its
    C clusters. If every item is its own cluster, the result is that of lmcore.statistics.stats.

    A group of one cluster gets the mean variance of the other groups. If all groups have one
    cluster, the groups' means are the items. The standard error is None if there is one cluster.

    groups, clusters: (N,) integers from 0, each of which occurs.
    """
    n_clusters, means = int(clusters.max()) + 1, group_means(values, weights, groups)
    estimate = Estimate(float(means.mean()), None, 0, len(values), None, n_clusters)
    if n_clusters < 2:
        return estimate
    parts = _parts(shares(weights, groups) * (values - means[groups]), weights, groups, clusters)
    if (parts.n_of_group == 1).all():
        of_group = np.empty(len(means), np.int64)
        of_group[groups] = clusters
        of_means = macro_by_cluster(means, np.ones(len(means)), 0 * of_group, of_group)
        return of_means._replace(n=len(values))
    if len(means) == 1 and np.ptp(parts.shares) > 1e-9 * parts.shares.max():
        estimate = estimate._replace(n_effective=effective_items(parts.shares))
    variance, df = _variance(parts)
    return estimate._replace(se=float(np.sqrt(variance)), df=df)


def sum_of_squares(moves: np.ndarray, groups: np.ndarray, clusters: np.ndarray) -> float:
    """The sum over clusters of the squared sums of `moves`, scaled as in `macro_by_cluster`.

    moves: (N,) how much each item moves the macro mean.
    """
    parts = _parts(moves, np.ones(len(moves)), groups, clusters)
    return float((np.bincount(parts.clusters, parts.sums) ** 2).sum())


def _parts(
    moves: np.ndarray, weights: np.ndarray, groups: np.ndarray, clusters: np.ndarray
) -> _Parts:
    """The parts of a macro mean; moves: (N,) share * residual of each item."""
    n_clusters = int(clusters.max()) + 1
    codes, part = np.unique(groups * n_clusters + clusters, return_inverse=True)
    of_group, of_cluster = np.divmod(codes, n_clusters)
    n_of_group = np.bincount(of_group)
    scales = np.sqrt(n_of_group / np.maximum(n_of_group - 1, 1))
    sums = np.bincount(part, moves) * scales[of_group]
    return _Parts(
        of_group, of_cluster, np.bincount(part, shares(weights, groups)), sums, n_of_group
    )


def _variance(parts: _Parts) -> tuple[float, float]:
    """The variance of the macro mean, and its degrees of freedom.

    Groups that are connected by clusters belong together. Between those that are not, the degrees
    of freedom are those of Welch and Satterthwaite.
    """
    of_groups = np.bincount(parts.groups, parts.sums**2)
    has_one = parts.n_of_group == 1
    of_groups[has_one] = (of_groups * parts.n_of_group)[~has_one].mean()
    sums = np.bincount(parts.clusters, parts.sums)
    component_of_group = _components(parts)
    component_of_cluster = np.empty(len(sums), np.int64)
    component_of_cluster[parts.clusters] = component_of_group[parts.groups]
    variances = np.bincount(component_of_cluster, sums**2)
    variances += np.bincount(component_of_group, of_groups * has_one, len(variances))
    total = float(variances.sum())
    if not total:
        return 0.0, float(max(1, len(sums) - len(of_groups)))
    dfs = []
    for component in range(len(variances)):
        rows = component_of_group[parts.groups] == component
        dfs.append(_df(parts, rows, of_groups))
    return total, total**2 / float((variances**2 / np.array(dfs)).sum())


def _components(parts: _Parts) -> np.ndarray:
    """(groups,) integers from 0: groups that share clusters, directly or by others, are one."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n_groups, n_clusters = len(parts.n_of_group), int(parts.clusters.max()) + 1
    n = n_groups + n_clusters
    places = parts.groups, n_groups + parts.clusters
    edges = coo_array((np.ones(len(parts.groups)), places), (n, n))
    labels = connected_components(edges, directed=False)[1][:n_groups]
    return np.unique(labels, return_inverse=True)[1]


def _df(parts: _Parts, rows: np.ndarray, of_groups: np.ndarray) -> float:
    """The degrees of freedom of the variance of one component, whose parts are `rows`.

    Of a single group, they are those of a ratio whose items are the clusters. Of several groups,
    they are Satterthwaite's less 1, where a cluster's variance is what it has in each group by its
    share there, taken as perfectly correlated between groups.

    of_groups: (groups,) the variance of each group's part of the macro mean.
    """
    groups, clusters, share = parts.groups[rows], parts.clusters[rows], parts.shares[rows]
    if len(np.unique(groups)) == 1:
        if len(share) < 2:
            return 1.0
        is_alike = np.ptp(share) <= 1e-9 * share.max()
        return float(len(share) - 1) if is_alike else ratio_df(share)
    squares = share**2 / np.bincount(groups, share**2)[groups]
    deviations = np.bincount(clusters, np.sqrt(squares * of_groups[groups]))
    variances = deviations**2
    if not variances.any():
        return 1.0
    return max(1.0, float(variances.sum() ** 2 / (variances**2).sum()) - 1)


def of_clusters(
    values: np.ndarray, weights: np.ndarray, groups: np.ndarray, clusters: np.ndarray, what: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The values, weights and groups of whole clusters, to be drawn within their groups.

    Raises InputError, which begins with `what`, where a cluster lies in several groups. Drawing it
    anew would change the numbers of items of these groups, and might leave one of them empty.
    """
    n_clusters = int(clusters.max()) + 1
    codes = np.unique(groups * n_clusters + clusters)
    if len(codes) > n_clusters:
        raise InputError(
            f"{what}: expected clusters that lie in one group each, but some lie in several;"
            " whole clusters cannot be drawn within groups: set interval: student"
        )
    group_of_cluster = np.empty(n_clusters, np.int64)
    group_of_cluster[codes % n_clusters] = codes // n_clusters
    return *by_cluster(values, weights, clusters), group_of_cluster
