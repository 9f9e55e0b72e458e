"""The rows of one model's token table that an analysis counts, read column by column: a folder or file goes in, numpy arrays come out.

`gold` are the target tokens of each item's right option, in no variant: what the metrics of the same name count (lmcore.folds.fold), and the
report's entropy panel; `target` those of every option; `all` every scored token, contexts and variants included. A table of 20M rows costs
80 MB a column, and only while it is looked at; read by `values`, a byte a row.
"""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lmcore.errors import InputError

CHOICES = ("gold", "target", "all")
DERIVED = {
    "is_top": ["top_id", "next_id"]
}  # whether the token is the one that greedy decoding gives


class TokenRows:
    """The rows that count of the table at `path`; `len` is their number."""

    def __init__(self, path: Path, items: pa.Table | None = None, rows: str = "all"):
        """`items`: the suite's items table, needed for `gold`. Raises InputError where there is no table, or none of its rows counts."""
        if rows not in CHOICES:
            raise InputError(f"rows must be one of {', '.join(CHOICES)}, not {rows!r}")
        self.path, self.rows = Path(path), rows
        self.parts = parts_of(self.path)
        self.gold = gold_options(items) if rows == "gold" and items is not None else None
        counts = [pq.read_metadata(part).num_rows for part in self.parts]
        self.mask = (
            None if rows == "all" else np.concatenate([self._mask_of(part) for part in self.parts])
        )
        self.n = sum(counts) if self.mask is None else int(self.mask.sum())
        if not self.n:
            raise InputError(
                f"{path}: no scored token counts (rows: {rows}); expected the table of the stage extract_tokens"
            )

    def __len__(self) -> int:
        return self.n

    def column(self, name: str) -> np.ndarray:
        """(N,) one column of TOKENS, or a derived one. Raises InputError for numbers that are not finite, or without such a column."""
        if name == "draw" and self.mask is None and self.n_draws == 1:
            return np.zeros(self.n, np.int16)
        out: np.ndarray | None = None
        written = 0
        for values in self.values(name):
            if out is None:
                out = np.empty(self.n, values.dtype)
            out[written : written + len(values)] = values
            written += len(values)
        assert out is not None
        return out

    def values(self, name: str) -> Iterator[np.ndarray]:
        """`column`, a batch at a time."""
        read = 0
        for batch in self._batches(DERIVED.get(name, [name])):
            values = _derive(name, batch)
            keep = slice(None) if self.mask is None else self.mask[read : read + len(values)]
            read += len(values)
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
        return 1 + max(
            int(pc.max(batch.column(0)).as_py() or 0) for batch in self._batches(["draw"])
        )

    def _batches(self, names: list[str]) -> Iterator[pa.RecordBatch]:
        for part in self.parts:
            with pq.ParquetFile(part) as file:
                missing = [name for name in names if name not in file.schema_arrow.names]
                if missing:
                    raise InputError(
                        f"{part}: column '{missing[0]}' is missing; it comes with the suite's `scoring` in params.yaml"
                    )
                yield from file.iter_batches(batch_size=2**20, columns=names)

    def _mask_of(self, part: Path) -> np.ndarray:
        columns = ["is_target", "variant", *(["item", "option"] if self.gold else [])]
        masks = []
        with pq.ParquetFile(part) as file:
            for batch in file.iter_batches(batch_size=2**20, columns=columns):
                mask = batch.column("is_target").to_numpy(zero_copy_only=False).copy()
                mask &= _codes_where(batch.column("variant"), lambda variant: variant == "")
                if self.gold:
                    item = batch.column("item")
                    names = item.dictionary.to_pylist()
                    unknown = next((name for name in names if name not in self.gold), None)
                    if unknown is not None:
                        raise InputError(
                            f"{part}: item '{unknown}' is not in the items table; run extract_tokens again"
                        )
                    gold = np.array([self.gold[name] for name in names], np.int16)
                    mask &= batch.column("option").to_numpy() == gold[item.indices.to_numpy()]
                masks.append(mask)
        return np.concatenate(masks) if masks else np.zeros(0, bool)


def parts_of(path: Path) -> list[Path]:
    """The Parquet files of the table at `path`, a file or a folder of parts. Raises InputError where there is none."""
    parts = sorted(path.glob("part-*.parquet")) if path.is_dir() else [path]
    if not parts or not parts[0].exists():
        raise InputError(
            f"{path}: no such table; expected a Parquet file or a folder of part-*.parquet"
        )
    return parts


def gold_options(items: pa.Table) -> dict[str, int]:
    """The number of each item's right option."""
    gold = items.filter(pc.and_(items["gold"], pc.equal(items["variant"], "")))
    return dict(zip(gold["item"].to_pylist(), gold["option"].to_pylist()))


def _codes_where(column: pa.DictionaryArray, condition) -> np.ndarray:
    wanted = np.array([condition(value) for value in column.dictionary.to_pylist()], bool)
    return wanted[column.indices.to_numpy()] if len(wanted) else np.zeros(len(column), bool)


def _derive(name: str, batch: pa.RecordBatch) -> np.ndarray:
    if name == "is_top":
        return batch.column("top_id").to_numpy() == batch.column("next_id").to_numpy()
    return batch.column(name).to_numpy(zero_copy_only=False)
