"""Tables of any texts come back from disk, sorted, with a hash that every change moves."""

import tempfile
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmcore.errors import InputError
from lmcore.tables import ITEM_KEY, ITEMS, check, items_table, read, scoring_of, write

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
ROW = st.fixed_dictionaries(
    {
        "item": st.sampled_from(["s/a/0", "s/a/1", "s/é/0"]),
        "option": st.integers(0, 3),
        "variant": st.sampled_from(["", "ending_alone"]),
        "group": TEXTS,
        "context": TEXTS,
        "target": TEXTS.filter(bool),
        "gold": st.booleans(),
    }
)


def key_of(row: dict) -> tuple:
    return tuple(row[name] for name in ITEM_KEY)


ROWS = st.lists(ROW, min_size=1, max_size=6, unique_by=key_of)
SCORING = st.dictionaries(TEXTS, st.integers() | st.booleans() | TEXTS, max_size=3)


def hashes_of(rows: list[dict]) -> dict[str, int]:
    table = items_table(rows, {})
    return dict(zip(table["item"].to_pylist(), table["content_hash"].to_pylist(), strict=True))


@given(ROWS, SCORING)
def test_items_come_back_from_disk_and_give_the_same_bytes_again(rows: list[dict], scoring: dict):
    table = items_table(rows, scoring)
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("a.parquet", "b.parquet")]
        for path in paths:
            write(table, ITEMS, path)
        again = read(paths[0], ITEMS)
        assert again.equals(table) and scoring_of(again) == scoring
        assert paths[0].read_bytes() == paths[1].read_bytes()


@given(ROWS, st.randoms(use_true_random=False))
def test_items_in_any_order_are_one_table_sorted_by_key(rows: list[dict], random):
    table = items_table(rows, {})
    assert items_table(random.sample(rows, len(rows)), {}).equals(table)
    keys = [key_of(row) for row in table.to_pylist()]
    assert keys == sorted(keys) and len(keys) == len(rows)
    assert table.drop_columns("content_hash").to_pylist() == sorted(rows, key=key_of)


@given(ROWS, st.data())
def test_content_hash_moves_with_any_change_of_its_own_item_alone(rows: list[dict], data):
    changed = data.draw(st.sampled_from(range(len(rows))))
    name = data.draw(st.sampled_from(["group", "context", "target", "gold"]))
    value = not rows[changed][name] if name == "gold" else rows[changed][name] + "!"
    other = [{**row, name: value} if number == changed else row for number, row in enumerate(rows)]
    before, after = hashes_of(rows), hashes_of(other)
    assert {item for item in before if before[item] != after[item]} == {rows[changed]["item"]}


@given(st.data())
def test_check_refuses_any_missing_moved_or_retyped_column_by_name(data):
    row = {
        "item": "i",
        "option": 0,
        "variant": "",
        "group": "g",
        "context": "",
        "target": "t",
        "gold": True,
    }
    table = items_table([row], {})
    place = data.draw(st.integers(0, len(ITEMS.names) - 1))
    name = ITEMS.names[place]
    with pytest.raises(InputError, match=f"x: column '{name}' .* is missing"):
        check(table.drop_columns(name), ITEMS, "x")
    with pytest.raises(InputError, match=f"x: column '{name}' must be .*, not double"):
        check(table.set_column(place, name, pa.array([0.5])), ITEMS, "x")
    with pytest.raises(InputError, match=f"x: column '{name}' holds 1 nulls"):
        check(table.set_column(place, name, pa.array([None], ITEMS.field(name).type)), ITEMS, "x")
    names = data.draw(st.permutations(ITEMS.names))
    if names != ITEMS.names:
        with pytest.raises(InputError, match="x: columns are out of order"):
            check(table.select(names), ITEMS, "x")
