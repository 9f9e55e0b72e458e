"""Sums, correlations and shares kept chunk by chunk, against numpy on all values at once."""

import numpy as np
import pytest

from lmcore.analysis.totals import Totals


def totals_of(values: np.ndarray, item: np.ndarray, n_chunks: int) -> Totals:
    """(models, N) values of items in order, added in chunks of whole items."""
    found = Totals()
    for part in np.array_split(np.unique(item), n_chunks):
        own = np.isin(item, part)
        found.add(values[:, own], item[own] - part[0], len(part))
    return found


@pytest.mark.parametrize("n_chunks", [1, 3])
def test_totals_are_those_of_all_values_however_they_come(n_chunks):
    rng = np.random.default_rng(0)
    values, item = rng.integers(0, 6, (3, 200)) + 0.5, np.sort(rng.integers(0, 12, 200))
    found = totals_of(values, item, n_chunks)
    sums = np.stack([np.bincount(item, weights=row) for row in values])
    assert found.of_items() == pytest.approx(sums)
    assert found.n_of_items().tolist() == np.bincount(item).tolist()
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert found.correlation(a, b) == pytest.approx(np.corrcoef(values[a], values[b])[0, 1])
        less, same = (values[b] < values[a]).mean(), (values[b] == values[a]).mean()
        assert found.share_less(a, b) == pytest.approx(less + same / 2)


def test_correlation_of_values_that_do_not_vary_is_none():
    values = np.stack([np.full(9, 0.1), np.arange(9.0), 2 * np.arange(9.0)])
    found = totals_of(values, np.arange(9), 2)
    assert found.correlation(0, 1) == 0 and found.correlation(1, 2) == pytest.approx(1)
