"""What the stages that read token tables cost as the tables grow.

Token tables of random numbers are written, folded, aggregated, compared and analysed, each stage in
a process of its own. CPU seconds and peak memory come out, for a size of table and for each stage:

    python -m bench.big_tables --rows 2000000 --folder FOLDER

They are merged into docs/big_tables.json, of which docs/big_tables.md is written. There are two
suites and two models. `pairs` has short items, and so as many as there can be: an item of two
sentences for each 20 rows. `text` has a few long texts of TEXT_TOKENS tokens. The rows of a size
are those of one model on one suite.

A suite's tables are in FOLDER/SUITE_ROWS, and are removed when the suite was measured. A run that
was killed goes on where it was: shards that are there are not written again, and stages whose
costs are in COSTS of that folder are not measured again.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import typer
from tokenizers import Tokenizer, models

from lmcore.files import whole, write_json
from lmcore.scoring.writer import DICTIONARY, ENCODINGS
from lmcore.tables import ITEMS, TOKENS

VOCAB = 32_000
SENTENCE_TOKENS = 10
TEXT_TOKENS = 200_000
SHARD_TOKENS = 200_000  # at most, of one file
MODELS = ("first", "second")
SUITES = {"pairs": {"kind": "pairs"}, "text": {"kind": "text"}}
STAGES = ("fold_scores", "compare_models", "analyse_tokens", "aggregate")
COSTS = "costs.json"
N_GROUPS = 67  # paradigms, or books
COMPARISON: dict[str, Any] = {
    "pairs": None,
    "against": None,
    "recipes": None,
    "average": None,
    "metrics": ["accuracy", "surprisal_per_byte"],
    "clusters": None,
    "margin": None,
    "confidence": 0.95,
    "interval": "student",
    "correction": "holm",
    "group_correction": "fdr_bh",
    "power": 0.8,
    "resamples": 10_000,
    "seed": 0,
    "digits": 6,
}


ABOUT = """# Token tables of many rows

What the stages that read token tables cost as the tables grow. Tables are of random numbers in the
schema of extract_tokens, of two models that differ in every figure. `pairs` has an item for each 20
rows, `text` has texts of 200,000 tokens. Rows are those of one model. CPU seconds are of the whole
process, with imports, and for both models together. The machine (2 cores, Intel with AMX) was busy
with other work.

To measure a size (200 million rows need 13 GB of disk at a time, with what the stages write;
`--suite text` measures one suite alone, and a run that was killed goes on):

    nice python -m bench.big_tables --rows 200000000 --folder FOLDER
"""
GROWTH = """## What grows with what

Of the stages in the table, none holds more than some bits of each token row in memory. What grows
with the items is said here; `pairs` has as many of them as there can be.

- `fold_scores` holds a run of whole items: 500,000 token rows, or one item if that is longer. Its
  scores are written as row groups of a million rows, which are held until they are full. The peak
  of `pairs` therefore rises up to ten million token rows, and hardly from there. For a suite of
  kind `choices`, eight bytes for each item and position of its endings are kept. Suites of kinds
  `graded` and `reading`, and `pairs` with `classes`, are folded at once, since there a score
  depends on all items; they grow with the rows.
- `compare_models` reads of each scores table the rows of one metric. It grows by about 130 bytes an
  item for two models, and by 16 for each model and seed more: ids, values and weights.
- `aggregate` reads one metric at a time, and so do the report's panels of groups. It grows by about
  110 bytes an item: the values, weights and groups of one metric, and what its mean needs. Of a
  random model, each further draw needs 22 bytes an item.
- `analyse_tokens` holds batches, one bit for each row, and what depends on the vocabulary. The
  quantiles of each token need temporary files of 16 bytes a row (in TMPDIR), and a token that
  occurs more than 4 million times needs 12 bytes for each time. The comparison on the same text
  keeps sums of each item and model. Where the models' tokens are cut into different numbers of
  shards, it reads them at once.

Outside of this table:

- The report's entropy panel reads items and tokens in batches, and holds one bit for each row.
- The BabyLM export decides in runs of items, as `fold_scores` does. It holds what it writes: the
  chosen text of each item. `lmcore audit` of a model reads so, too, and holds all texts.
- `lmcore tokens` streams; with `--above-quantile` it holds four bytes a row. `lmcore compare --csv`
  holds two bytes a row.
- `lmcore verify` holds a file of either revision, such as a shard or a scores table, and
  `lmcore diff` a scores table.
