"""Statistics become the token table, and the token table becomes a small Parquet file.

The texts of some items and the columns of statistics go in, one set of columns for each draw. A
table sorted by TOKEN_KEY comes out. In the file, floats and ranks are byte-stream split, positions
and offsets are delta-encoded, and ids are plain, all in zstd. This takes about 15 bytes for each
row on minimal pairs, and 16 on running text.
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
    # zstd sees what repeats from sentence to sentence; the codes of a dictionary would hide it
    **dict.fromkeys(("current_id", "next_id", "top_id"), "PLAIN"),
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
    """The TOKENS table of `texts`, one for each row of `items`.

    If `first` and `last` are given, only the scored tokens first..last are in the table. `draws`
    are the columns of statistics of these tokens, one set for each draw.

    Raises InputError naming `source`, the item and the token for statistics that are not finite.
    """
    n_scored = np.array([len(text.ids) - text.n_unscored for text in texts])
    text_of_token = np.repeat(np.arange(len(texts)), n_scored)[first:last]
    codes = {name: items[name].combine_chunks().dictionary_encode() for name in ("item", "variant")}
    order = _order(codes["item"].indices.to_numpy()[text_of_token], len(draws))
    text_of_row = _repeated(text_of_token, len(draws), order)
    columns: dict[str, pa.Array] = {}
    for name, values in _text_columns(texts).items():
        columns[name] = pa.array(_repeated(values[first:last], len(draws), order))
    for name, code in codes.items():
        indices = pa.array(code.indices.to_numpy()[text_of_row])
        columns[name] = pa.DictionaryArray.from_arrays(indices, code.dictionary)
    columns["option"] = pa.array(items["option"].to_numpy()[text_of_row])
    draw = np.repeat(np.arange(len(draws), dtype=np.int16), len(text_of_token))
    columns["draw"] = pa.array(draw if order is None else draw[order])
    for name in draws[0]:
        values = _joined(draws, name, order)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            row = int(np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(1))[0])
            position = columns["position"][row].as_py()
            where = f"{name_of(items, text_of_row[row])}: the token at position {position}"
            raise InputError(f"{source}: {where} has {name} {values[row]}; expected finite numbers")
        columns[name] = _column(values)
    schema = pa.schema([*TOKENS, *(field for field in OPTIONAL_TOKENS if field.name in columns)])
    table = pa.table([columns[field.name].cast(field.type) for field in schema], schema)
    return check(table, TOKENS, source)


def _order(items: np.ndarray, n_draws: int) -> np.ndarray | None:
    """The order by item, draw and token of rows that stand draw by draw; None for a single draw.

    items: (T,), the number of each token's item.
    """
    if n_draws == 1:
        return None
    n_tokens = len(items)
    draw = np.repeat(np.arange(n_draws), n_tokens)
    return np.lexsort((np.tile(np.arange(n_tokens), n_draws), draw, np.tile(items, n_draws)))


def _repeated(values: np.ndarray, n_draws: int, order: np.ndarray | None) -> np.ndarray:
    """Values that all draws share, once for each draw, in their rows' order."""
    return values if order is None else np.tile(values, n_draws)[order]


def _joined(draws: list[dict[str, np.ndarray]], name: str, order: np.ndarray | None) -> np.ndarray:
    """A column of statistics of all draws, in their rows' order."""
    if order is None:
        return draws[0][name]
    return np.concatenate([columns[name] for columns in draws])[order]


def _text_columns(texts: list[Text]) -> dict[str, np.ndarray]:
    """The columns that follow from the texts alone, with a row for each scored token."""
    columns: dict[str, list[np.ndarray]] = {}

    def add(name: str, values: np.ndarray) -> None:
        columns.setdefault(name, []).append(values)

    has_losses = any(text.dropped_bytes is not None for text in texts)
    for text in texts:
        skipped = text.n_unscored - text.n_prefix  # 1 where the first token has no row
        add("position", np.arange(skipped, len(text.ids) - text.n_prefix, dtype=np.int32))
        add("current_id", text.ids[text.n_unscored - 1 : -1])
        add("next_id", text.ids[text.n_unscored :])
        add("start", text.starts[skipped:])
        add("end", text.ends[skipped:])
        add("is_target", text.is_target[skipped:])
        if has_losses:
            with_losses = text if text.dropped_bytes is not None else _without_losses(text)
            for name in LOSSES:
                add(name, getattr(with_losses, name)[skipped:])
    joined = {name: np.concatenate(parts) for name, parts in columns.items()}
    for name in LOSSES:
        if name in joined:
            joined[name] = joined[name].astype(np.int32)
    return joined


def _without_losses(text: Text) -> Text:
    """The text with columns of losses that are all 0."""
    nothing = np.zeros(len(text.starts), np.int32)
    return text._replace(unknown_bytes=nothing, dropped_bytes=nothing)


def _column(values: np.ndarray) -> pa.Array:
    """Statistics (N,) or (N, k) as a column of numbers or of lists."""
    if values.ndim == 1:
        return pa.array(values)
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])


def write_tokens(table: pa.Table, path: Path, engine: str) -> None:
    """Write a token table to `path`, with the engine's name in its metadata.

    The same table gives the same bytes.
    """
    encodings = {
        name: encoding for name, encoding in ENCODINGS.items() if name in table.column_names
    }
    dictionary = DICTIONARY
    if "top_ids" in table.column_names:
        dictionary = [*DICTIONARY, "top_ids.list.element"]
        encodings["top_logprobs.list.element"] = "BYTE_STREAM_SPLIT"
    pq.write_table(
        table.replace_schema_metadata({"engine": engine}),
        path,
        compression="zstd",
        compression_level=15,
        use_dictionary=dictionary,
        column_encoding=encodings,
        write_statistics=["item"],
        row_group_size=2**20,
    )
