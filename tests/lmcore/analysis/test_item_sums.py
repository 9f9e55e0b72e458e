"""Rows of many items come out as they went in, whether a file or memory kept them."""

import numpy as np
import pytest

from lmcore.analysis import item_sums
from lmcore.analysis.item_sums import ItemSums


@pytest.mark.parametrize("in_memory", [1, 2**26])
@pytest.mark.parametrize(("run_items", "sizes"), [(1, [4, 1, 5]), (5, [5, 5]), (99, [10])])
def test_rows_come_out_in_runs_of_whole_chunks(monkeypatch, in_memory, run_items, sizes):
    monkeypatch.setattr(item_sums, "IN_MEMORY", in_memory)
    monkeypatch.setattr(item_sums, "RUN_ITEMS", run_items)
    rows = np.random.default_rng(0).normal(size=(3, 10))
    with ItemSums() as kept:
        for chunk in np.split(rows, [4, 5], axis=1):
            kept.add(chunk)
        runs = list(kept.runs([2, 0]))
        assert [run.shape[1] for run in runs] == sizes
        assert np.array_equal(np.concatenate(runs, 1), rows[[2, 0]])
        assert kept.total(1) == pytest.approx(rows[1].sum())


def test_counts_are_kept_as_numbers():
    with ItemSums() as kept:
        kept.add(np.array([[1, 2], [3, 4]]))
        assert kept.total(0) == 3.0 and kept.total(1) == 7.0
