"""Correlations and shares added up chunk by chunk, against numpy on all values at once."""

import numpy as np
import pytest

from lmcore.analysis.totals import Totals


def totals_of(values: np.ndarray, n_chunks: int) -> Totals:
    """(models, N) values, added in chunks."""
    found = Totals(len(values))
    for part in np.array_split(values, n_chunks, axis=1):
        found.add(part)
    return found


@pytest.mark.parametrize("n_chunks", [1, 3])
def test_totals_are_those_of_all_values_however_they_come(n_chunks):
    values = np.random.default_rng(0).integers(0, 6, (3, 200)) + 0.5
    found = totals_of(values, n_chunks)
    assert found.n == 200
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert found.correlation(a, b) == pytest.approx(np.corrcoef(values[a], values[b])[0, 1])
        less, same = (values[b] < values[a]).mean(), (values[b] == values[a]).mean()
        assert found.share_less(a, b) == pytest.approx(less + same / 2)


def test_correlation_of_values_that_do_not_vary_is_none():
    values = np.stack([np.full(9, 0.1), np.arange(9.0), 2 * np.arange(9.0)])
    found = totals_of(values, 2)
    assert found.correlation(0, 1) == 0 and found.correlation(1, 2) == pytest.approx(1)
