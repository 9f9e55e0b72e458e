"""The rows of one model's token table that an analysis counts, read column by column.

A folder or file goes in, numpy arrays come out. Which rows count:

- `gold`: the target tokens of each item's right option (lmcore.folds.by_text.is_right_option). The
  metrics of the same name (`logprob`, `entropy`; see lmcore.folds.fold) and the report's entropy
  panel count these, too.
- `target`: the target tokens of every option, in no variant.
- `all`: every scored token, those of contexts and variants included.

What is kept is one bit a row, and nothing where all rows count. A column that is read as a whole
costs its size (20M rows 80 MB); read by `batches` it costs BATCH_ROWS rows.
"""

from collections.abc import Iterator
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lmcore.errors import InputError
from lmcore.folds.by_text import is_right_option
from lmcore.folds.runs import BUFFER_BYTES, ItemsInOrder
from lmcore.tables import parts_of

Rows = Literal["gold", "target", "all"]
CHOICES = get_args(Rows)
# is_top: whether the token is the one that greedy decoding gives
DERIVED = {"is_top": ["top_id", "next_id"]}
BATCH_ROWS = 2**18  # that are read at a time


class TokenRows:
    """The rows that count of the table at `path`; `len` is their number."""

    def __init__(self, path: Path, items: pa.Table | Path | None = None, rows: str = "all"):
        """Find the rows that count; `items` is the suite's items table, needed for `gold`.

        It may be the path of the items table, which is then read as far as the tokens are; both
        must be in the order of the items.

        Raises InputError where there is no table, or none of its rows counts.
        """
        if rows not in CHOICES:
            raise InputError(f"rows must be one of {', '.join(CHOICES)}, not {rows!r}")
        self.path = Path(path)
        self.parts = parts_of(self.path)
        gold = None
        if rows == "gold" and items is not None:
            gold = _Gold(items) if isinstance(items, Path) else gold_options(items)
        n_rows = sum(pq.read_metadata(part).num_rows for part in self.parts)
        self.mask: np.ndarray | None = None  # one bit for each row of the table; None: all count
        self.n = n_rows
        if rows != "all":
            self.mask, self.n = _packed(self._masks(gold))
        if not self.n:
            raise InputError(
                f"{path}: no scored token counts (rows: {rows}); "
                "expected the table of the stage extract_tokens"
            )

    def __len__(self) -> int:
        return self.n

    def column(self, name: str) -> np.ndarray:
        """(N,) one column of TOKENS, or a derived one.

        Raises InputError for numbers that are not finite, and where there is no such column.
        """
        if name == "draw" and self.mask is None and self.n_draws == 1:
            return np.zeros(self.n, np.int16)
        column: np.ndarray | None = None
        n_written = 0
        for values in self.values(name):
            if column is None:
                column = np.empty(self.n, values.dtype)
            column[n_written : n_written + len(values)] = values
            n_written += len(values)
        assert column is not None
        return column

    def values(self, name: str) -> Iterator[np.ndarray]:
        """The values of `column`, a batch at a time."""
        for columns in self.batches([name]):
            yield columns[name]

    def batches(self, names: list[str]) -> Iterator[dict[str, np.ndarray]]:
        """Several columns, a batch at a time. Raises InputError as `column`."""
        n_read = 0
        read = dict.fromkeys(chain.from_iterable(DERIVED.get(name, [name]) for name in names))
        for batch in self._batches(list(read)):
            keep = self._keep(n_read, len(batch))
            n_read += len(batch)
            columns = {name: _derive(name, batch)[keep] for name in names}
            for name, values in columns.items():
                self._check_finite(name, values)
            yield columns

    def _check_finite(self, name: str, values: np.ndarray) -> None:
        """Raises InputError for numbers that are not finite."""
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            odd = values[~np.isfinite(values)][0]
            raise InputError(
                f"{self.path}: column '{name}' holds {odd}; a model must give finite numbers"
            )

    def _keep(self, start: int, n: int) -> slice | np.ndarray:
        """Which of `n` rows of the table, from the row `start` on, count."""
        if self.mask is None:
            return slice(None)
        first = start % 8
        bits = np.unpackbits(self.mask[start // 8 : -(-(start + n) // 8)], count=first + n)
        return bits[first:].astype(bool)

    @cached_property
    def n_draws(self) -> int:
        """How many draws of a random model the table holds."""
        highest = [pc.max(batch.column(0)).as_py() or 0 for batch in self._batches(["draw"])]
        return 1 + max(highest)

    def _batches(self, names: list[str]) -> Iterator[pa.RecordBatch]:
        """The columns `names`, some rows at a time. Raises InputError where one is missing."""
        for part in self.parts:
            with pq.ParquetFile(part, buffer_size=BUFFER_BYTES) as file:
                missing = [name for name in names if name not in file.schema_arrow.names]
                if missing:
                    raise InputError(
                        f"{part}: column '{missing[0]}' is missing; "
                        "it comes with the suite's `scoring` in params.yaml"
                    )
                yield from file.iter_batches(batch_size=BATCH_ROWS, columns=names)

    def _masks(self, gold: "dict[str, int] | _Gold | None") -> Iterator[np.ndarray]:
        """(rows,) bool, a batch at a time: which rows count.

        Raises InputError for an item that the items table does not have.
        """
        names = ["is_target", "variant", *(["item", "option"] if gold is not None else [])]
        for part in self.parts:
            with pq.ParquetFile(part, buffer_size=BUFFER_BYTES) as file:
                for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=names):
                    mask = batch.column("is_target").to_numpy(zero_copy_only=False).copy()
                    mask &= _is_equal(batch.column("variant"), "")
                    if gold is not None:
                        options = gold.options(batch) if isinstance(gold, _Gold) else gold
                        mask &= _is_of_gold_option(batch, options, part)
                    yield mask


class _Gold:
    """The right options of the items of a file, looked up in the order of the items."""

    def __init__(self, path: Path):
        self.items = ItemsInOrder(path)
        self.known: dict[str, int] = {}

    def options(self, batch: pa.RecordBatch) -> dict[str, int]:
        """{item: the number of its right option}, of the items of a batch of tokens at least."""
        names = set(batch.column("item").dictionary.to_pylist())
        if names:
            kept = {item: option for item, option in self.known.items() if item in names}
            self.known = kept | gold_options(self.items.until(max(names)))
        return self.known


def _packed(masks: Iterator[np.ndarray]) -> tuple[np.ndarray, int]:
    """All masks in one, a bit a row, and how many bits are set."""
    packed: list[np.ndarray] = []
    rest, n = np.zeros(0, bool), 0
    for mask in masks:
        n += int(mask.sum())
        joined = np.concatenate([rest, mask])
        n_whole = len(joined) // 8 * 8
        packed.append(np.packbits(joined[:n_whole]))
        rest = joined[n_whole:]
    return np.concatenate([*packed, np.packbits(rest)]), n


def gold_options(items: pa.Table) -> dict[str, int]:
    """{item: the number of its right option}."""
    gold = items.filter(pa.array(is_right_option(items)))
    return dict(zip(gold["item"].to_pylist(), gold["option"].to_pylist()))


def _is_equal(column: pa.DictionaryArray, text: str) -> np.ndarray:
    """(N,) bool: which rows of the column hold `text`."""
    is_text = np.array([value == text for value in column.dictionary.to_pylist()], bool)
    return is_text[column.indices.to_numpy()] if len(is_text) else np.zeros(len(column), bool)


def _is_of_gold_option(batch: pa.RecordBatch, gold: dict[str, int], part: Path) -> np.ndarray:
    """(rows of the batch,) bool: which rows belong to the right option of their item.

    Raises InputError, naming `part`, for an item that `gold` does not have.
    """
    column = batch.column("item")
    items = column.dictionary.to_pylist()
    unknown = next((item for item in items if item not in gold), None)
    if unknown is not None:
        raise InputError(
            f"{part}: item '{unknown}' is not in the items table; run extract_tokens again"
        )
    options = np.array([gold[item] for item in items], np.int16)
    return batch.column("option").to_numpy() == options[column.indices.to_numpy()]


def _derive(name: str, batch: pa.RecordBatch) -> np.ndarray:
    """The column `name` of a batch, which is one of its own or one of DERIVED."""
    if name == "is_top":
        return batch.column("top_id").to_numpy() == batch.column("next_id").to_numpy()
    return batch.column(name).to_numpy(zero_copy_only=False)
