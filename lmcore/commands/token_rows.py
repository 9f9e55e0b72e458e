"""The token table for people.

One model's tokens of a suite go in. Rows with tokens as text, probability and surprisal come out.

Rows stream in the table's order, a batch at a time, so that a table of any length is exported in
little memory. Tokens are written as in lmcore.text.readable, and decode exactly. Entropy is in
nats, surprisal is in bits, and ranks count from 1.
"""

import math
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from lmcore.analysis.rows import parts_of
from lmcore.errors import InputError
from lmcore.files import whole
from lmcore.shown import for_terminal

READABLE = pa.schema(
    {
        "item": pa.string(),
        "draw": pa.int16(),
        "option": pa.int16(),
        "variant": pa.string(),
        "position": pa.int32(),
        "current_token": pa.string(),
        "next_token": pa.string(),
        "entropy": pa.float32(),
        "probability_of_next_token": pa.float32(),
        "surprisal": pa.float32(),
        "rank": pa.int32(),
        "is_target": pa.bool_(),
    }
)
BATCH_ROWS = 2**17
# The columns of a tokens table that READABLE needs
COLUMNS = [
    "item",
    "draw",
    "option",
    "variant",
    "position",
    "current_id",
    "next_id",
    "is_target",
    "logprob",
    "entropy",
    "rank",
]


class _Filters(NamedTuple):
    """Which rows of a tokens table are kept."""

    items: set[str] | None  # by id; None for all
    target_only: bool


def readable_rows(
    tokens: Path,
    texts: list[str],
    *,
    items: list[str] | None = None,
    groups: dict[str, set[str]] | None = None,
    target_only: bool = False,
    above_quantile: float | None = None,
) -> Iterator[pa.RecordBatch]:
    """Batches of READABLE, from the table at `tokens`.

    `texts` are those of the model's ids (see lmcore.text.readable.token_texts). If `items` or
    `groups` are given, only tokens of these items are kept, by id, and of the items of these groups
    {name: ids}. With `above_quantile`, only tokens are kept whose entropy is above this quantile of
    the rows that the other filters keep.

    Raises InputError for a quantile outside [0, 1), and for items that are not there.
    """
    wanted = None
    if items is not None or groups is not None:
        wanted = set(items or []).union(*(groups or {}).values())
    filters = _Filters(wanted, target_only)
    threshold = None
    if above_quantile is not None:
        threshold = _threshold(tokens, filters, above_quantile)
    dictionary = pa.array(texts, pa.string())
    is_empty = True
    for batch in _kept(tokens, COLUMNS, filters):
        if threshold is not None:
            is_above = pc.greater(batch.column("entropy"), pa.scalar(threshold, pa.float32()))
            batch = batch.filter(is_above)
        if batch.num_rows:
            is_empty = False
            yield _readable(batch, dictionary)
    if is_empty and wanted is not None:
        raise InputError(
            f"{tokens}: no token of {', '.join(sorted(wanted)[:3])}; "
            "name an item or a group of the suite"
        )


def write_csv(batches: Iterator[pa.RecordBatch], out: Path | BinaryIO) -> None:
    """CSV with a header, written to a file that appears whole, or to a stream."""
    with (
        whole(out) if isinstance(out, Path) else nullcontext(out) as target,
        pyarrow.csv.CSVWriter(target, READABLE) as writer,
    ):
        for batch in batches:
            writer.write_batch(batch)


def write_parquet(batches: Iterator[pa.RecordBatch], out: Path) -> None:
    """A Parquet file of READABLE that appears whole."""
    with (
        whole(out) as temporary,
        pq.ParquetWriter(temporary, READABLE, compression="zstd") as writer,
    ):
        for batch in batches:
            writer.write_batch(batch)


def as_lines(batches: Iterator[pa.RecordBatch]) -> Iterator[str]:
    """The rows as lines of aligned columns for a terminal, with a heading for each text."""
    text = None
    for batch in batches:
        for row in batch.to_pylist():
            text_of_row = (row["item"], row["draw"], row["option"], row["variant"])
            if text_of_row != text:
                yield ("" if text is None else "\n") + _heading(row)
                yield (
                    f"{'current_token':>18} {'next_token':<18} {'entropy':>8} {'probability':>11} "
                    f"{'surprisal':>9} {'rank':>6}"
                )
                text = text_of_row
            yield _token_line(row)


