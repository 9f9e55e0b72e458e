"""The tables every stage reads and writes, and the check at every door: the contract of the whole project.

Arrow in memory, Parquet (zstd) on disk; sorted by key before writing; no nulls. A row of

- `items` is one text to score: an option of an item, in a variant (empty, or e.g. `ending_alone`);
- `tokens` is one scored token of one such text, by one model; `draw` numbers the draws of a model that is random (the dummy), 0 for all
  others;
- `scores` is one item under one metric; a headline number is sum(value * weight) / sum(weight) per group, then a mean over groups (of
  running text one ratio over all).

A part of a tokens table has the columns LOSSES where its texts hold bytes that an unknown token (`<unk>`) stands for, or bytes beside a
token for which there is none; without them there are no such bytes (lmcore.text.token_losses).

`current_id` is the token before the scored one (the prefix token at position 0), `next_id` the scored token itself. `start` and `end` are
character offsets in context + target. Log-probs and entropies are in nats, ranks count from 1. An item's `content_hash` covers all its
rows, so that two results are compared on the same data or not at all.
"""

import hashlib
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lmcore.errors import InputError
from lmcore.files import whole

_text = pa.dictionary(pa.int32(), pa.string())

ITEMS = pa.schema(
    {
        "item": pa.string(),
        "option": pa.int16(),
        "variant": pa.string(),
        "group": pa.string(),
        "context": pa.string(),
        "target": pa.string(),
        "gold": pa.bool_(),
        "content_hash": pa.uint64(),
    }
)
TOKENS = pa.schema(
    {
        "item": _text,
        "draw": pa.int16(),
        "option": pa.int16(),
        "variant": _text,
        "position": pa.int32(),
        "current_id": pa.int32(),
        "next_id": pa.int32(),
        "start": pa.int32(),
        "end": pa.int32(),
        "is_target": pa.bool_(),
        "logprob": pa.float32(),
        "entropy": pa.float32(),
        "rank": pa.int32(),
        "top_id": pa.int32(),
        "top_logprob": pa.float32(),
    }
)
OPTIONAL_TOKENS = pa.schema(
    {
        "top_ids": pa.list_(pa.int32()),
        "top_logprobs": pa.list_(pa.float32()),
        "bow_logprob": pa.float32(),
        "next_bow_logprob": pa.float32(),
        "unknown_bytes": pa.int32(),
        "dropped_bytes": pa.int32(),
    }
)
LOSSES = ("unknown_bytes", "dropped_bytes")
# what models write: a generated token with what was said of it, and a whole continuation (lmcore.generating.continuations)
GENERATED = pa.schema(
    [*TOKENS, pa.field("sample", pa.int16()), pa.field("sampling_entropy", pa.float32())]
)
GENERATIONS = pa.schema(
    {
        "item": pa.string(),
        "variant": pa.string(),
        "sample": pa.int16(),
        "seed": pa.int64(),
        "prompt": pa.string(),
        "text": pa.string(),
        "n_tokens": pa.int32(),
        "stop_reason": pa.string(),
    }
)
SCORES = pa.schema(
    {
        "item": pa.string(),
        "draw": pa.int16(),
        "variant": pa.string(),
        "group": pa.string(),
        "metric": pa.string(),
        "value": pa.float64(),
        "weight": pa.float64(),
        "content_hash": pa.uint64(),
    }
)
ITEM_KEY = ["item", "option", "variant"]
TOKEN_KEY = ["item", "draw", "option", "variant", "position"]
SCORE_KEY = ["item", "draw", "variant", "metric"]


def check(table: pa.Table, schema: pa.Schema, source: str | Path = "table") -> pa.Table:
    """`table`, if it has exactly the columns of `schema` (TOKENS may carry OPTIONAL_TOKENS after them), of their types and without nulls.

    Raises InputError with `source`, the column's name, what was expected and what came.
    """
    optional = OPTIONAL_TOKENS if schema is TOKENS else pa.schema([])
    expected = list(schema) + [field for field in optional if field.name in table.column_names]
    for field in expected:
        if field.name not in table.column_names:
            raise InputError(
                f"{source}: column '{field.name}' ({field.type}) is missing; columns are {', '.join(table.column_names)}"
            )
        if table.schema.field(field.name).type != field.type:
            raise InputError(
                f"{source}: column '{field.name}' must be {field.type}, not {table.schema.field(field.name).type}"
            )
        if table.column(field.name).null_count:
            raise InputError(
                f"{source}: column '{field.name}' holds {table.column(field.name).null_count} nulls; none are allowed"
            )
    if table.column_names != [field.name for field in expected]:
        unknown = [
            name for name in table.column_names if name not in {field.name for field in expected}
        ]
        raise InputError(
            f"{source}: "
            + (
                f"unknown column '{unknown[0]}'"
                if unknown
                else f"columns are out of order: {table.column_names}"
            )
        )
    return table


