"""Statistics become the token table, and the token table a small Parquet file.

What goes in are the texts of some items and the columns of statistics, one set per draw; what comes out is sorted by TOKEN_KEY. Floats and
ranks are byte-stream split, positions and offsets delta-encoded, ids plain, all in zstd: about 15 bytes a row on minimal pairs, 16 on
running text.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lmcore.errors import InputError
from lmcore.tables import LOSSES, OPTIONAL_TOKENS, TOKENS, check
from lmcore.text.encoder import Text, name_of

FLOATS = ("logprob", "entropy", "top_logprob", "bow_logprob", "next_bow_logprob")
ENCODINGS = {
    **dict.fromkeys(("position", "start", "end", *LOSSES), "DELTA_BINARY_PACKED"),
    **dict.fromkeys(
        ("current_id", "next_id", "top_id"), "PLAIN"
    ),  # zstd sees what repeats from sentence to sentence; dictionary codes hide it
    **dict.fromkeys(("rank", *FLOATS), "BYTE_STREAM_SPLIT"),
}
DICTIONARY = ["item", "variant", "draw", "option"]


def token_table(
    items: pa.Table,
    texts: list[Text],
    draws: list[dict[str, np.ndarray]],
    source: str | Path,
    first: int = 0,
    last: int | None = None,
) -> pa.Table:
    """The TOKENS table of `texts`, one per row of `items`, or of their scored tokens first..last alone; `draws`: per draw the columns of
    statistics of these.

    Raises InputError naming `source`, the item and the token for statistics that are not finite.
    """
    counts = np.array([len(text.ids) - text.n_unscored for text in texts])
    row_text = np.repeat(np.arange(len(texts)), counts)[first:last]
    skipped = [
        text.n_unscored - text.n_prefix for text in texts
    ]  # 1 where the first token has no row

    def of_tokens(name: str) -> np.ndarray:
        return np.concatenate([getattr(text, name)[skip:] for text, skip in zip(texts, skipped)])[
            first:last
        ]

    position = np.concatenate(
        [
            np.arange(skip, len(text.ids) - text.n_prefix, dtype=np.int32)
            for text, skip in zip(texts, skipped)
        ]
    )
    position = position[first:last]
    shared = {
        "position": position,
        "current_id": np.concatenate([text.ids[text.n_unscored - 1 : -1] for text in texts])[
            first:last
        ],
        "next_id": np.concatenate([text.ids[text.n_unscored :] for text in texts])[first:last],
        "start": of_tokens("starts"),
        "end": of_tokens("ends"),
        "is_target": of_tokens("is_target"),
    }
    if any(text.dropped_bytes is not None for text in texts):
        texts = [
            text if text.dropped_bytes is not None else _without_losses(text) for text in texts
        ]
        shared |= {name: of_tokens(name).astype(np.int32) for name in LOSSES}
    codes = {name: items[name].combine_chunks().dictionary_encode() for name in ("item", "variant")}
    order = None
    if len(draws) > 1:
        item_codes = codes["item"].indices.to_numpy()[row_text]
        order = np.lexsort(
            (
                np.tile(np.arange(len(row_text)), len(draws)),
                np.repeat(np.arange(len(draws)), len(row_text)),
                np.tile(item_codes, len(draws)),
            )
        )

    def repeated(column: np.ndarray) -> np.ndarray:
        return column if order is None else np.tile(column, len(draws))[order]

    def joined(name: str) -> np.ndarray:
        return (
            draws[0][name]
            if order is None
            else np.concatenate([columns[name] for columns in draws])[order]
        )

    text_of = repeated(row_text)
    columns: dict[str, pa.Array] = {
        name: pa.array(repeated(column)) for name, column in shared.items()
    }
    for name, code in codes.items():
        columns[name] = pa.DictionaryArray.from_arrays(
            pa.array(code.indices.to_numpy()[text_of]), code.dictionary
        )
    columns["option"] = pa.array(items["option"].to_numpy()[text_of])
    draw = np.repeat(np.arange(len(draws), dtype=np.int16), len(row_text))
    columns["draw"] = pa.array(draw if order is None else draw[order])
    for name in draws[0]:
        values = joined(name)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            row = int(np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(1))[0])
            where = (
                f"{name_of(items, text_of[row])}: the token at position {repeated(position)[row]}"
            )
            raise InputError(f"{source}: {where} has {name} {values[row]}; expected finite numbers")
        columns[name] = (
            pa.array(values)
            if values.ndim == 1
            else pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])
        )
    schema = pa.schema([*TOKENS, *(field for field in OPTIONAL_TOKENS if field.name in columns)])
    return check(
        pa.table([columns[field.name].cast(field.type) for field in schema], schema), TOKENS, source
    )


def _without_losses(text: Text) -> Text:
    nothing = np.zeros(len(text.starts), np.int32)
    return text._replace(unknown_bytes=nothing, dropped_bytes=nothing)


def write_tokens(table: pa.Table, path: Path, engine: str) -> None:
    """Write a token table to `path`, with the engine's name in its metadata; the same table gives the same bytes."""
    lists = ["top_ids.list.element"] if "top_ids" in table.column_names else []
    encodings = {
        name: encoding for name, encoding in ENCODINGS.items() if name in table.column_names
    }
    if lists:
        encodings["top_logprobs.list.element"] = "BYTE_STREAM_SPLIT"
    pq.write_table(
        table.replace_schema_metadata({"engine": engine}),
        path,
        compression="zstd",
        compression_level=15,
        use_dictionary=DICTIONARY + lists,
        column_encoding=encodings,
        write_statistics=["item"],
        row_group_size=2**20,
    )
