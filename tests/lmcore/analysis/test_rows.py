"""Which rows count: target tokens of the right options, of all options, or all."""

import numpy as np
import pyarrow as pa
import pytest

from lmcore.analysis import rows as rows_module
from lmcore.analysis.rows import TokenRows
from lmcore.errors import InputError
from lmcore.tables import ITEMS as ITEMS_SCHEMA
from lmcore.tables import write
from tests.lmcore.analysis.random_tokens import by_hand, save
from tests.lmcore.token_tables import items_of, tokens_of

ITEMS = items_of(
    {
        "a": [("one two", " three"), ("one two", " four five")],
        "b": [("", "six seven"), ("", "eight")],
    },
    gold=1,
)
TOKENS = tokens_of(ITEMS, lambda draw, before, word: -float(len(word)), draws=2)


@pytest.mark.parametrize("n_parts", [1, 4])
@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("gold", ["four", "five", "eight"]),
        ("target", ["three", "four", "five", "six", "seven", "eight"]),
    ],
)
def test_rows_that_count_are_targets_in_every_draw(
    tmp_path, rows: str, words: list[str], n_parts: int
) -> None:
    found = TokenRows(save(TOKENS, tmp_path / "t", n_parts), ITEMS, rows)
    assert sorted(found.column("logprob")) == sorted(-float(len(word)) for word in words * 2)
    assert len(found) == 2 * len(words) and found.n_draws == 2


@pytest.mark.parametrize(("table", "draws"), [(TOKENS, {0, 1}), (by_hand(), {0})])
def test_column_draw_is_the_tables(tmp_path, table: pa.Table, draws: set[int]) -> None:
    found = TokenRows(save(table, tmp_path / "t", 2)).column("draw")
    assert found.tolist() == table["draw"].to_pylist() and set(found.tolist()) == draws


def test_rows_all_are_the_table(tmp_path) -> None:
    found = TokenRows(save(TOKENS, tmp_path / "t", 3))
    assert (
        np.array_equal(found.column("next_id"), TOKENS["next_id"].to_numpy())
        and len(found) == TOKENS.num_rows
    )


def test_rows_of_an_unknown_item_a_missing_table_and_a_nan_are_named(tmp_path) -> None:
    with pytest.raises(InputError, match="item 'i/0' is not in the items table"):
        TokenRows(save(by_hand(), tmp_path / "t"), ITEMS, "gold")
    with pytest.raises(InputError, match="no such table"):
        TokenRows(tmp_path / "none")
    with pytest.raises(InputError, match="rows must be one of gold, target, all, not 'every'"):
        TokenRows(tmp_path / "t", ITEMS, "every")
    table = by_hand()
    broken = table.set_column(
        table.column_names.index("entropy"),
        "entropy",
        pa.array([1.0, float("nan"), 1, 1], pa.float32()),
    )
    with pytest.raises(InputError, match="column 'entropy' holds nan"):
        TokenRows(save(broken, tmp_path / "nan")).column("entropy")
    with pytest.raises(InputError, match="column 'bow_logprob' is missing"):
        TokenRows(tmp_path / "t").column("bow_logprob")


@pytest.mark.parametrize("batch_rows", [1, 3, 1000])
def test_items_read_as_far_as_the_tokens_give_the_same_rows(
    tmp_path, monkeypatch, batch_rows: int
) -> None:
    monkeypatch.setattr(rows_module, "BATCH_ROWS", batch_rows)
    write(ITEMS, ITEMS_SCHEMA, tmp_path / "items.parquet")
    order = sorted(range(TOKENS.num_rows), key=lambda row: TOKENS["item"][row].as_py())
    path = save(TOKENS.take(pa.array(order)), tmp_path / "t", 3)
    by_table, by_path = (
        TokenRows(path, items, "gold") for items in (ITEMS, tmp_path / "items.parquet")
    )
    assert len(by_path) == len(by_table)
    assert by_path.column("next_id").tolist() == by_table.column("next_id").tolist()
    batches = [batch["logprob"] for batch in by_path.batches(["logprob", "is_top"])]
    assert np.concatenate(batches).tolist() == by_table.column("logprob").tolist()
