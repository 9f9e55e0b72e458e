import pyarrow as pa
import pytest

from lmcore import tables
from lmcore.errors import InputError
from tests.lmcore.token_tables import items_of, tokens_of

ROW = {
    "item": "s/g/0",
    "option": 0,
    "variant": "",
    "group": "g",
    "context": "",
    "target": " a",
    "gold": True,
}


def test_items_table_sorts_and_hashes_the_whole_item():
    rows = [ROW, {**ROW, "option": 1, "target": " b", "gold": False}]
    table = tables.items_table(rows[::-1], {"bos": "prefix"})
    assert (
        table["option"].to_pylist() == [0, 1] and len(set(table["content_hash"].to_pylist())) == 1
    )
    other = tables.items_table([ROW, {**rows[1], "target": " c"}], {})
    assert set(other["content_hash"].to_pylist()).isdisjoint(table["content_hash"].to_pylist())
    assert tables.scoring_of(table) == {"bos": "prefix"}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([ROW, ROW], "'s/g/0' option 0 variant '' occurs twice"),
        ([{**ROW, "target": ""}], "'s/g/0' option 0 has an empty target"),
        ([], "no items"),
    ],
)
def test_items_table_bad_rows_are_refused_by_name(rows, message):
    with pytest.raises(InputError, match=message):
        tables.items_table(rows, {})


def test_check_names_the_column_and_what_came():
    table = tables.items_table([ROW], {})
    with pytest.raises(InputError, match=r"x.parquet: column 'gold' \(bool\) is missing"):
        tables.check(table.drop_columns("gold"), tables.ITEMS, "x.parquet")
    with pytest.raises(InputError, match="column 'option' must be int16, not int64"):
        tables.check(table.set_column(1, "option", pa.array([0])), tables.ITEMS)
    with pytest.raises(InputError, match="unknown column 'more'"):
        tables.check(table.append_column("more", pa.array([0])), tables.ITEMS)
    with pytest.raises(InputError, match="column 'group' holds 1 nulls"):
        tables.check(table.set_column(3, "group", pa.array([None], pa.string())), tables.ITEMS)


def test_write_read_round_trip_keeps_the_scoring_options(tmp_path):
    table = tables.items_table([ROW], {"bos": "none"})
    tables.write(table, tables.ITEMS, tmp_path / "items.parquet")
    again = tables.read(tmp_path / "items.parquet", tables.ITEMS)
    assert again.equals(table) and tables.scoring_of(again) == {"bos": "none"}
    with pytest.raises(InputError, match="no such table"):
        tables.read(tmp_path / "none.parquet", tables.ITEMS)


def test_read_gives_optional_columns_that_are_asked_for_and_refuses_a_table_without(tmp_path):
    items = items_of({"a": [("the", " man")]})
    tokens = tokens_of(items, lambda draw, before, word: -1.0)
    tables.write(tokens, tables.TOKENS, tmp_path / "without.parquet")
    masses = pa.array([-0.5] * tokens.num_rows, pa.float32())
    tokens = tokens.append_column("bow_logprob", masses)
    tables.write(tokens, tables.TOKENS, tmp_path / "with.parquet")
    columns = ["logprob", "bow_logprob"]
    found = tables.read(tmp_path / "with.parquet", tables.TOKENS, columns)
    assert found.column_names == columns
    assert found["bow_logprob"].to_pylist() == masses.to_pylist()
    with pytest.raises(InputError):
        tables.read(tmp_path / "without.parquet", tables.TOKENS, columns)


def test_write_tables_gives_the_bytes_of_one_table(tmp_path):
    n = 2 * tables.ROW_GROUP + 5
    numbers = pa.array(range(n), pa.int64())
    names = numbers.cast(pa.string())
    columns = {"item": names, "metric": pa.array(["accuracy"] * n), "value": numbers.cast("double")}
    columns |= {"variant": names, "group": names, "weight": columns["value"]}
    columns |= {"draw": pa.array([0] * n, pa.int16()), "content_hash": numbers.cast(pa.uint64())}
    table = pa.table([columns[field.name] for field in tables.SCORES], tables.SCORES)
    tables.write(table, tables.SCORES, tmp_path / "at_once")
    parts = [table.slice(start, 700_001) for start in range(0, n, 700_001)]
    tables.write_tables(parts, tables.SCORES, tmp_path / "in_parts")
    assert (tmp_path / "in_parts").read_bytes() == (tmp_path / "at_once").read_bytes()


def test_read_of_one_metric_gives_its_rows_in_order(tmp_path):
    rows = [
        {"item": str(n), "metric": name, "value": float(n)}
        for n in range(50)
        for name in ("accuracy", "tie")
    ]
    same = {"draw": 0, "variant": "", "group": "g", "weight": 1.0, "content_hash": 1}
    table = pa.Table.from_pylist([{**same, **row} for row in rows], tables.SCORES)
    tables.write(table, tables.SCORES, tmp_path / "scores.parquet")
    path = tmp_path / "scores.parquet"
    assert tables.metrics_there(path) == {"accuracy", "tie"}
    found = tables.read(path, tables.SCORES, ["value"], metric="tie")
    assert found["value"].to_pylist() == [float(n) for n in range(50)]
