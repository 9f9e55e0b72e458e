"""The tables that every stage reads and writes, and the check at every door.

This module is the contract of the whole project.

Tables are Arrow in memory and Parquet (zstd) on the disk. They are sorted by key before they are
written, and hold no nulls.

- A row of `items` is one text to score: an option of an item, in a variant (empty, or for instance
  `ending_alone`).
- A row of `tokens` is one scored token of one such text, by one model. `draw` numbers the draws of
  a random model (the dummy); it is 0 for all other models.
- A row of `scores` is one item under one metric. A headline number is sum(value * weight) /
  sum(weight) per group, and then a mean over groups. For running text it is one ratio over all
  rows.

The items and scores of a suite whose items come in clusters (several questions on one story, say)
have the column CLUSTER, too. An item's cluster decides how certain a figure is, and no figure
itself, so it is no part of the content hash.

A part of a tokens table has the columns LOSSES if its texts hold bytes that an unknown token
(`<unk>`) stands for, or bytes beside a token for which there is no token. Without these columns
there are no such bytes (see lmcore.text.token_losses).

`current_id` is the token before the scored one (the prefix token at position 0), and `next_id` is
the scored token itself. `start` and `end` are character offsets in context + target. Log-probs and
entropies are in nats, and ranks count from 1. The `content_hash` of an item covers all its rows, so
that two results are compared on the same data or not at all.
"""

import hashlib
import json
from collections.abc import Iterable
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
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
# What models write (see lmcore.generating.continuations): a row of GENERATED is one generated token
# with its statistics, and a row of GENERATIONS is one whole continuation.
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
# What fine-tuned classifiers say (see lmcore.classifying): a row is one example of a task's valid
# split under one seed. `id` is its number in the file, from 0; `logprobs` are those of the labels.
CLASSIFIED = pa.schema(
    {
        "seed": pa.int64(),
        "id": pa.int32(),
        "gold": pa.int16(),
        "predicted": pa.int16(),
        "logprobs": pa.list_(pa.float32()),
    }
)
CLUSTER = "cluster"  # an item that shares its cluster with no other has its own id there
OPTIONAL_CLUSTER = pa.schema({CLUSTER: pa.string()})
ROW_GROUP = 2**20  # rows; pyarrow's own default
ITEM_KEY = ["item", "option", "variant"]
TOKEN_KEY = ["item", "draw", "option", "variant", "position"]
SCORE_KEY = ["item", "draw", "variant", "metric"]


def check(table: pa.Table, schema: pa.Schema, source: str | Path = "table") -> pa.Table:
    """`table`, if it has exactly the columns of `schema`, of their types and without nulls.

    After the columns of TOKENS, columns of OPTIONAL_TOKENS may follow, and CLUSTER after those of
    ITEMS and SCORES. Raises InputError with `source`, the column's name, what was expected and what
    came.
    """
    optional = OPTIONAL_TOKENS if schema is TOKENS else _optional_cluster(schema)
    expected = list(schema) + [field for field in optional if field.name in table.column_names]
    for field in expected:
        _check_column(table, field, source)
    names = [field.name for field in expected]
    if table.column_names != names:
        unknown = [name for name in table.column_names if name not in names]
        if unknown:
            raise InputError(f"{source}: unknown column '{unknown[0]}'")
        raise InputError(f"{source}: columns are out of order: {table.column_names}")
    return table


def _optional_cluster(schema: pa.Schema) -> pa.Schema:
    """The optional column of ITEMS and SCORES, which are recognised by identity."""
    return OPTIONAL_CLUSTER if schema is ITEMS or schema is SCORES else pa.schema([])


def _check_column(table: pa.Table, field: pa.Field, source: str | Path) -> None:
    """Raises InputError unless `table` has the column `field`, of its type and without nulls."""
    if field.name not in table.column_names:
        raise InputError(
            f"{source}: column '{field.name}' ({field.type}) is missing; "
            f"columns are {', '.join(table.column_names)}"
        )
    kind = table.schema.field(field.name).type
    if kind != field.type:
        raise InputError(f"{source}: column '{field.name}' must be {field.type}, not {kind}")
    n_nulls = table.column(field.name).null_count
    if n_nulls:
        raise InputError(f"{source}: column '{field.name}' holds {n_nulls} nulls; none are allowed")


