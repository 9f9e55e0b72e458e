"""The token table for people: one model's tokens of a suite go in, rows with tokens as text, probability and surprisal come out.

Rows stream in the table's order, a batch at a time, so that a table of any length is exported in little memory. Tokens are written as
lmcore.text.readable has it, and decode exactly. Entropy is in nats, surprisal in bits, ranks count from 1.
"""

import math
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import BinaryIO

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


def readable_rows(
    tokens: Path,
    texts: list[str],
    *,
    items: list[str] | None = None,
    groups: dict[str, set[str]] | None = None,
    target_only: bool = False,
    above_quantile: float | None = None,
) -> Iterator[pa.RecordBatch]:
    """Batches of READABLE of the table at `tokens`; `texts` are those of the model's ids (lmcore.text.readable.token_texts).

    items: only these, by id; or of each of `groups` (name: ids) any; above_quantile: only tokens whose entropy is above this quantile of
    the rows that the other filters keep. Raises InputError for a quantile outside [0, 1), and an item that is not there.
    """
    wanted = (
        None
        if items is None and groups is None
        else set(items or []) | {item for ids in (groups or {}).values() for item in ids}
    )
    threshold = (
        None if above_quantile is None else _threshold(tokens, wanted, target_only, above_quantile)
    )
    dictionary = pa.array(texts, pa.string())
    n = 0
    for batch in _kept(tokens, COLUMNS, wanted, target_only):
        if threshold is not None:
            batch = batch.filter(
                pc.greater(batch.column("entropy"), pa.scalar(threshold, pa.float32()))
            )
        if batch.num_rows:
            n += batch.num_rows
            yield _readable(batch, dictionary)
    if not n and wanted is not None:
        raise InputError(
            f"{tokens}: no token of {', '.join(sorted(wanted)[:3])}; name an item or a group of the suite"
        )


def write_csv(batches: Iterator[pa.RecordBatch], out: Path | BinaryIO) -> None:
    """CSV with a header, to a file that appears whole, or to a stream."""
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
    """The rows as lines of aligned columns, items as headings, for a terminal."""
    text = None
    for batch in batches:
        for row in batch.to_pylist():
            here = (row["item"], row["draw"], row["option"], row["variant"])
            if here != text:
                marks = (
                    [f"option {row['option']}"] * (row["option"] > 0)
                    + [f"draw {row['draw']}"] * (row["draw"] > 0)
                    + [row["variant"]]
                )
                yield ("" if text is None else "\n") + for_terminal(
                    " ".join([row["item"], *filter(None, marks)])
                )
                yield f"{'current_token':>18} {'next_token':<18} {'entropy':>8} {'probability':>11} {'surprisal':>9} {'rank':>6}"
                text = here
            mark = "" if row["is_target"] else "  context"
            yield (
                f"{_quoted(row['current_token']):>18} {_quoted(row['next_token']):<18} {row['entropy']:8.3f} "
                f"{row['probability_of_next_token']:11.3g} {row['surprisal']:9.3f} {row['rank']:6d}{mark}"
            )


def shown(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The rows with their texts as a terminal may show them."""
    columns = []
    for column in batch.columns:
        if pa.types.is_string(column.type):
            texts = column.dictionary_encode()
            safe = pa.array(
                [for_terminal(text) for text in texts.dictionary.to_pylist()], pa.string()
            )
            column = safe.take(texts.indices)
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def _quoted(token: str) -> str:
    return f"'{for_terminal(token)}'"


def _kept(
    tokens: Path, columns: list[str], wanted: set[str] | None, target_only: bool
) -> Iterator[pa.RecordBatch]:
    needed = list(
        dict.fromkeys(
            [
                *columns,
                *(["item"] if wanted is not None else []),
                *(["is_target"] if target_only else []),
            ]
        )
    )
    for part in parts_of(tokens):
        with pq.ParquetFile(part) as file:
            for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=needed):
                mask = np.ones(batch.num_rows, bool)
                if target_only:
                    mask &= batch.column("is_target").to_numpy(zero_copy_only=False)
                if wanted is not None:
                    item = batch.column("item")
                    mask &= np.array(
                        [name in wanted for name in item.dictionary.to_pylist()], bool
                    )[item.indices.to_numpy()]
                yield batch if mask.all() else batch.filter(pa.array(mask))


def _threshold(tokens: Path, wanted: set[str] | None, target_only: bool, quantile: float) -> float:
    """The exact quantile of the entropies that the filters keep, linearly interpolated; 4 bytes a row."""
    if not 0 <= quantile < 1:
        raise InputError(f"the quantile must be at least 0 and below 1, not {quantile}")
    parts = [
        batch.column("entropy").to_numpy()
        for batch in _kept(tokens, ["entropy"], wanted, target_only)
        if batch.num_rows
    ]
    return float(np.quantile(np.concatenate(parts), quantile)) if parts else 0.0


def _readable(batch: pa.RecordBatch, texts: pa.Array) -> pa.RecordBatch:
    logprob = batch.column("logprob").to_numpy().astype(np.float64)
    derived = {
        "current_token": _texts_of(batch.column("current_id"), texts),
        "next_token": _texts_of(batch.column("next_id"), texts),
        "probability_of_next_token": np.exp(logprob),
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
    numbers = ids.to_numpy()
    if len(numbers) and numbers.max() >= len(texts):
        texts = pa.concat_arrays(
            [
                texts,
                pa.array(
                    [f"<id {number}>" for number in range(len(texts), int(numbers.max()) + 1)]
                ),
            ]
        )
    return texts.take(ids)
