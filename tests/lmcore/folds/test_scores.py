"""Scores that are read one metric at a time are those of the whole table."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from lmcore.errors import InputError
from lmcore.folds import scores as module
from lmcore.folds.metrics import suite_metrics
from lmcore.folds.scores import Scores, rows_of_metric
from lmcore.tables import CLUSTER, OPTIONAL_CLUSTER, SCORES, write

METRICS = ("accuracy", "entropy", "length_baseline", "logprob", "rank", "surprisal_per_byte", "tie")


def scores_table(n_items: int, n_draws: int, *, has_clusters: bool = False) -> pa.Table:
    """Random scores in the order of SCORE_KEY; groups are not in the order of the items."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(n_items):
        for draw in range(n_draws):
            for metric in METRICS:
                value = float(rng.integers(0, 2)) if metric in ("accuracy", "tie") else rng.random()
                row = {
                    "item": f"s/{number:04d}",
                    "draw": draw,
                    "variant": "",
                    "group": f"g{(7 * number) % 5}",
                    "metric": metric,
                    "value": value if number else -0.0,
                    "weight": float(rng.integers(1, 9)) if "p" in metric else 1.0,
                    "content_hash": number,
                }
                rows.append(row | ({CLUSTER: f"c{number % 41}"} if has_clusters else {}))
    schema = pa.schema([*SCORES, *OPTIONAL_CLUSTER]) if has_clusters else SCORES
    return pa.Table.from_pylist(rows, schema)


@pytest.mark.parametrize(("n_draws", "has_clusters"), [(1, False), (3, False), (3, True)])
def test_file_of_many_rows_gives_the_bits_of_the_table_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_draws: int, has_clusters: bool
) -> None:
    monkeypatch.setattr(module, "ROW_GROUP", 100)
    monkeypatch.setattr(module, "BATCH_ROWS", 64)
    table = scores_table(97, n_draws, has_clusters=has_clusters)
    write(table, SCORES, tmp_path / "scores.parquet")
    in_memory, of_file = Scores(table), Scores(tmp_path / "scores.parquet")
    assert in_memory.table is not None and of_file.table is None
    for metric in METRICS:
        expected, found = in_memory.columns(metric), of_file.columns(metric)
        assert list(found) == list(expected) and ("clusters" in found) == has_clusters
        for name, values in found.items():
            assert values.tobytes() == expected[name].tobytes(), (metric, name)
            assert values.dtype == expected[name].dtype
    parts = {"half": ["g1", "g4", "absent"], "none": ["absent"]}
    of_table = suite_metrics(table, 0.95, parts=parts)
    assert "accuracy_half" in of_table[0] and "accuracy_none" not in of_table[0]
    assert suite_metrics(tmp_path / "scores.parquet", 0.95, parts=parts) == of_table


def test_items_are_numbered_in_any_order_of_the_rows() -> None:
    table = scores_table(20, 2)
    order = np.random.default_rng(1).permutation(len(table))
    values = np.sort(Scores(table).columns("entropy")["values"])
    shuffled = np.sort(Scores(table.take(pa.array(order))).columns("entropy")["values"])
    assert np.allclose(values, shuffled, rtol=1e-15, atol=0)


def test_file_of_many_rows_that_lacks_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ROW_GROUP", 100)
    table = scores_table(50, 2)
    write(table.slice(1), SCORES, tmp_path / "scores.parquet")
    with pytest.raises(InputError, match="one row an item and draw of metric 'accuracy'"):
        Scores(tmp_path / "scores.parquet").columns("accuracy")


def test_file_of_many_rows_of_another_schema_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ROW_GROUP", 100)
    table = scores_table(50, 1)
    path = tmp_path / "scores.parquet"
    pq.write_table(table.drop_columns(["weight"]), path)
    with pytest.raises(InputError, match=r"column 'weight' .* is missing"):
        Scores(path)
    nulls = pa.array([None] * len(table), pa.int16())
    pq.write_table(table.set_column(1, SCORES.field("draw"), nulls), path)
    with pytest.raises(InputError, match=r"column 'draw' holds"):
        Scores(path)


def test_rows_of_a_metric_are_those_of_the_whole_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH_ROWS", 64)
    path, table = tmp_path / "scores.parquet", scores_table(50, 2)
    write(table, SCORES, path)
    rows = rows_of_metric(path, "entropy", [*SCORES.names, CLUSTER])
    assert rows["metric"].combine_chunks().dictionary.to_pylist() == ["entropy"]
    assert rows.cast(SCORES).equals(table.filter(pc.equal(table["metric"], "entropy")))
