"""How fast the analysis is.

Token tables of random numbers are written and analysed. Seconds and peak memory come out.
"""

import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench.random_tables import Shape, Texts
from lmcore.scoring.writer import write_tokens
from lmcore.tables import ITEMS, items_table, write
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


def write_tables(n_rows: int, n_models: int, tokenizer_path: Path, folder: Path) -> None:
    """Write items of TEXT_TOKENS words, and every model's tokens of them.

    The tokens are in shards of SHARD_TOKENS.
    """
    tokenizer = load_fast(tokenizer_path)
    texts = Texts(Shape(1, TEXT_TOKENS))
    row = {"option": 0, "variant": "", "group": "g", "context": "", "gold": True}
    n_texts = max(1, n_rows // TEXT_TOKENS)
    rows = []
    for number in range(n_texts):
        rows.append({**row, "target": texts.text, "item": f"bench/{number:07d}"})
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
            table = texts.tokens(
                names.combine_chunks(), (shard, number), tokenizer.get_vocab_size()
            )
            write_tokens(table, tokens / f"part-{shard:05d}.parquet", "bench")


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