- These read whole tables: `explore_suites` (the tokens of its suites), `analyse_completions` and
  `analyse_acquisition` (the scores of theirs), and `lmcore.api.load_tokens`, which gives the table
  to its caller."""


class Cost(NamedTuple):
    """What a stage took in a process of its own."""

    seconds: float  # of the function, without imports
    cpu_s: float  # of the whole process
    peak_mb: float  # resident memory


class _Shape(NamedTuple):
    """How a suite's rows are cut into texts."""

    n_options: int
    n_tokens: int  # of each text


SHAPES = {"pairs": _Shape(2, SENTENCE_TOKENS), "text": _Shape(1, TEXT_TOKENS)}


def main(
    rows: Annotated[int, typer.Option(help="token rows of one model on one suite")],
    folder: Annotated[Path, typer.Option(help="where the tables are written")],
    suite: Annotated[
        list[str] | None, typer.Option(help="one of the suites; by default all")
    ] = None,
    out: Annotated[Path, typer.Option(help="folder of big_tables.json and .md")] = Path("docs"),
) -> None:
    for name in suite or SUITES:
        for stage, cost in bench_stages(name, rows, folder):
            print(name, rows, stage, cost, flush=True)
            merge({f"{name}.{rows}.{stage}": cost._asdict()}, out)


def merge(measured: dict[str, dict], out: Path) -> None:
    """Add what was measured to the figures in `out`, and write the page of all of them."""
    figures = {}
    if (out / "big_tables.json").exists():
        figures = json.loads((out / "big_tables.json").read_text("utf-8"))
    figures |= measured
    out.mkdir(parents=True, exist_ok=True)
    write_json(figures, out / "big_tables.json")
    (out / "big_tables.md").write_text(page(figures), "utf-8")


def bench_stages(suite: str, n_rows: int, scratch: Path) -> Iterator[tuple[str, Cost]]:
    """(stage, what it costs) with tables of `n_rows` rows for each model of one suite.

    The tables are in a folder in `scratch`, which is removed at the end.
    """
    folder = scratch / f"{suite}_{n_rows}"
    write_tables(suite, n_rows, folder)
    costs = {}
    if (folder / COSTS).exists():
        costs = json.loads((folder / COSTS).read_text("utf-8"))
    for stage in STAGES:
        if stage not in costs:
            costs[stage] = _measure(stage, suite, folder)._asdict()
            write_json(costs, folder / COSTS)
        yield stage, Cost(**costs[stage])
    shutil.rmtree(folder)


