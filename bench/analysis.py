"""How fast the analysis is.

Token tables of random numbers are written and analysed. Seconds and peak memory come out.
"""

import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from lmcore.scoring.writer import write_tokens
from lmcore.tables import ITEMS, TOKENS, items_table, write
from lmcore.text.tokenizer import load_fast

SHARD_TOKENS = 200_000
TEXT_TOKENS = 1000
SETTINGS: dict[str, Any] = {
    "rows": "gold",
    "minimum_count": 5,
    "n_extremes": 15,
    "n_bins": 10,
    "n_frequent": 10,
    "calibration_bins": 15,
    "corrected": False,
    "plot_suite": "bench",
    "passage_chars": 700,
    "progression": [],
    "confidence": 0.95,
    "digits": 6,
}


def bench_analysis(n_rows: int, n_models: int, tokenizer: Path, folder: Path) -> dict[str, float]:
    """What the stage analyse_tokens costs in a process of its own.

    It runs on `n_models` tables of `n_rows` rows each, which are written to `folder`.
    """
    write_tables(n_rows, n_models, tokenizer, folder)
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "bench.analysis", str(folder), str(n_models)]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "rows": float(n_rows * n_models),
        "models": float(n_models),
        "seconds": time.perf_counter() - started,
        "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "peak_gb": float(run.stdout),
    }


class _Text(NamedTuple):
    """The text that all items share, and where its words are."""

    text: str
    starts: np.ndarray  # (TEXT_TOKENS,) in characters
    ends: np.ndarray  # (TEXT_TOKENS,)


def write_tables(n_rows: int, n_models: int, tokenizer_path: Path, folder: Path) -> None:
    """Write items of TEXT_TOKENS words, and every model's tokens of them.

    The tokens are in shards of SHARD_TOKENS.
    """
    tokenizer = load_fast(tokenizer_path)
    text = _random_text()
    row = {"option": 0, "variant": "", "group": "g", "context": "", "gold": True}
    n_texts = max(1, n_rows // TEXT_TOKENS)
    rows = []
    for number in range(n_texts):
        rows.append({**row, "target": text.text, "item": f"bench/{number:07d}"})
    items = items_table(rows, {"bos": "prefix"})
    write(items, ITEMS, folder / "items" / "bench.parquet")
    per_shard = max(1, SHARD_TOKENS // TEXT_TOKENS)
    for number in range(n_models):
        model = folder / "models" / f"m{number}"
        model.mkdir(parents=True, exist_ok=True)
        tokenizer.save(str(model / "tokenizer.json"))
        tokens = folder / "tokens" / f"m{number}" / "bench"
        tokens.mkdir(parents=True, exist_ok=True)
        for shard, first in enumerate(range(0, n_texts, per_shard)):
            names = items["item"].slice(first, min(per_shard, n_texts - first))
            # all models have the same tokens, but different statistics
            ids, numbers = np.random.default_rng(shard), np.random.default_rng([shard, number])
            table = _tokens(names, text, tokenizer.get_vocab_size(), ids, numbers)
            write_tokens(table, tokens / f"part-{shard:05d}.parquet", "bench")


def _random_text() -> _Text:
    """A text of TEXT_TOKENS words of random lengths."""
    lengths = np.random.default_rng(0).integers(1, 9, TEXT_TOKENS)
    ends = np.cumsum(lengths + 1) - 1
    starts = np.concatenate([[0], ends[:-1]])
    return _Text(" ".join("x" * length for length in lengths), starts, ends)


def _tokens(
    names: pa.ChunkedArray,
    text: _Text,
    vocab_size: int,
    ids: np.random.Generator,
    numbers: np.random.Generator,
) -> pa.Table:
    """Random TOKENS of the items `names`.

    `ids` draws the tokens, and `numbers` draws their statistics.
    """
    n_texts, n = len(names), len(names) * TEXT_TOKENS
    next_id = np.minimum(ids.zipf(1.2, n), vocab_size) - 1
    logprob = -numbers.exponential(3, n).astype(np.float32)
    top = np.maximum(logprob, -numbers.exponential(1, n).astype(np.float32))
    columns = {
        "item": pa.DictionaryArray.from_arrays(
            np.repeat(np.arange(n_texts, dtype=np.int32), TEXT_TOKENS), names.combine_chunks()
        ),
        "draw": np.zeros(n, np.int16),
        "option": np.zeros(n, np.int16),
        "variant": pa.DictionaryArray.from_arrays(np.zeros(n, np.int32), pa.array([""])),
        "position": np.tile(np.arange(TEXT_TOKENS, dtype=np.int32), n_texts),
        "current_id": np.roll(next_id, 1).astype(np.int32),
        "next_id": next_id.astype(np.int32),
        "start": np.tile(text.starts.astype(np.int32), n_texts),
        "end": np.tile(text.ends.astype(np.int32), n_texts),
        "is_target": np.ones(n, bool),
        "logprob": logprob,
        "entropy": numbers.gamma(4, 1, n).astype(np.float32),
        "rank": np.minimum(numbers.zipf(1.5, n), vocab_size).astype(np.int32),
        "top_id": np.where(top == logprob, next_id, 0).astype(np.int32),
        "top_logprob": top,
    }
    return pa.table([pa.array(columns[field.name]) for field in TOKENS], TOKENS)


def _run(folder: Path, n_models: int) -> None:
    """Analyse the tables in `folder`, and print the peak memory of this process in GiB."""
    from lmcore.analysis.analyse import Paths, Settings, analyse_tokens

    paths = Paths(
        items=folder / "items",
        tokens=folder / "tokens",
        model_folder=folder / "models",
        out=folder / "analysis",
        summaries=folder / "summaries",
        comparison=folder / "comparison.json",
        plots=folder / "plots",
    )
    models = [f"m{number}" for number in range(n_models)]
    analyse_tokens(models, {"bench": {}}, paths, Settings(**SETTINGS))
    print(peak_kib() / 2**20)


def peak_kib() -> int:
    """The peak memory of this process.

    ru_maxrss would count what the parent held before this program took its place.
    """
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])


if __name__ == "__main__":
    _run(Path(sys.argv[1]), int(sys.argv[2]))
