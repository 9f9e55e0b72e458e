"""A suite's items and tokens in runs of whole items, so that no table is in memory as a whole.

The files of an items table and of one model's tokens go in; pairs of tables come out, each with
some items and all of their tokens.

Both tables are sorted by item, as the stages write them. A run has at least RUN_ROWS token rows,
unless it is the last one. A run is never less than one item: what one item costs is the memory that
is needed. A suite of fewer rows is one run.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lmcore.errors import InputError
from lmcore.folds.by_text import Whole
from lmcore.tables import ITEMS, LOSSES, OPTIONAL_TOKENS, TOKENS, check, parts_of, read

RUN_ROWS = 500_000
BATCH_ROWS = 2**17  # token rows that are read at a time
ITEM_BYTES = 2**24  # of the items that are read at a time
BUFFER_BYTES = 2**20  # of a column of a file


class Run(NamedTuple):
    """Some items and their tokens; `whole` is None where they are all there are."""

    items: pa.Table
    tokens: pa.Table
    whole: Whole | None = None


def runs_of_items(
    items: Path, tokens: Path, columns: list[str], *, in_one: bool = False
) -> Iterator[Run]:
    """The runs in order; `columns` are those of the tokens. With `in_one`, there is one run alone.

    Raises InputError where a table is missing, or is none of its schema, and where the tokens do
    not follow the order of the items. A suite of one run may have its tokens in any order.
    """
    n_rows = sum(pq.read_metadata(part).num_rows for part in parts_of(tokens))
    if in_one or n_rows <= RUN_ROWS:
        yield Run(read(items, ITEMS), read(tokens, TOKENS, columns))
        return
    whole = _whole(items, tokens)
    rest = ItemsInOrder(items)
    last = ""
    for table, is_last in _whole_items(tokens, columns):
        last = _last_item(table, last, tokens)
        some_items = rest.all() if is_last else rest.until(last)
        if not len(some_items):
            raise InputError(
                f"{tokens}: has tokens of item '{last}', which the items table does not have;"
                " run extract_tokens again"
            )
        yield Run(some_items, table, whole)


def _last_item(tokens: pa.Table, previous: str, path: Path) -> str:
    """The last item of a run. Raises InputError unless items are in order, and behind `previous`.

    `previous` is the last item of the run before, and empty for the first run.
    """
    column = tokens["item"].combine_chunks()
    codes = column.indices.to_numpy()
    begins = np.flatnonzero(np.diff(codes, prepend=-1))
    names = pa.concat_arrays(
        [pa.array([previous], pa.string()), column.take(pa.array(begins)).cast(pa.string())]
    )
    is_behind = pc.greater(names[1:], names[:-1]).to_numpy(zero_copy_only=False)
    if not is_behind.all():
        place = int(is_behind.argmin())
        raise InputError(
            f"{path}: tokens of item '{names[place + 1]}' stand behind those of item"
            f" '{names[place]}'; expected them in the order of the items; run extract_tokens again"
        )
    return names[-1].as_py()


def _whole(items: Path, tokens: Path) -> Whole:
    """What holds for all runs, from three small columns."""
    n_draws, are_all_targets = 1, True
    for part in parts_of(tokens):
        for batch in _batches(part, ["draw", "is_target"]):
            n_draws = max(n_draws, 1 + int(pc.max(batch["draw"]).as_py() or 0))
            are_all_targets &= pc.all(batch["is_target"]).as_py() is not False
    has_contexts = False
    if are_all_targets:
        for batch in _batches(items, ["context"]):
            has_contexts |= pc.max(pc.utf8_length(batch["context"])).as_py() > 0
    return Whole(n_draws, are_all_targets and has_contexts)


def _batches(path: Path, columns: list[str] | None, n_rows: int = BATCH_ROWS) -> Iterator[pa.Table]:
    """Some columns of a Parquet file, `n_rows` at a time.

    Raises InputError for a file that is none, or that lacks one of the columns.
    """
    try:
        with pq.ParquetFile(path, buffer_size=BUFFER_BYTES) as file:
            schema = file.schema_arrow
            for name in columns or []:
                if name not in schema.names:
                    raise InputError(f"{path}: column '{name}' is missing")
            for batch in file.iter_batches(batch_size=n_rows, columns=columns):
                table = pa.Table.from_batches([batch])
                yield table.replace_schema_metadata(schema.metadata)
    except pa.ArrowInvalid as error:
        raise InputError(f"{path}: not a readable Parquet table: {error}") from error


def _whole_items(tokens: Path, columns: list[str]) -> Iterator[tuple[pa.Table, bool]]:
    """The tokens of whole items, at least RUN_ROWS rows at a time, and whether they are the last.

    The columns of LOSSES are there if any part has them; a part without them has lost nothing.
    """
    held: list[pa.Table] = []
    n_held, limit = 0, RUN_ROWS
    for table in _token_batches(tokens, columns):
        held.append(table)
        n_held += len(table)
        if n_held <= limit:
            continue
        joined = pa.concat_tables(held).unify_dictionaries()
        item = joined["item"].combine_chunks().indices.to_numpy()
        others = np.flatnonzero(item != item[-1])
        n_whole = int(others[-1]) + 1 if len(others) else 0
        if n_whole:
            yield joined.slice(0, n_whole), False
        held, n_held = [_with_own_names(joined.slice(n_whole))], n_held - n_whole
        limit = max(RUN_ROWS, 2 * n_held)  # a long text is not joined again for each batch
    yield pa.concat_tables(held).unify_dictionaries(), True


def _with_own_names(rows: pa.Table) -> pa.Table:
    """The rows with a dictionary of their own items.

    A slice keeps the dictionary of all rows before it, and every run would have a longer one.
    """
    place = rows.schema.get_field_index("item")
    field = rows.schema.field(place)
    names = rows["item"].cast(pa.string()).dictionary_encode()
    return rows.set_column(place, field, names.cast(field.type))


def _token_batches(tokens: Path, columns: list[str]) -> Iterator[pa.Table]:
    """The checked columns of all parts, a batch at a time."""
    parts = parts_of(tokens)
    known = set[str]().union(*(pq.read_schema(part).names for part in parts))
    lost = [name for name in LOSSES if name in known and name not in columns]
    fields = {field.name: field for field in [*TOKENS, *OPTIONAL_TOKENS]}
    expected = pa.schema([fields[name] for name in [*columns, *lost]])
    for part in parts:
        names = pq.read_schema(part).names
        there = [name for name in expected.names if name in names or name not in lost]
        for table in _batches(part, there):
            for name in lost:
                if name not in there:
                    nothing = pa.array(np.zeros(len(table), np.int32))
                    table = table.append_column(name, nothing)
            yield check(table.select(expected.names).replace_schema_metadata(), expected, part)


class ItemsInOrder:
    """The items table, given out from its beginning."""

    def __init__(self, path: Path):
        self.path = path
        first = next(_batches(path, None, 16))
        n_rows = ITEM_BYTES * len(first) // max(1, first.nbytes)
        self.batches = _batches(path, None, min(max(n_rows, 1), BATCH_ROWS))
        self.held = first.slice(0, 0)

    def first(self) -> pa.Table:
        """The rows of the first item; they are given out."""
        if not len(self.held):
            self.held = next(self.batches)
        return self.until(self.held["item"][0].as_py())

    def until(self, last: str) -> pa.Table:
        """The rows up to those of the item `last`, which were not given out yet."""
        parts = [self.held]
        while not (len(parts[-1]) and parts[-1]["item"][-1].as_py() > last):
            following = next(self.batches, None)
            if following is None:
                break
            parts.append(following)
        return self._give(parts, last)

    def all(self) -> pa.Table:
        """All rows that were not given out yet."""
        return self._give([self.held, *self.batches], None)

    def _give(self, parts: list[pa.Table], last: str | None) -> pa.Table:
        """The rows of `parts` up to those of the item `last`; the others are held back."""
        joined = check(pa.concat_tables(parts), ITEMS, self.path)
        n_given = len(joined)
        if last is not None:
            n_given = pc.sum(pc.less_equal(joined["item"], last)).as_py() or 0
        self.held = joined.slice(n_given)
        return joined.slice(0, n_given).combine_chunks()
