"""`make bench`: how fast the engine is beside what its users would use instead, on this machine; writes docs/benchmarks.{md,json,svg}.

`--quick` takes a few minutes and says so in the page. Parts that `--only` leaves out keep their earlier figures. The load of the machine
while it ran is recorded: figures from a busy one are worth little.
"""

import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import pyarrow as pa
import pyarrow.parquet as pq
import typer

import bench.training
from bench import ceiling, suites
from bench.accuracy import errors
from bench.analysis import bench_analysis
from bench.diff import bench_diff
from bench.measure import Process, say, side_by_side
from bench.report import write_report
from lmcore.errors import InputError
from lmcore.models.folder import holds_masked
from lmcore.params import yaml_text
from lmcore.scoring.engine import Engine

PARTS = "compare,accuracy,growth,analysis,diff"
METHODS = ["notebook", "minicons", "minicons_rank", "lm_eval", "ours"]
OF_MASKED = [method for method in METHODS if method != "lm_eval"]  # which scores no masked LMs
SIZES = {"blimp": 2_000, "swag": 500, "text": 100_000}  # pairs, items, tokens
QUICK = {"blimp": 60, "swag": 15, "text": 6_000}
GROWTH = [1_000, 10_000, 100_000, 1_000_000]
ANALYSED = (4_000_000, 5)  # token rows a model, models
COMPARED = (67_000, 5, 5)  # items, models, suites
LENGTHS = [8, 16, 32, 64, 128, 256]


