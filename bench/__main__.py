"""`make bench`: how fast the engine is beside what its users would use instead, on this machine.

It writes docs/benchmarks.{md,json,svg}. `--quick` takes a few minutes. Parts that `--only` leaves
out keep their earlier figures. The load of the machine before and after the run is recorded:
figures from a busy machine are worth little.
"""

import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Annotated, NamedTuple

import pyarrow.parquet as pq
import typer

import bench.training
from bench import ceiling, suites
from bench.accuracy import errors
from bench.analysis import bench_analysis
from bench.diff import bench_diff
from bench.measure import Process, Result, Task, say, side_by_side
from bench.report import write_report
from lmcore.errors import InputError
from lmcore.models.folder import holds_masked
from lmcore.params import yaml_text
from lmcore.scoring.engine import Engine

PARTS = "compare,accuracy,growth,analysis,diff"
METHODS = ["notebook", "minicons", "minicons_rank", "lm_eval", "ours"]
OF_MASKED = [method for method in METHODS if method != "lm_eval"]  # lm-eval scores no masked LMs
SIZES = {"blimp": 2_000, "swag": 500, "text": 100_000}  # pairs, items, tokens
QUICK = {"blimp": 60, "swag": 15, "text": 6_000}
GROWTH = [1_000, 10_000, 100_000, 1_000_000]
ANALYSED = (4_000_000, 5)  # token rows of a model, models
COMPARED = (67_000, 5, 5)  # items, models, suites
LENGTHS = [8, 16, 32, 64, 128, 256]


class Run(NamedTuple):
    """What the parts of a run share."""

    quick: bool
    sizes: dict[str, int]  # of each suite
    rounds: int
    cores: int
    sections: dict  # all of params.yaml
    params: dict  # token_budget and shard_chars of ours
    models: dict[str, Path]  # the folder of each model
    tokenizer: Path
    corpus: Path
    items: Path
    folder: Path  # for what is written while it runs
    out: Path  # for the report


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
    sections = yaml_text.load_mapping(Path("params.yaml").read_text("utf-8"), "params.yaml")
    section = sections["extract_tokens"]
    cores = cores or len(os.sched_getaffinity(0))
    figures = _earlier_figures(out) if only != PARTS else {}
    figures |= {"load_before": os.getloadavg()[0], "cores": cores}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        run = Run(
            quick=quick,
            sizes=QUICK if quick else {name: max(1, int(n * share)) for name, n in SIZES.items()},
            rounds=1 if quick else rounds,
            cores=cores,
            sections=sections,
            params={name: section[name] for name in ("token_budget", "shard_chars")},
            models={"smollm2": smollm2, **suites.make_shapes(tokenizer, judge, folder)},
            tokenizer=tokenizer,
            corpus=corpus,
            items=items,
            folder=folder,
            out=out,
        )
        _measure_parts(run, only, chosen.split(","), figures)
    _write(figures, out)


def _earlier_figures(out: Path) -> dict[str, float]:
    """The figures of the run before, where there was one."""
    path = out / "benchmarks.json"
    return json.loads(path.read_text("utf-8")) if path.exists() else {}


def _write(figures: dict[str, float], out: Path) -> None:
    """Write the report with the load of the machine now."""
    write_report({**figures, "load_after": os.getloadavg()[0]}, ceiling.machine(), out)


def _measure_parts(run: Run, only: str, models: list[str], figures: dict[str, float]) -> None:
    """Add the figures of those parts that `only` names; `models` are those that are compared."""
    if "compare" in only:
        for model in models:
            for suite in run.sizes:
                figures |= _compare_on(run, model, suite)
                _write(figures, run.out)  # so that a kill does not lose the figures
    if "accuracy" in only:
        figures |= _accuracy(run)
    if "growth" in only:
        figures |= growth(run)
    if "analysis" in only:
        n_rows, n_models = (20_000, 2) if run.quick else ANALYSED
        costs = bench_analysis(n_rows, n_models, run.tokenizer, run.folder / "analysis")
        figures |= {f"analysis.{name}": value for name, value in costs.items()}
    if "diff" in only:
        size = (670, 2, 2) if run.quick else COMPARED
        costs = bench_diff(*size, run.sections["compare_models"], run.folder / "diff")
        figures |= {f"diff.{name}": value for name, value in costs.items()}