def items_table(rows: list[dict], scoring: dict, source: str | Path = "items") -> pa.Table:
    """The items table of `rows`, sorted, hashed and checked.

    `rows` have the columns of ITEMS except `content_hash`, and either all or none has CLUSTER.
    `scoring` is what the engine must know
    about the suite, for instance {"bos": "prefix"}. It is stored in the file's metadata, from which
    `scoring_of` reads it.

    Raises InputError for an empty list, and for a duplicate (item, option, variant) or an empty
    target, naming the item.
    """
    if not rows:
        raise InputError(f"{source}: no items")
    rows = sorted(rows, key=lambda row: (row["item"], row["option"], row["variant"]))
    for row, following in pairwise(rows):
        if all(row[name] == following[name] for name in ITEM_KEY):
            raise InputError(
                f"{source}: item '{row['item']}' option {row['option']} "
                f"variant '{row['variant']}' occurs twice; ids must be unique"
            )
    for row in rows:
        if not row["target"]:
            raise InputError(
                f"{source}: item '{row['item']}' option {row['option']} has an empty target; "
                "there is nothing to score"
            )
    hashes = _content_hashes(rows)
    schema = ITEMS if CLUSTER not in rows[0] else pa.schema([*ITEMS, *OPTIONAL_CLUSTER])
    table = pa.Table.from_pylist(
        [{**row, "content_hash": hashes[row["item"]]} for row in rows], schema
    )
    metadata = {"scoring": json.dumps(scoring, sort_keys=True)}
    return check(table.replace_schema_metadata(metadata), ITEMS, source)


def _content_hashes(rows: list[dict]) -> dict[str, int]:
    """{item: the first 64 bits of the sha256 over all its rows}."""
    columns = [name for name in ITEMS.names if name not in ("item", "content_hash")]
    digests: dict[str, hashlib._Hash] = {}
    for row in rows:
        content = json.dumps([row[name] for name in columns])
        digests.setdefault(row["item"], hashlib.sha256()).update(content.encode())
    return {item: int.from_bytes(digest.digest()[:8], "big") for item, digest in digests.items()}


def scoring_of(items: pa.Table | pa.Schema) -> dict:
    """The scoring options that `items_table` recorded in this table, or that its schema has."""
    schema = items if isinstance(items, pa.Schema) else items.schema
    return json.loads((schema.metadata or {}).get(b"scoring", b"{}"))


def metrics_there(path: Path) -> set[str]:
    """The metrics of the scores table in the Parquet file at `path`, read some rows at a time.

    Raises InputError where there is no table, or none of metrics.
    """
    if "metric" not in schema_of(path).names:
        raise InputError(f"{path}: column 'metric' (string) is missing; expected a scores table")
    found: set[str] = set()
    with pq.ParquetFile(path, read_dictionary=["metric"]) as file:
        for batch in file.iter_batches(columns=["metric"]):
            found |= set(pc.unique(batch.column(0)).to_pylist())
    return found


def schema_of(path: Path) -> pa.Schema:
    """The schema of the Parquet file at `path`. Raises InputError where there is no such table."""
    try:
        return pq.read_schema(parts_of(path)[0])
    except pa.ArrowInvalid as error:
        raise InputError(f"{path}: not a readable Parquet table: {error}") from error