def items_table(rows: list[dict], scoring: dict, source: str | Path = "items") -> pa.Table:
    """The items table of `rows` (the columns of ITEMS but for `content_hash`), sorted, hashed and checked.

    `scoring` is what the engine must know of the suite (e.g. {"bos": "prefix"}); it travels in the file as metadata, see `scoring_of`.
    Raises InputError for an empty list, a duplicate (item, option, variant) or an empty target, naming the item.
    """
    if not rows:
        raise InputError(f"{source}: no items")
    rows = sorted(rows, key=lambda row: (row["item"], row["option"], row["variant"]))
    for row, following in pairwise(rows):
        if all(row[name] == following[name] for name in ITEM_KEY):
            raise InputError(
                f"{source}: item '{row['item']}' option {row['option']} variant '{row['variant']}' occurs twice; ids must be unique"
            )
    hashes: dict[str, hashlib._Hash] = {}
    for row in rows:
        if not row["target"]:
            raise InputError(
                f"{source}: item '{row['item']}' option {row['option']} has an empty target; there is nothing to score"
            )
        content = [row[name] for name in ITEMS.names if name not in ("item", "content_hash")]
        hashes.setdefault(row["item"], hashlib.sha256()).update(json.dumps(content).encode())
    numbers = {item: int.from_bytes(digest.digest()[:8], "big") for item, digest in hashes.items()}
    table = pa.Table.from_pylist(
        [{**row, "content_hash": numbers[row["item"]]} for row in rows], ITEMS
    )
    return check(
        table.replace_schema_metadata({"scoring": json.dumps(scoring, sort_keys=True)}),
        ITEMS,
        source,
    )


def scoring_of(items: pa.Table) -> dict:
    """The scoring options that `items_table` recorded in this table."""
    return json.loads((items.schema.metadata or {}).get(b"scoring", b"{}"))


def read(path: Path, schema: pa.Schema, columns: list[str] | None = None) -> pa.Table:
    """The checked table in the Parquet file, or folder of `part-*.parquet`, at `path`; of it only `columns`, if given, and the LOSSES of
    tokens where there are any.

    Raises InputError where there is nothing, or not a table of this schema.
    """
    path = Path(path)
    parts = sorted(path.glob("part-*.parquet")) if path.is_dir() else [path]
    if not parts or not parts[0].exists():
        raise InputError(
            f"{path}: no such table; expected a Parquet file or a folder of part-*.parquet"
        )
    wanted = schema if columns is None else pa.schema([schema.field(name) for name in columns])
    try:
        tables = [pq.read_table(part, columns=columns, partitioning=None) for part in parts]
    except pa.ArrowInvalid as error:
        raise InputError(f"{path}: not a readable Parquet table: {error}") from error
    tables = [
        check(table, TOKENS if columns is None and schema is TOKENS else wanted, path)
        for table in tables
    ]
    return (
        concat_parts(parts, tables)
        if schema is TOKENS
        else pa.concat_tables(tables).unify_dictionaries()
    )


def concat_parts(parts: list[Path], tables: list[pa.Table]) -> pa.Table:
    """The tokens of all `parts`, read as `tables`, with the LOSSES that any of the parts has; a part without them has lost nothing."""
    names = [set(pq.read_schema(part).names) for part in parts]
    lost = [name for name in LOSSES if any(name in of_part for of_part in names)]
    found = []
    for part, of_part, table in zip(parts, names, tables, strict=True):
        table = table.select([name for name in table.column_names if name not in LOSSES])
        here = pq.read_table(
            part, columns=[name for name in lost if name in of_part], partitioning=None
        )
        for name in lost:
            column = here[name] if name in of_part else pa.array(np.zeros(len(table), np.int32))
            table = table.append_column(name, column)
        found.append(table)
    return pa.concat_tables(found).unify_dictionaries()


def write(table: pa.Table, schema: pa.Schema, path: Path) -> None:
    """Write the checked `table` to `path`, whole or not at all; the same table gives the same bytes."""
    check(table, schema, path)
    with whole(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")
