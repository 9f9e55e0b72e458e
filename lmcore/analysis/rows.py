"""The rows of one model's token table that an analysis counts, read column by column.

A folder or file goes in, numpy arrays come out. Which rows count:

- `gold`: the target tokens of each item's right option (lmcore.folds.by_text.is_right_option). The
  metrics of the same name (`logprob`, `entropy`; see lmcore.folds.fold) and the report's entropy
  panel count these, too.
- `target`: the target tokens of every option, in no variant.
- `all`: every scored token, those of contexts and variants included.

A column of 20M rows costs 80 MB, and only while it is looked at. Read by `values`, it costs one
byte a row.
"""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lmcore.errors import InputError
from lmcore.folds.by_text import is_right_option
from lmcore.tables import parts_of

Rows = Literal["gold", "target", "all"]
CHOICES = get_args(Rows)
# is_top: whether the token is the one that greedy decoding gives
DERIVED = {"is_top": ["top_id", "next_id"]}
BATCH_ROWS = 2**20  # that are read at a time


class TokenRows:
    """The rows that count of the table at `path`; `len` is their number."""

    def __init__(self, path: Path, items: pa.Table | None = None, rows: str = "all"):
        """Find the rows that count; `items` is the suite's items table, needed for `gold`.

        Raises InputError where there is no table, or none of its rows counts.
        """
        if rows not in CHOICES:
            raise InputError(f"rows must be one of {', '.join(CHOICES)}, not {rows!r}")
        self.path = Path(path)
        self.parts = parts_of(self.path)
        self.gold = gold_options(items) if rows == "gold" and items is not None else None
        n_rows = sum(pq.read_metadata(part).num_rows for part in self.parts)
        self.mask: np.ndarray | None = None  # (rows of the table,) bool; None: all rows count
        if rows != "all":
            self.mask = np.concatenate([self._mask_of(part) for part in self.parts])
        self.n = n_rows if self.mask is None else int(self.mask.sum())
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
        n_read = 0
        for batch in self._batches(DERIVED.get(name, [name])):
            values = _derive(name, batch)
            keep = slice(None) if self.mask is None else self.mask[n_read : n_read + len(values)]
            n_read += len(values)
            values = values[keep]
            if values.dtype.kind == "f" and not np.isfinite(values).all():
                odd = values[~np.isfinite(values)][0]
                raise InputError(
                    f"{self.path}: column '{name}' holds {odd}; a model must give finite numbers"
                )
            yield values

    @cached_property
    def n_draws(self) -> int:
        """How many draws of a random model the table holds."""
        highest = [pc.max(batch.column(0)).as_py() or 0 for batch in self._batches(["draw"])]
        return 1 + max(highest)

    def _batches(self, names: list[str]) -> Iterator[pa.RecordBatch]:
        """The columns `names`, some rows at a time. Raises InputError where one is missing."""
        for part in self.parts:
            with pq.ParquetFile(part) as file:
                missing = [name for name in names if name not in file.schema_arrow.names]
                if missing:
                    raise InputError(
                        f"{part}: column '{missing[0]}' is missing; "
                        "it comes with the suite's `scoring` in params.yaml"
                    )
                yield from file.iter_batches(batch_size=BATCH_ROWS, columns=names)

    def _mask_of(self, part: Path) -> np.ndarray:
        """(rows of the part,) bool: which of them count.

        Raises InputError for an item that the items table does not have.
        """
        names = ["is_target", "variant", *(["item", "option"] if self.gold else [])]
        masks = []
        with pq.ParquetFile(part) as file:
            for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=names):
                mask = batch.column("is_target").to_numpy(zero_copy_only=False).copy()
                mask &= _is_equal(batch.column("variant"), "")
                if self.gold:
                    mask &= _is_of_gold_option(batch, self.gold, part)
                masks.append(mask)
        return np.concatenate(masks) if masks else np.zeros(0, bool)


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