def _measure(stage: str, suite: str, folder: Path) -> Cost:
    """Run one stage on the tables in `folder`, where its temporary files are, too."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "bench.big_tables_stage", stage, suite, str(folder)]
    environment = {**os.environ, "TMPDIR": str(folder.resolve())}
    run = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    answer = json.loads(run.stdout)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(answer["seconds"], cpu_s, answer["peak_mb"])


def write_tables(suite: str, n_rows: int, folder: Path) -> None:
    """Write the items, the models' folders, and their tokens of about `n_rows` rows each.

    Files that are there stay.
    """
    shape = SHAPES[suite]
    n_items = max(1, n_rows // (shape.n_options * shape.n_tokens))
    texts = _Texts(shape)
    path = folder / "items" / f"{suite}.parquet"
    if not path.exists():
        _write_items(texts, suite, n_items, path)
    for seed, model in enumerate(MODELS):
        _write_model(folder / "models" / model)
        tokens = folder / "tokens" / model / suite
        for part, numbers in enumerate(_runs(n_items, shape, 1)):
            path = tokens / f"part-{part:05d}.parquet"
            if not path.exists():
                table = texts.tokens(suite, numbers, (part, seed))
                _write_shard(table, path)


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


def _write_items(texts: "_Texts", suite: str, n_items: int, path: Path) -> None:
    """Write the items table, some row groups at a time."""
    metadata = {"scoring": json.dumps({"bos": "prefix"})}
    schema = ITEMS.with_metadata(metadata)
    with whole(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as file:
        for numbers in _runs(n_items, texts.shape, 10):
            file.write_table(texts.items(suite, numbers).replace_schema_metadata(metadata))


def _runs(n_items: int, shape: _Shape, n_shards: int) -> Iterator[np.ndarray]:
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


class _Texts:
    """The text of all items of a suite, word by word the same, and where its words are."""

    def __init__(self, shape: _Shape):
        self.shape = shape
        lengths = np.random.default_rng(0).integers(1, 9, shape.n_tokens)
        self.ends = (np.cumsum(lengths + 1) - 1).astype(np.int32)
        self.starts = np.concatenate([[0], self.ends[:-1]]).astype(np.int32)
        self.text = " ".join("x" * length for length in lengths)

    def items(self, suite: str, numbers: np.ndarray) -> pa.Table:
        """The ITEMS rows of these items."""
        n_options = self.shape.n_options
        names = [f"{suite}/{number:010d}" for number in numbers.repeat(n_options).tolist()]
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

    def tokens(self, suite: str, numbers: np.ndarray, seed: tuple[int, int]) -> pa.Table:
        """Random TOKENS of these items; seed: (part, model); all models have the same tokens."""
        n_options, n_tokens = self.shape
        n_texts = len(numbers) * n_options
        n = n_texts * n_tokens
        ids, draw = np.random.default_rng(seed[0]), np.random.default_rng(seed)
        next_id = (np.minimum(ids.zipf(1.2, n), VOCAB) - 1).astype(np.int32)
        logprob = -draw.exponential(3, n).astype(np.float32)
        top = np.maximum(logprob, -draw.exponential(1, n).astype(np.float32))
        item = np.arange(len(numbers), dtype=np.int32).repeat(n_options * n_tokens)
        names = pa.array([f"{suite}/{number:010d}" for number in numbers.tolist()])
        columns: dict[str, Any] = {
            "item": pa.DictionaryArray.from_arrays(item, names),
            "draw": np.zeros(n, np.int16),
            "option": np.tile(np.arange(n_options, dtype=np.int16).repeat(n_tokens), len(numbers)),
            "variant": pa.DictionaryArray.from_arrays(np.zeros(n, np.int32), pa.array([""])),
            "position": np.tile(np.arange(n_tokens, dtype=np.int32), n_texts),
            "current_id": np.roll(next_id, 1),
            "next_id": next_id,
            "start": np.tile(self.starts, n_texts),
            "end": np.tile(self.ends, n_texts),
            "is_target": np.ones(n, bool),
            "logprob": logprob,
            "entropy": draw.gamma(4, 1, n).astype(np.float32),
            "rank": np.minimum(draw.zipf(1.5, n), VOCAB).astype(np.int32),
            "top_id": np.where(top == logprob, next_id, 0).astype(np.int32),
            "top_logprob": top,
        }
        return pa.table([pa.array(columns[field.name]) for field in TOKENS], TOKENS)


def page(figures: dict[str, dict]) -> str:
    """The figures as a Markdown page; a key is SUITE.ROWS.STAGE."""
    return "\n".join([ABOUT, *_table(figures), "", GROWTH, "", _billion(figures), ""])


def _table(figures: dict[str, dict]) -> list[str]:
    """One line for each suite, stage and size."""
    lines = [
        "| suite | stage | rows of a model | peak MB | CPU s | CPU µs of a row |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for suite in SUITES:
        for stage in STAGES:
            for size, cost in _sizes(figures, suite, stage):
                of_row = cost["cpu_s"] * 1e6 / (size * len(MODELS))
                lines.append(
                    f"| {suite} | {stage} | {size:,} | {cost['peak_mb']:,.0f}"
                    f" | {cost['cpu_s']:,.1f} | {of_row:.2f} |"
                )
    return lines


def _sizes(figures: dict[str, dict], suite: str, stage: str) -> list[tuple[int, dict]]:
    """(rows, cost) of each size that was measured, from the smallest."""
    found = []
    for key, cost in figures.items():
        name, size, of_stage = key.split(".")
        if (name, of_stage) == (suite, stage):
            found.append((int(size), cost))
    return sorted(found, key=lambda pair: pair[0])


def _billion(figures: dict[str, dict]) -> str:
    """What a billion rows would take, on a straight line through the two largest sizes."""
    lines = [
        "## A billion rows",
        "",
        "Nobody ran this. It is a straight line through the two largest sizes that were measured,",
        f"for {len(MODELS)} models of a billion rows each on one core.",
        "",
        "| suite | stage | CPU hours | peak |",
        "|---|---|--:|--:|",
    ]
    for suite in SUITES:
        for stage in STAGES:
            measured = _sizes(figures, suite, stage)
            if len(measured) > 1:
                (small, low), (large, high) = measured[-2:]
                steps = (10**9 - large) / (large - small)
                hours = (high["cpu_s"] + steps * (high["cpu_s"] - low["cpu_s"])) / 3600
                peak = high["peak_mb"] + steps * max(0.0, high["peak_mb"] - low["peak_mb"])
                lines.append(f"| {suite} | {stage} | {hours:.1f} | {peak / 1024:.1f} GiB |")
    return "\n".join(lines)


if __name__ == "__main__":
    typer.run(main)
