"""Order statistics of batches are those of a sort of all values."""

import numpy as np
import pytest

from lmcore.analysis import selection
from lmcore.analysis.quantiles import quantiles_of_groups, sort_by_group
from lmcore.analysis.selection import GroupedValues, quantiles_of, values_at_places

PROBABILITIES = [0.0, 0.05, 0.25, 0.5, 0.95, 1.0]


def some_values(n: int, seed: int) -> np.ndarray:
    """Random float32, many of them alike, of both signs."""
    rng = np.random.default_rng(seed)
    values = np.where(rng.random(n) < 0.5, rng.normal(0, 3, n), np.round(rng.normal(0, 3, n)))
    return values.astype(np.float32)


@pytest.mark.parametrize("n", [1, 2, 1000])
def test_values_at_places_are_those_of_the_sorted_values(n: int) -> None:
    values = some_values(n, 0)
    places = np.unique(np.linspace(0, n - 1, 40).astype(int))
    found = values_at_places(lambda: iter(np.array_split(values, 7)), places)
    assert found.tolist() == np.sort(values)[places].tolist()


@pytest.mark.parametrize("falls", [False, True])
def test_quantiles_of_a_unit_are_those_of_the_values_in_that_unit(falls: bool) -> None:
    values = some_values(1001, 1)
    sign = -0.5 if falls else 0.5
    found = quantiles_of(
        lambda: iter([values[:400], values[400:]]),
        1001,
        PROBABILITIES,
        lambda batch: batch * sign,
        falls=falls,
    )
    in_unit = np.sort(values.astype(np.float64) * sign)
    expected = quantiles_of_groups(in_unit, np.array([1001]), PROBABILITIES)[0]
    assert found.tolist() == expected.tolist()


@pytest.mark.parametrize("file_rows", [10, 333, 10_000])
def test_grouped_values_have_the_quantiles_of_one_sort(monkeypatch, file_rows: int) -> None:
    monkeypatch.setattr(selection, "FILE_ROWS", file_rows)
    values = some_values(3000, 2)
    groups = (np.random.default_rng(3).zipf(1.4, 3000) - 1) % 90 * 2  # odd groups are empty
    counts = np.bincount(groups)
    with GroupedValues(counts) as grouped:
        for start in range(0, 3000, 700):
            grouped.add(groups[start : start + 700], values[start : start + 700])
        found = grouped.quantiles(PROBABILITIES)
    there = counts > 0
    ordered, _ = sort_by_group(groups, values)
    expected = quantiles_of_groups(ordered, counts[there], PROBABILITIES)
    assert found[there].tolist() == expected.tolist()