def _heading(row: dict[str, Any]) -> str:
    """The item, option, draw and variant of a row; the first option and draw are left out."""
    words = [row["item"]]
    if row["option"] > 0:
        words.append(f"option {row['option']}")
    if row["draw"] > 0:
        words.append(f"draw {row['draw']}")
    if row["variant"]:
        words.append(row["variant"])
    return for_terminal(" ".join(words))


def _token_line(row: dict[str, Any]) -> str:
    """The token of a row and its statistics."""
    mark = "" if row["is_target"] else "  context"
    return (
        f"{_quoted(row['current_token']):>18} {_quoted(row['next_token']):<18} "
        f"{row['entropy']:8.3f} {row['probability_of_next_token']:11.3g} "
        f"{row['surprisal']:9.3f} {row['rank']:6d}{mark}"
    )


def _quoted(token: str) -> str:
    return f"'{for_terminal(token)}'"


def shown(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The rows with their texts as a terminal may show them."""
    columns = []
    for column in batch.columns:
        if pa.types.is_string(column.type):
            texts = column.dictionary_encode()
            safe = [for_terminal(text) for text in texts.dictionary.to_pylist()]
            column = pa.array(safe, pa.string()).take(texts.indices)
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def _kept(tokens: Path, columns: list[str], filters: _Filters) -> Iterator[pa.RecordBatch]:
    """Batches of the rows that the filters keep, with `columns` and those that the filters need."""
    needed = list(columns)
    if filters.items is not None:
        needed.append("item")
    if filters.target_only:
        needed.append("is_target")
    needed = list(dict.fromkeys(needed))
    for part in parts_of(tokens):
        with pq.ParquetFile(part) as file:
            for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=needed):
                mask = _mask(batch, filters)
                yield batch if mask.all() else batch.filter(pa.array(mask))


def _mask(batch: pa.RecordBatch, filters: _Filters) -> np.ndarray:
    """(rows,) bool: whether the filters keep each row."""
    mask = np.ones(batch.num_rows, bool)
    if filters.target_only:
        mask &= batch.column("is_target").to_numpy(zero_copy_only=False)
    if filters.items is not None:
        item = batch.column("item")
        is_wanted = [name in filters.items for name in item.dictionary.to_pylist()]
        mask &= np.array(is_wanted, bool)[item.indices.to_numpy()]
    return mask


def _threshold(tokens: Path, filters: _Filters, quantile: float) -> float:
    """The exact quantile of the entropies that the filters keep, linearly interpolated.

    This takes 4 bytes of memory a row. Raises InputError for a quantile outside [0, 1).
    """
    if not 0 <= quantile < 1:
        raise InputError(f"the quantile must be at least 0 and below 1, not {quantile}")
    entropies = []
    for batch in _kept(tokens, ["entropy"], filters):
        if batch.num_rows:
            entropies.append(batch.column("entropy").to_numpy())
    return float(np.quantile(np.concatenate(entropies), quantile)) if entropies else 0.0


def _readable(batch: pa.RecordBatch, texts: pa.Array) -> pa.RecordBatch:
    """Rows of COLUMNS as rows of READABLE."""
    logprob = batch.column("logprob").to_numpy().astype(np.float64)
    derived = {
        "current_token": _texts_of(batch.column("current_id"), texts),
        "next_token": _texts_of(batch.column("next_id"), texts),
        "probability_of_next_token": np.exp(logprob),
        # in bits; adding 0.0 turns -0.0 into 0.0
        "surprisal": logprob / -math.log(2) + 0.0,
    }
    columns = []
    for field in READABLE:
        values = derived[field.name] if field.name in derived else batch.column(field.name)
        if isinstance(values, np.ndarray):
            values = pa.array(values.astype(np.float32))
        columns.append(values.cast(field.type))
    return pa.RecordBatch.from_arrays(columns, schema=READABLE)


def _texts_of(ids: pa.Array, texts: pa.Array) -> pa.Array:
    """The texts of ids; an id that the tokenizer does not know becomes `<id NUMBER>`."""
    numbers = ids.to_numpy()
    if len(numbers) and numbers.max() >= len(texts):
        unknown = range(len(texts), int(numbers.max()) + 1)
        texts = pa.concat_arrays([texts, pa.array([f"<id {number}>" for number in unknown])])
    return texts.take(ids)