def main(
    quick: Annotated[bool, typer.Option(help="small samples, one round")] = False,
    share: Annotated[
        float, typer.Option(help="of the full samples, when a full run is too long")
    ] = 1.0,
    rounds: int = 3,
    cores: Annotated[
        int, typer.Option(help="threads of the peers, processes of ours; 0 for all")
    ] = 0,
    only: Annotated[str, typer.Option(help="of the parts, by default all")] = PARTS,
    training: Annotated[
        bool, typer.Option("--training", help="training instead of scoring")
    ] = False,
    chosen: Annotated[
        str, typer.Option("--models")
    ] = "smollm2,babyllama58m,gpt2_124m,pythia_160m,qwen3_like,bloom_like,bert_base",
    smollm2: Path = Path("data/models/smollm2"),
    tokenizer: Path = Path("data/tokenizer"),
    judge: Annotated[Path, typer.Option(help="a masked LM's folder, for its tokenizer")] = Path(
        "data/judges/masked_lm"
    ),
    corpus: Path = Path("data/corpus"),
    items: Path = Path("data/items"),
    out: Path = Path("docs"),
) -> None:
    os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    if training:
        bench.training.main(quick, out)
        return
    sections = yaml_text.load(Path("params.yaml").read_text("utf-8"), "params.yaml")
    section = sections["extract_tokens"]
    params = {name: section[name] for name in ("token_budget", "shard_chars")}
    sizes = QUICK if quick else {name: max(1, int(size * share)) for name, size in SIZES.items()}
    rounds = 1 if quick else rounds
    cores = cores or len(os.sched_getaffinity(0))
    earlier = out / "benchmarks.json"
    figures: dict[str, float] = (
        json.loads(earlier.read_text("utf-8")) if earlier.exists() and only != PARTS else {}
    )
    figures |= {"load_before": os.getloadavg()[0], "cores": cores}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        models = {"smollm2": smollm2, **suites.make_shapes(tokenizer, judge, folder)}
        for model in chosen.split(",") if "compare" in only else ():
            for suite, size in sizes.items():
                window = suites.WINDOWS[model]
                size = max(1, size // suites.MASKED_SHARE) if model in suites.MASKED else size
                table = suites.suite(suite, models[model], window, size, corpus, items)
                figures |= compare(
                    f"{model}.{suite}", models[model], window, table, params, rounds, cores, folder
                )
                write_report(
                    {**figures, "load_after": os.getloadavg()[0]}, ceiling.machine(), out
                )  # lest a kill loses it
        if "accuracy" in only:
            sentences = suites.suite(
                "blimp", smollm2, suites.WINDOWS["smollm2"], 10 if quick else 50, corpus, items
            )
            found = errors(
                smollm2,
                sentences,
                list(dict.fromkeys([ceiling.kernels.choose(), "onednn", "torch"])),
                params["token_budget"],
            )
            figures |= {f"accuracy.{name}": value for name, value in found.items()}
            figures |= {
                f"gemm.{kernel}": ceiling.gemm_rate(smollm2, kernel)
                for kernel in ("onednn", "torch")
            }
        if "growth" in only:
            figures |= growth(
                models["babyllama58m"],
                params,
                [n for n in GROWTH if n <= max(sizes["text"], 1_000) * 10],
                cores,
                folder,
            )
        if "analysis" in only:
            n_rows, n_models = (20_000, 2) if quick else ANALYSED
            figures |= {
                f"analysis.{name}": value
                for name, value in bench_analysis(
                    n_rows, n_models, tokenizer, folder / "analysis"
                ).items()
            }
        if "diff" in only:
            size = (670, 2, 2) if quick else COMPARED
            found = bench_diff(*size, sections["compare_models"], folder / "diff")
            figures |= {f"diff.{name}": value for name, value in found.items()}
    figures["load_after"] = os.getloadavg()[0]
    write_report(figures, ceiling.machine(), out)


def compare(
    name: str,
    model: Path,
    window: int,
    table: pa.Table,
    params: dict,
    rounds: int,
    cores: int,
    folder: Path,
) -> dict[str, float]:
    """The figures of all methods on one suite, and of ours on one core beside the rate of matrix products."""
    warm = 1 if suites.is_running_text(table) else min(len(table), 64)
    measured = table.slice(warm) if suites.is_running_text(table) else table
    chars = sum(
        len(context) + len(target)
        for context, target in zip(*(measured[key].to_pylist() for key in ("context", "target")))
    )
    params = {
        **params,
        "shard_chars": min(params["shard_chars"], -(-chars // (2 * cores))),
    }  # small samples keep all processes busy too
    rows, tokens = ceiling.unique_rows(model, measured, **params)
    say(f"{name}: {tokens} tokens, {rows} unique rows")

    def count_tokens(part: pa.Table) -> int:
        return ceiling.unique_rows(model, part, **params)[1]

    methods = OF_MASKED if holds_masked(model) else METHODS
    results = side_by_side(
        methods, model, window, table, warm, count_tokens, params, rounds, cores, folder
    )
    pq.write_table(table, folder / "items.parquet")
    figures: dict[str, float] = {
        f"{name}.tokens": tokens,
        f"{name}.unique_rows": rows,
        f"{name}.rounds": rounds,
    }
    for method, result in results.items():
        figures |= {
            f"{name}.{method}.{key}": value
            for key, value in result._asdict().items()
            if key != "rates"
        }
        ratios = [own / peer for peer, own in zip(result.rates, results["ours"].rates)]
        figures[f"{name}.{method}.ratio"] = statistics.median(ratios)
        figures[f"{name}.{method}.cpu_ratio"] = (
            results["ours"].tokens_per_cpu_s / result.tokens_per_cpu_s
        )
    figures[f"{name}.is_packed"] = float(
        Engine(model, {}, "float32", 1).load().name.startswith("packed")
    )
    return figures | one_core(
        name,
        model,
        window,
        folder,
        params,
        warm,
        len(table),
        ceiling.flops(model, rows, tokens),
        rounds,
    )


def one_core(
    name: str,
    model: Path,
    window: int,
    folder: Path,
    params: dict,
    warm: int,
    stop: int,
    flops: int,
    rounds: int,
) -> dict:
    """GFLOP/s of one process by CPU time, through the kernel of the machine and through oneDNN, in turn with oneDNN's own rate."""
    figures: dict[str, float] = {}
    start = warm if stop == warm + 1 else 0
    kernels = (
        ["onednn"] if ceiling.kernels.choose() == "onednn" else [ceiling.kernels.choose(), "onednn"]
    )
    for kernel in kernels:
        process = Process(f"ours_{kernel}", model, window, folder / "items.parquet", params, 1)
        process.order((0, min(warm, 8)))
        shares, rates, peaks = [], [], []
        for _ in range(rounds):
            peaks.append(ceiling.gemm_rate(model, "onednn"))
            answer = process.order((start, stop - start))
            rates.append(flops / answer["cpu_s"] / 1e9)
            shares.append(rates[-1] / peaks[-1])
        process.close()
        figures |= {
            f"{name}.one_core.{kernel}.gflops": statistics.median(rates),
            f"{name}.one_core.{kernel}.onednn_gemm_gflops": statistics.median(peaks),
            f"{name}.one_core.{kernel}.share_of_onednn_gemm": statistics.median(shares),
            f"{name}.one_core.{kernel}.peak_mb": process.peak_mb,
        }
        say(
            f"  one core, {kernel}: {rates[-1]:.0f} GFLOP/s, {shares[-1]:.0%} of oneDNN's {peaks[-1]:.0f}"
        )
    return figures


def growth(
    model: Path, params: dict, sizes: list[int], cores: int, folder: Path
) -> dict[str, float]:
    """Seconds and memory of ours by the number of tokens (texts of 32 words), and tokens per second by the length of the texts."""
    figures: dict[str, float] = {}
    for kind, settings in (
        ("tokens", [(n, 32) for n in sizes]),
        ("length", [(20_000, length - 1) for length in LENGTHS]),
    ):
        for n_tokens, length in settings:
            table = suites.grown(model, n_tokens, length)
            pq.write_table(table, folder / "items.parquet")
            _, tokens = ceiling.unique_rows(model, table, **params)
            process = Process("ours", model, 256, folder / "items.parquet", params, cores)
            answer = process.order((0, len(table)))
            process.close()
            name = f"growth.{kind}.{n_tokens if kind == 'tokens' else length + 1}"
            figures |= {
                f"{name}.tokens": tokens,
                f"{name}.wall_s": answer["wall_s"],
                f"{name}.cpu_s": answer["cpu_s"],
            }
            figures |= {
                f"{name}.tokens_per_s": tokens / answer["wall_s"],
                f"{name}.peak_mb": process.peak_mb,
            }
            say(f"{name}: {tokens / answer['wall_s']:.0f} tokens/s, {process.peak_mb:.0f} MB")
    return figures


if __name__ == "__main__":
    try:
        typer.run(main)
    except InputError as error:
        sys.exit(f"error: {error}")