def read(
    path: Path,
    schema: pa.Schema,
    columns: list[str] | None = None,
    *,
    metric: str | None = None,
) -> pa.Table:
    """The checked table in the Parquet file, or the folder of `part-*.parquet`, at `path`.

    If `columns` are given, only these are read. CLUSTER may be among them; it is read where there
    is one. Those of OPTIONAL_TOKENS that are among them must be there. The LOSSES of tokens are
    read in any case, where there are any. If a `metric` is given, only its rows of a scores table
    are read; the others are never in memory together.

    Raises InputError where there is no table, or no table of this schema.
    """
    path = Path(path)
    parts = parts_of(path)
    # check() recognises TOKENS by identity, and allows it optional columns
    expected = schema
    try:
        if columns is not None:
            columns = [name for name in columns if name != CLUSTER or has_cluster(parts[0])]
            optional = OPTIONAL_TOKENS if schema is TOKENS else _optional_cluster(schema)
            fields = {field.name: field for field in [*schema, *optional]}
            expected = pa.schema([fields[name] for name in columns])
        rows = None if metric is None else [("metric", "==", metric)]
        tables = [
            pq.read_table(part, columns=columns, partitioning=None, filters=rows) for part in parts
        ]
    except pa.ArrowInvalid as error:
        raise InputError(f"{path}: not a readable Parquet table: {error}") from error
    tables = [check(table, expected, path) for table in tables]
    if schema is TOKENS:
        return concat_parts(parts, tables)
    return pa.concat_tables(tables).unify_dictionaries()


def parts_of(path: Path) -> list[Path]:
    """The Parquet files of the table at `path`, which is a file or a folder of parts.

    Raises InputError where there is none.
    """
    parts = sorted(path.glob("part-*.parquet")) if path.is_dir() else [path]
    if not parts or not parts[0].exists():
        raise InputError(
            f"{path}: no such table; expected a Parquet file or a folder of part-*.parquet"
        )
    return parts


def has_cluster(source: Any) -> bool:
    """Whether a Parquet file, a path or an open file at its beginning, has the column CLUSTER.

    Raises pa.ArrowInvalid for another file.
    """
    return CLUSTER in pq.read_schema(source).names


def columns_there(table: pa.Table, columns: list[str]) -> pa.Table:
    """These columns of a table in memory; CLUSTER is left out where the table has none."""
    has_none = CLUSTER not in table.column_names
    return table.select([name for name in columns if not (has_none and name == CLUSTER)])


def concat_parts(parts: list[Path], tables: list[pa.Table]) -> pa.Table:
    """The tokens of all `parts`, which were read as `tables`, in one table.

    It has those of the LOSSES that any part has. A part without them has lost nothing.
    """
    names_of_parts = [set(pq.read_schema(part).names) for part in parts]
    all_names = set[str]().union(*names_of_parts)
    lost = [name for name in LOSSES if name in all_names]
    completed = []
    for part, names, table in zip(parts, names_of_parts, tables, strict=True):
        table = table.select([name for name in table.column_names if name not in LOSSES])
        losses = pq.read_table(
            part, columns=[name for name in lost if name in names], partitioning=None
        )
        for name in lost:
            column = losses[name] if name in names else pa.array(np.zeros(len(table), np.int32))
            table = table.append_column(name, column)
        completed.append(table)
    return pa.concat_tables(completed).unify_dictionaries()


def write_tables(tables: Iterable[pa.Table], schema: pa.Schema, path: Path) -> None:
    """Write the checked `tables`, one behind the other, to one file, whole or not at all.

    There is at least one. The file has the bytes that `write` gives for all of them in one table,
    but no more than ROW_GROUP rows are in memory besides the table at hand.
    """
    with whole(path) as temporary, ExitStack() as stack:
        writer: pq.ParquetWriter | None = None
        held: list[pa.Table] = []
        n_held = 0
        for table in tables:
            check(table, schema, path)
            if writer is None:
                writer = stack.enter_context(
                    pq.ParquetWriter(temporary, table.schema, compression="zstd")
                )
            held.append(table)
            n_held += len(table)
            while n_held >= ROW_GROUP:
                joined = pa.concat_tables(held)
                writer.write_table(joined.slice(0, ROW_GROUP).combine_chunks(), ROW_GROUP)
                held, n_held = [joined.slice(ROW_GROUP)], n_held - ROW_GROUP
        assert writer is not None
        if n_held:
            writer.write_table(pa.concat_tables(held).combine_chunks(), ROW_GROUP)


def write(table: pa.Table, schema: pa.Schema, path: Path) -> None:
    """Write the checked `table` to `path`, whole or not at all.

    The same table gives the same bytes.
    """
    check(table, schema, path)
    with whole(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")
