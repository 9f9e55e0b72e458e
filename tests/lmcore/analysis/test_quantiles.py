"""Quantiles and bins against numpy and pandas, ties and negative numbers among them."""

import numpy as np
import pandas as pd
import pytest

from lmcore.analysis.quantiles import bin_of, qcut_edges, quantiles_of_groups, sort_by_group

PROBABILITIES = [0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0]


@pytest.mark.parametrize("seed", range(4))
def test_quantiles_by_group_are_those_of_pandas(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ids, values = (
        rng.zipf(1.4, 5000) % 60,
        np.round(rng.normal(0, 3, 5000), seed).astype(np.float32),
    )
    ordered, counts = sort_by_group(ids, values)
    there = np.flatnonzero(counts)
    expected = (
        pd.DataFrame({"id": ids, "value": values.astype(float)})
        .groupby("id")["value"]
        .quantile(PROBABILITIES)
        .unstack()
    )
    assert list(expected.index) == list(there)
    np.testing.assert_allclose(
        quantiles_of_groups(ordered, counts[there], PROBABILITIES),
        expected.to_numpy(),
        rtol=0,
        atol=1e-12,
    )


def test_sort_by_group_orders_negative_zero_and_tiny_values() -> None:
    values = np.array([1e-40, -0.0, 0.0, -1e-40, -3.5, 3.4e38, -3.4e38, 2], np.float32)
    ordered, counts = sort_by_group(np.zeros(8, np.int64), values)
    assert ordered.tolist() == sorted(values.tolist()) and counts.tolist() == [8]


@pytest.mark.parametrize("decimals", [0, 1, 6])
@pytest.mark.parametrize("n_bins", [2, 4, 10, 37])
def test_bins_are_those_of_pandas_qcut_also_where_edges_tie(decimals: int, n_bins: int) -> None:
    values = np.round(np.random.default_rng(n_bins).gamma(1, 1, 3001), decimals).astype(np.float32)
    codes, edges = pd.qcut(
        values.astype(float), n_bins, labels=False, retbins=True, duplicates="drop"
    )
    ours = qcut_edges(np.sort(values), n_bins)
    np.testing.assert_allclose(ours, edges, rtol=0, atol=1e-12)
    assert bin_of(values, ours).tolist() == codes.tolist()


def test_bins_of_values_that_are_all_alike_are_one() -> None:
    edges = qcut_edges(np.full(9, 2.5, np.float32), 10)
    assert edges.tolist() == [2.5, 2.5] and set(bin_of(np.full(9, 2.5, np.float32), edges)) == {0}


def test_bin_of_values_outside_the_edges_is_the_nearest() -> None:
    assert bin_of(np.array([-1.0, 0, 1, 1.5, 2, 9]), np.array([0.0, 1, 2])).tolist() == [
        0,
        0,
        0,
        1,
        1,
        1,
    ]