def _compare_on(run: Run, model: str, suite: str) -> dict[str, float]:
    """The figures of all methods with a model on a suite."""
    size = run.sizes[suite]
    if model in suites.MASKED:
        size = max(1, size // suites.MASKED_SHARE)
    path, window = run.models[model], suites.WINDOWS[model]
    table = suites.suite(suite, path, window, size, run.corpus, run.items)
    task = Task(
        model=path,
        window=window,
        items=table,
        warm=1 if suites.is_running_text(table) else min(len(table), 64),
        params=run.params,
        rounds=run.rounds,
        cores=run.cores,
        folder=run.folder,
    )
    return compare(f"{model}.{suite}", task)


def _accuracy(run: Run) -> dict[str, float]:
    """How far the forwards are from float64, and the rate of the matrix products alone."""
    model = run.models["smollm2"]
    n_pairs, window = 10 if run.quick else 50, suites.WINDOWS["smollm2"]
    sentences = suites.suite("blimp", model, window, n_pairs, run.corpus, run.items)
    kernels = list(dict.fromkeys([ceiling.kernels.choose(), "onednn", "torch"]))
    distances = errors(model, sentences, kernels, run.params["token_budget"])
    figures = {f"accuracy.{name}": value for name, value in distances.items()}
    for kernel in ("onednn", "torch"):
        figures[f"gemm.{kernel}"] = ceiling.gemm_rate(model, kernel)
    return figures


def compare(name: str, task: Task) -> dict[str, float]:
    """The figures of all methods on one suite.

    Those of ours on one core, beside the rate of matrix products, follow.
    """
    table = task.items
    measured = table.slice(task.warm) if suites.is_running_text(table) else table
    contexts, targets = measured["context"].to_pylist(), measured["target"].to_pylist()
    n_chars = sum(len(context) + len(target) for context, target in zip(contexts, targets))
    # small samples keep all processes busy, too
    shard_chars = min(task.params["shard_chars"], -(-n_chars // (2 * task.cores)))
    task = task._replace(params={**task.params, "shard_chars": shard_chars})
    n_rows, n_tokens = ceiling.unique_rows(task.model, measured, **task.params)
    say(f"{name}: {n_tokens} tokens, {n_rows} unique rows")
    methods = OF_MASKED if holds_masked(task.model) else METHODS
    results = side_by_side(
        methods, task, lambda part: ceiling.unique_rows(task.model, part, **task.params)[1]
    )
    pq.write_table(table, task.folder / "items.parquet")
    figures: dict[str, float] = {
        f"{name}.tokens": n_tokens,
        f"{name}.unique_rows": n_rows,
        f"{name}.rounds": task.rounds,
    }
    for method, result in results.items():
        figures |= _of_method(f"{name}.{method}", result, results["ours"])
    forward = Engine(task.model, {}, "float32", 1).load().name
    figures[f"{name}.is_packed"] = float(forward.startswith("packed"))
    return figures | one_core(name, task, ceiling.flops(task.model, n_rows, n_tokens))


def _of_method(name: str, result: Result, ours: Result) -> dict[str, float]:
    """The figures of one method, and how many times as fast ours is."""
    figures = {}
    for key, value in result._asdict().items():
        if key != "rates":
            figures[f"{name}.{key}"] = value
    ratios = [our_rate / rate for rate, our_rate in zip(result.rates, ours.rates)]
    figures[f"{name}.ratio"] = statistics.median(ratios)
    figures[f"{name}.cpu_ratio"] = ours.tokens_per_cpu_s / result.tokens_per_cpu_s
    return figures


def one_core(name: str, task: Task, flops: int) -> dict[str, float]:
    """GFLOP/s of one process by CPU time, beside oneDNN's own rate.

    The process runs through the kernel of the machine and through oneDNN. Each of its rounds takes
    turns with the measurement of oneDNN's own rate. `flops` are the operations of all rows.
    """
    figures: dict[str, float] = {}
    stop = len(task.items)
    start = task.warm if stop == task.warm + 1 else 0
    for kernel in dict.fromkeys([ceiling.kernels.choose(), "onednn"]):
        process = Process(
            f"ours_{kernel}", task.model, task.window, task.folder / "items.parquet", task.params, 1
        )
        process.order((0, min(task.warm, 8)))
        shares, rates, peaks = [], [], []
        for _ in range(task.rounds):
            peaks.append(ceiling.gemm_rate(task.model, "onednn"))
            answer = process.order((start, stop - start))
            rates.append(flops / answer["cpu_s"] / 1e9)
            shares.append(rates[-1] / peaks[-1])
        process.close()
        prefix = f"{name}.one_core.{kernel}"
        figures |= {
            f"{prefix}.gflops": statistics.median(rates),
            f"{prefix}.onednn_gemm_gflops": statistics.median(peaks),
            f"{prefix}.share_of_onednn_gemm": statistics.median(shares),
            f"{prefix}.peak_mb": process.peak_mb,
        }
        say(
            f"  one core, {kernel}: {rates[-1]:.0f} GFLOP/s, "
            f"{shares[-1]:.0%} of oneDNN's {peaks[-1]:.0f}"
        )
    return figures


def growth(run: Run) -> dict[str, float]:
    """Seconds and memory of ours by the number of tokens, and by the length of the texts.

    The texts are of 32 words where the number of tokens grows.
    """
    most = max(run.sizes["text"], 1_000) * 10
    figures: dict[str, float] = {}
    for n_tokens in GROWTH:
        if n_tokens <= most:
            figures |= _grown(run, f"growth.tokens.{n_tokens}", n_tokens, 32)
    for length in LENGTHS:
        figures |= _grown(run, f"growth.length.{length}", 20_000, length - 1)
    return figures


def _grown(run: Run, name: str, n_tokens: int, n_words: int) -> dict[str, float]:
    """The figures of ours on about `n_tokens` tokens in texts of `n_words` words."""
    model = run.models["babyllama58m"]
    table = suites.grown(model, n_tokens, n_words)
    path = run.folder / "items.parquet"
    pq.write_table(table, path)
    _, tokens = ceiling.unique_rows(model, table, **run.params)
    process = Process("ours", model, suites.WINDOWS["babyllama58m"], path, run.params, run.cores)
    answer = process.order((0, len(table)))
    process.close()
    rate = tokens / answer["wall_s"]
    say(f"{name}: {rate:.0f} tokens/s, {process.peak_mb:.0f} MB")
    return {
        f"{name}.tokens": tokens,
        f"{name}.wall_s": answer["wall_s"],
        f"{name}.cpu_s": answer["cpu_s"],
        f"{name}.tokens_per_s": rate,
        f"{name}.peak_mb": process.peak_mb,
    }


if __name__ == "__main__":
    try:
        typer.run(main)
    except InputError as error:
        sys.exit(f"error: {error}")
