"""The token table for people: what it says, what the filters keep, and that it streams."""

import csv
import io
import math
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lmcore.commands import token_rows
from lmcore.commands.token_rows import as_lines, readable_rows, write_csv, write_parquet
from lmcore.errors import InputError
from tests.lmcore.analysis.random_tokens import THREE, by_hand, random_table, save
from tests.lmcore.token_tables import items_of, tokens_of


def rows_of(batches: Iterable[pa.RecordBatch]) -> list[dict]:
    """The rows of all batches."""
    rows = []
    for batch in batches:
        rows += batch.to_pylist()
    return rows


def test_rows_by_hand(tmp_path) -> None:
    rows = rows_of(readable_rows(save(by_hand(), tmp_path / "t"), THREE))
    first = rows[0]
    assert (first["item"], first["current_token"], first["next_token"], first["rank"]) == (
        "i/0",
        "a",
        " b",
        1,
    )
    assert (
        first["surprisal"] == 1.0
        and first["probability_of_next_token"] == 0.5
        and first["entropy"] == 1.0
    )
    assert [row["surprisal"] for row in rows] == pytest.approx([1, 2, 1, -math.log2(0.75)])


def test_csv_and_parquet_hold_the_same_rows_from_shards_or_one_file(tmp_path, monkeypatch) -> None:
    table = random_table(500, 3, 1)
    one, many = (save(table, tmp_path / str(n), n) for n in (1, 4))
    write_parquet(readable_rows(one, THREE), tmp_path / "out.parquet")
    monkeypatch.setattr(token_rows, "BATCH_ROWS", 7)
    write_csv(readable_rows(many, THREE), tmp_path / "out.csv")
    found = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text())))
    expected = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert [row["next_token"] for row in found] == [row["next_token"] for row in expected]
    np.testing.assert_allclose(
        [float(row["surprisal"]) for row in found],
        [row["surprisal"] for row in expected],
        rtol=1e-6,
    )


def test_filters_keep_items_targets_and_high_entropy(tmp_path) -> None:
    items = items_of({"a": [("one two", " three")], "b": [("", "six seven")]})
    path = save(tokens_of(items, lambda draw, before, word: -1.0), tmp_path / "t", 2)
    texts = [f"t{number}" for number in range(9)]

    def kept(**filters) -> list[tuple[str, int]]:
        rows = rows_of(readable_rows(path, texts, **filters))
        return [(row["item"], row["position"]) for row in rows]

    assert kept() == [("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1)]
    assert kept(items=["b"]) == [("b", 0), ("b", 1)] == kept(groups={"all": {"b"}})
    assert kept(target_only=True, items=["a"]) == [("a", 2)]
    with pytest.raises(InputError, match="no token of c"):
        kept(items=["c"])
    with pytest.raises(InputError, match="the quantile must be at least 0 and below 1, not 1"):
        kept(above_quantile=1.0)


def test_above_quantile_is_that_of_pandas_among_what_is_kept(tmp_path) -> None:
    table = random_table(400, 3, 2)
    path = save(table, tmp_path / "t", 3)
    rows = rows_of(readable_rows(path, THREE, above_quantile=0.9))
    entropy = table["entropy"].to_pandas()
    assert len(rows) == int((entropy > np.float32(entropy.quantile(0.9))).sum()) > 0


def test_lines_name_each_text_once_and_mark_context(tmp_path) -> None:
    items = items_of({"a": [("one", " two"), ("one", " three")]})
    path = save(tokens_of(items, lambda draw, before, word: -1.0, draws=2), tmp_path / "t")
    lines = list(as_lines(readable_rows(path, [f"t{number}" for number in range(9)])))
    assert [line.strip() for line in lines if line.strip().startswith("a")] == [
        "a",
        "a option 1",
        "a draw 1",
        "a option 1 draw 1",
    ]
    assert sum(line.endswith("context") for line in lines) == 4
