"""Token tables of random numbers, with the items and models that stages need to read them.

There are two suites and two models. `pairs` has short items, and so as many as there can be: an
item of two sentences for each 20 rows. `text` has a few long texts of TEXT_TOKENS tokens. The rows
of a size are those of one model on one suite.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tokenizers import Tokenizer, models

from lmcore.files import whole
from lmcore.scoring.writer import DICTIONARY, ENCODINGS
from lmcore.tables import ITEMS, TOKENS

VOCAB = 32_000
SENTENCE_TOKENS = 10
TEXT_TOKENS = 200_000
SHARD_TOKENS = 200_000  # at most, of one file
MODELS = ("first", "second")
SUITES = {"pairs": {"kind": "pairs"}, "text": {"kind": "text"}}
N_GROUPS = 67  # paradigms, or books


class Shape(NamedTuple):
    """How a suite's rows are cut into texts."""

    n_options: int
    n_tokens: int  # of each text


SHAPES = {"pairs": Shape(2, SENTENCE_TOKENS), "text": Shape(1, TEXT_TOKENS)}


def write_tables(suite: str, n_rows: int, folder: Path) -> None:
    """Write the items, the models' folders, and their tokens of about `n_rows` rows each.

    Files that are there stay.
    """
    shape = SHAPES[suite]
    n_items = max(1, n_rows // (shape.n_options * shape.n_tokens))
    texts = Texts(shape)
    path = folder / "items" / f"{suite}.parquet"
    if not path.exists():
        _write_items(texts, suite, n_items, path)
    for seed, model in enumerate(MODELS):
        _write_model(folder / "models" / model)
        tokens = folder / "tokens" / model / suite
        for part, numbers in enumerate(_runs(n_items, shape, 1)):
            path = tokens / f"part-{part:05d}.parquet"
            if not path.exists():
                names = pa.array([_name(suite, number) for number in numbers.tolist()])
                _write_shard(texts.tokens(names, (part, seed)), path)


def _write_shard(table: pa.Table, path: Path) -> None:
    """Write tokens as lmcore.scoring.writer does, but for the level of compression.

    That takes most of the time there, and none of the time of a reader.
    """
    encodings = {name: encoding for name, encoding in ENCODINGS.items() if name in TOKENS.names}
    with whole(path) as temporary:
        pq.write_table(
            table.replace_schema_metadata({"engine": "bench"}),
            temporary,
            compression="zstd",
            compression_level=1,
            use_dictionary=DICTIONARY,
            column_encoding=encodings,
            write_statistics=["item"],
        )


def _write_items(texts: "Texts", suite: str, n_items: int, path: Path) -> None:
    """Write the items table, some row groups at a time."""
    metadata = {"scoring": json.dumps({"bos": "prefix"})}
    schema = ITEMS.with_metadata(metadata)
    with whole(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as file:
        for numbers in _runs(n_items, texts.shape, 10):
            file.write_table(texts.items(suite, numbers).replace_schema_metadata(metadata))


def _name(suite: str, number: int) -> str:
    """The name of an item; names are sorted as the numbers are."""
    return f"{suite}/{number:010d}"


def _runs(n_items: int, shape: Shape, n_shards: int) -> Iterator[np.ndarray]:
    """The numbers of the items, as many at a time as fill `n_shards` shards."""
    step = max(1, n_shards * SHARD_TOKENS // (shape.n_options * shape.n_tokens))
    for start in range(0, n_items, step):
        yield np.arange(start, min(start + step, n_items))


def _write_model(folder: Path) -> None:
    """A folder with a tokenizer and a config, and with no weights: nothing is scored."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {f"w{number}": number for number in range(VOCAB)}
    Tokenizer(models.WordLevel(vocabulary, "w0")).save(str(folder / "tokenizer.json"))
    config = {"model_type": "lmcore_dummy", "vocab_size": VOCAB, "max_position_embeddings": 2048}
    (folder / "config.json").write_text(json.dumps(config))


class Texts:
    """The text of all items of a suite, word by word the same, and where its words are."""

    def __init__(self, shape: Shape):
        self.shape = shape
        lengths = np.random.default_rng(0).integers(1, 9, shape.n_tokens)
        self.ends = (np.cumsum(lengths + 1) - 1).astype(np.int32)
        self.starts = np.concatenate([[0], self.ends[:-1]]).astype(np.int32)
        self.text = " ".join("x" * length for length in lengths)

    def items(self, suite: str, numbers: np.ndarray) -> pa.Table:
        """The ITEMS rows of these items."""
        n_options = self.shape.n_options
        names = [_name(suite, number) for number in numbers.repeat(n_options).tolist()]
        groups = [f"g{number % N_GROUPS:02d}" for number in numbers.repeat(n_options).tolist()]
        option = np.tile(np.arange(n_options, dtype=np.int16), len(numbers))
        columns: dict[str, Any] = {
            "item": names,
            "option": option,
            "variant": [""] * len(names),
            "group": groups,
            "context": [""] * len(names),
            "target": [self.text] * len(names),
            "gold": option == 0,
            "content_hash": numbers.repeat(n_options).astype(np.uint64),
        }
        return pa.table([pa.array(columns[f.name], f.type) for f in ITEMS], ITEMS)

    def tokens(self, names: pa.Array, seed: tuple[int, int], vocab_size: int = VOCAB) -> pa.Table:
        """Random TOKENS of the items with these names, which are strings.

        seed: (part, model); all models have the same tokens, but different statistics.
        """
        n_options, n_tokens = self.shape
        n_texts = len(names) * n_options
        n = n_texts * n_tokens
        ids, draw = np.random.default_rng(seed[0]), np.random.default_rng(seed)
        next_id = (np.minimum(ids.zipf(1.2, n), vocab_size) - 1).astype(np.int32)
        logprob = -draw.exponential(3, n).astype(np.float32)
        top = np.maximum(logprob, -draw.exponential(1, n).astype(np.float32))
        item = np.arange(len(names), dtype=np.int32).repeat(n_options * n_tokens)
        columns: dict[str, Any] = {
            "item": pa.DictionaryArray.from_arrays(item, names),
            "draw": np.zeros(n, np.int16),
            "option": np.tile(np.arange(n_options, dtype=np.int16).repeat(n_tokens), len(names)),
            "variant": pa.DictionaryArray.from_arrays(np.zeros(n, np.int32), pa.array([""])),
            "position": np.tile(np.arange(n_tokens, dtype=np.int32), n_texts),
            "current_id": np.roll(next_id, 1),
            "next_id": next_id,
            "start": np.tile(self.starts, n_texts),
            "end": np.tile(self.ends, n_texts),
            "is_target": np.ones(n, bool),
            "logprob": logprob,
            "entropy": draw.gamma(4, 1, n).astype(np.float32),
            "rank": np.minimum(draw.zipf(1.5, n), vocab_size).astype(np.int32),
            "top_id": np.where(top == logprob, next_id, 0).astype(np.int32),
            "top_logprob": top,
        }
        return pa.table([pa.array(columns[field.name]) for field in TOKENS], TOKENS)
