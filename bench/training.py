"""`python -m bench --training`: how fast the recipe trains beside transformers' Trainer.

It measures on this machine, and writes docs/benchmarks_training.{md,json}.

Each method trains the same shape on the same random ids in a process of its own, with one torch
thread, and says how long each step took by the clock and in seconds of CPU. Medians over steps
count. The first two steps, which compile and fill caches, are reported apart. The Trainer runs with
what we have: bf16, torch_compile, both, and both with as many chunks at a time as ours (gradient
accumulation). Ours is set against the fastest of them.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bench.ceiling import machine
from bench.measure import say
from lmcore.files import whole, write_json

METHODS = {
    "trainer": "Trainer, its defaults (fp32)",
    "trainer_bf16": "Trainer, bf16",
    "trainer_compiled": "Trainer, torch_compile (fp32)",
    "trainer_bf16_compiled": "Trainer, bf16, torch_compile",
    "trainer_bf16_compiled_micro": "Trainer, bf16, torch_compile, as many chunks at a time as ours",
    "fp32": "lmcore, fp32",
    "bf16": "lmcore, bf16",
    "compiled": "lmcore, bf16, compile",
}
# The vocabulary, the chunks of a step, and how many of them ours passes at a time
SHAPES = {
    "tiny": (8192, 16, 8),
    "babyllama_58m": (16_000, 16, 8),
}
SEQ_LEN, WARM = 256, 2
PEERS = [method for method in METHODS if method.startswith("trainer")]


def main(quick: bool, out: Path) -> None:
    """Measure everything and write `out`/benchmarks_training.{md,json}."""
    figures: dict[str, float] = {"load_before": os.getloadavg()[0]}
    for shape in SHAPES:
        for method, title in METHODS.items():
            answer = _measure(method, shape, _n_steps(method, shape, quick) + WARM)
            figures |= {f"{shape}.{method}.{name}": value for name, value in answer.items()}
            say(
                f"{shape}, {title}: {answer['tokens_per_cpu_s']:,.0f} tokens/CPU-s, "
                f"{answer['peak_mb']:,.0f} MB"
            )
    figures["load_after"] = os.getloadavg()[0]
    out.mkdir(parents=True, exist_ok=True)
    rounded = {name: float(f"{value:.4g}") for name, value in figures.items()}
    write_json(rounded, out / "benchmarks_training.json")
    with whole(out / "benchmarks_training.md") as path:
        path.write_text(_page(figures), "utf-8")


def _n_steps(method: str, shape: str, quick: bool) -> int:
    """How many steps count; fewer where a step takes long."""
    if quick:
        return 2
    if shape == "tiny":
        return 6
    return 2 if method in ("trainer", "trainer_compiled") else 3


def _measure(method: str, shape: str, n_steps: int) -> dict[str, float]:
    """What `run` returns in a process of its own."""
    job = json.dumps({"method": method, "shape": shape, "steps": n_steps})
    command = [sys.executable, "-m", "bench.training", job]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def _page(figures: dict[str, float]) -> str:
    """The page in Markdown."""
    lines = [
        "# Benchmarks of training",
        "",
        "Written by `python -m bench --training`; the figures stand in `benchmarks_training.json`.",
        "",
        *(f"- {name}: {value}" for name, value in machine().items()),
        f"- load before and after: {figures['load_before']:.1f} and {figures['load_after']:.1f} "
        f"on {os.cpu_count()} cores; a busy machine"
        " slows down CPU time too, for caches and memory are shared, but the clock more",
    ]
    for shape in SHAPES:
        lines += _shape_lines(figures, shape)
    return "\n".join(lines) + "\n"


def _shape_lines(figures: dict[str, float], shape: str) -> list[str]:
    """The section of one shape: a table of the methods, and the rate of the arithmetic."""
    vocab_size, batch_size, micro = SHAPES[shape]
    lines = [
        "",
        f"## {shape}, vocabulary {vocab_size:,}, {batch_size} chunks of {SEQ_LEN} a step, "
        "one thread",
        "",
        "| | tokens/CPU-s | against its best | tokens/s | against its best | peak MB "
        "| of its best's | first steps, s |",
        "|---|" + "---:|" * 7,
    ]
    best = max(PEERS, key=lambda method: figures[f"{shape}.{method}.tokens_per_s"])
    for method, title in METHODS.items():
        cells = _cells(figures, f"{shape}.{method}", f"{shape}.{best}")
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    lines += ["", f"`Its best` is the fastest of the Trainer's by the clock: {METHODS[best]}."]
    ours = f"{shape}.compiled"
    step, forward = figures[f"{ours}.gemm_gflops"], figures[f"{ours}.forward_gemm_gflops"]
    rate = figures[f"{ours}.gflops"]
    lines += [
        "",
        "Arithmetic of the linear layers and the head, forward and backward: "
        f"{rate:.0f} GFLOP/s of one core's CPU time. That is "
        f"{rate / step:.0%} of what torch reaches on these layers' own products in bf16 "
        f"(forward, and both of the backward pass: {step:.0f}), "
        f"and {rate / forward:.0%} of its forward products alone ({forward:.0f}).",
    ]
    if micro:
        lines.append(
            f"Ours passes {micro} chunks at a time and sums their gradients: "
            "the same step in less memory."
        )
    return lines


def _cells(figures: dict[str, float], method: str, best: str) -> list[str]:
    """The cells of a method, beside the best of the Trainer's.

    Both are names with which figures begin.
    """

    def pair(name: str) -> tuple[float, float]:
        value = figures[f"{method}.{name}"]
        return value, value / figures[f"{best}.{name}"]

    cpu, cpu_ratio = pair("tokens_per_cpu_s")
    clock, clock_ratio = pair("tokens_per_s")
    peak, peak_ratio = pair("peak_mb")
    return [
        f"{cpu:,.0f}",
        f"{cpu_ratio:.2f}x",
        f"{clock:,.0f}",
        f"{clock_ratio:.2f}x",
        f"{peak:,.0f}",
        f"{peak_ratio:.0%}",
        f"{figures[f'{method}.first_s']:.0f}",
    ]


class _Training(NamedTuple):
    """What a method trains."""

    model: Any  # a LlamaForCausalLM
    ids: np.ndarray  # (steps * batch_size, SEQ_LEN) int32
    batch_size: int
    micro: int  # the chunks that ours passes at a time
    steps: int
    mark: Callable[[], None]  # called after each step


def run(method: str, shape: str, steps: int) -> dict[str, float]:
    """Train for so many steps, and return the medians of what they took."""
    import resource

    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from lmcore.models.shapes import SHAPES as PRESETS

    torch.set_num_threads(1)
    torch.manual_seed(0)
    vocab_size, batch_size, micro = SHAPES[shape]
    preset = PRESETS[shape]
    values = {name: value for name, value in preset.items() if name != "rope_theta"}
    model = LlamaForCausalLM(LlamaConfig(**values, vocab_size=vocab_size, use_cache=False))
    random = np.random.default_rng(0)
    ids = random.integers(vocab_size, size=(steps * batch_size, SEQ_LEN)).astype(np.int32)
    rates = [products(preset, vocab_size)] if method == "compiled" else []
    marks = [(time.process_time(), time.perf_counter())]

    def mark() -> None:
        marks.append((time.process_time(), time.perf_counter()))

    train = _trainer if method.startswith("trainer") else _ours
    train(method, _Training(model, ids, batch_size, micro, steps, mark))
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    times = np.diff(marks, axis=0)[WARM:]  # (steps, 2): CPU, clock
    cpu, wall = statistics.median(times[:, 0]), statistics.median(times[:, 1])
    n_tokens = batch_size * SEQ_LEN
    answer = {
        "tokens_per_cpu_s": n_tokens / cpu,
        "tokens_per_s": n_tokens / wall,
        "peak_mb": peak_mb,
        "first_s": marks[WARM][1] - marks[0][1],
    }
    if rates:
        rates.append(products(preset, vocab_size))
        step, forward = (statistics.mean(values) for values in zip(*rates))
        answer |= {
            "gemm_gflops": step,
            "forward_gemm_gflops": forward,
            "gflops": 6 * weights(preset, vocab_size) * n_tokens / cpu / 1e9,
        }
    return answer


def layers(shape: dict, vocab_size: int) -> list[tuple[int, int, int]]:
    """(outputs, inputs, how many) of the matrix products of a Llama."""
    hidden, ffn, n = shape["hidden_size"], shape["intermediate_size"], shape["num_hidden_layers"]
    return [
        (3 * hidden, hidden, n),
        (hidden, hidden, n),
        (2 * ffn, hidden, n),
        (hidden, ffn, n),
        (vocab_size, hidden, 1),
    ]


def weights(shape: dict, vocab_size: int) -> int:
    """The number of weights in these products."""
    return sum(n_out * n_in * n for n_out, n_in, n in layers(shape, vocab_size))


def products(shape: dict, vocab_size: int, rows: int = 1024) -> tuple[float, float]:
    """GFLOP/s of one core in bf16, by CPU time, of the products of a model's layers.

    The first rate is that of all products of a training step, the second that of the forward ones
    alone.
    """
    import torch

    spent, forward = 0.0, 0.0
    for n_out, n_in, n in layers(shape, vocab_size):
        x = torch.randn((rows, n_in)).bfloat16()
        weight = torch.randn((n_out, n_in)).bfloat16()
        gradient = torch.randn((rows, n_out)).bfloat16()
        times = [
            _seconds(x, weight.t()),  # forward
            _seconds(gradient, weight),  # backward, of the input
            _seconds(gradient.t(), x),  # backward, of the weights
        ]
        spent, forward = spent + n * sum(times), forward + n * times[0]
    flops = 2 * rows * weights(shape, vocab_size) / 1e9
    return 3 * flops / spent, flops / forward


def _seconds(a: Any, b: Any) -> float:
    """The CPU time of a @ b, after one product to warm up."""
    a @ b
    started = time.process_time()
    for _ in range(5):
        a @ b
    return (time.process_time() - started) / 5


def _trainer(method, model, ids, batch_size, micro, steps, mark) -> None:
    import torch
    from transformers import Trainer, TrainerCallback, TrainingArguments

    class Rows(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(ids)

        def __getitem__(self, row: int) -> dict:
            return {
                "input_ids": torch.from_numpy(ids[row].astype(np.int64)),
                "labels": torch.from_numpy(ids[row].astype(np.int64)),
            }

    class Marks(TrainerCallback):
        def on_step_end(self, *arguments, **values) -> None:
            mark()

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=micro if method.endswith("micro") else batch_size,
            gradient_accumulation_steps=batch_size // micro if method.endswith("micro") else 1,
            max_steps=steps,
            bf16="bf16" in method,
            torch_compile="compiled" in method,
            report_to=[],
            use_cpu=True,
            save_strategy="no",
            disable_tqdm=True,
            logging_strategy="no",
        )
        Trainer(model, arguments, train_dataset=Rows(), callbacks=[Marks()]).train()


def _ours(method, model, ids, batch_size, micro, steps, mark) -> None:
    from lmcore.training import loop

    batches = loop.batches

    def marked(*arguments):
        for number, batch in enumerate(batches(*arguments)):
            if number:
                mark()
            yield batch
        mark()

    loop.batches = marked
    settings = loop.Settings(
        epochs=None,
        steps=steps,
        batch_size=batch_size,
        micro_batch_size=micro,
        random_offset=False,
        seq_len_warmup=None,
        optimizer="adamw",
        muon={"lr": 5e-5, "momentum": 0.95, "weight_decay": 0.0},  # not used
        schedule="cosine",
        lr=5e-5,
        warmup_steps=1,
        weight_decay=0.0,
        betas=[0.9, 0.999],
        clip_norm=1.0,
        eval_every=steps + 1,
        dev_limit=None,
        keep="last",
        precision="fp32" if method == "fp32" else "bf16",
        compile=method == "compiled",
        sharded=False,
        threads=1,
        seed=0,
    )
    splits = loop.Splits(training=loop.Examples(ids), dev=loop.Examples(ids[:1]))
    with tempfile.TemporaryDirectory() as folder:
        loop.train(model, splits, Path(folder), settings)


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    print(json.dumps(run(**json.loads(sys.argv[1]))))
