"""`python -m bench --training`: how fast the recipe trains beside transformers' Trainer, on this machine; writes docs/benchmarks_training.

Each method trains the same shape on the same random ids in a process of its own, with one torch thread, and says how long each step took by
the clock and in seconds of CPU. Medians over steps count; the first two steps, which compile and fill caches, are reported apart. The
Trainer runs with what we have: bf16, torch_compile, both, and both with our chunks at a time (gradient accumulation); ours is set against
the fastest of them.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

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
SHAPES = {
    "tiny": (8192, 16, 8),
    "babyllama_58m": (16_000, 16, 8),
}  # vocabulary, chunks a step, of them at once in ours
SEQ_LEN, WARM = 256, 2
PEERS = [method for method in METHODS if method.startswith("trainer")]


def main(quick: bool, out: Path) -> None:
    """Measure everything and write `out`/benchmarks_training.{md,json}."""
    figures: dict[str, float] = {"load_before": os.getloadavg()[0]}
    for shape in SHAPES:
        for method in METHODS:
            n_steps = (
                2
                if quick or (shape != "tiny" and method in ("trainer", "trainer_compiled"))
                else 3
                if shape != "tiny"
                else 6
            )
            command = [
                sys.executable,
                "-m",
                "bench.training",
                json.dumps({"method": method, "shape": shape, "steps": n_steps + WARM}),
            ]
            answer = json.loads(
                subprocess.run(
                    command, stdout=subprocess.PIPE, text=True, check=True
                ).stdout.splitlines()[-1]
            )
            figures |= {f"{shape}.{method}.{name}": value for name, value in answer.items()}
            say(
                f"{shape}, {METHODS[method]}: {answer['tokens_per_cpu_s']:,.0f} tokens/CPU-s, {answer['peak_mb']:,.0f} MB"
            )
    figures["load_after"] = os.getloadavg()[0]
    out.mkdir(parents=True, exist_ok=True)
    write_json(
        {name: float(f"{value:.4g}") for name, value in figures.items()},
        out / "benchmarks_training.json",
    )
    with whole(out / "benchmarks_training.md") as path:
        path.write_text(_page(figures), "utf-8")


def _page(figures: dict[str, float]) -> str:
    lines = [
        "# Benchmarks of training",
        "",
        "Written by `python -m bench --training`; the figures stand in `benchmarks_training.json`.",
        "",
        *(f"- {name}: {value}" for name, value in machine().items()),
        f"- load before and after: {figures['load_before']:.1f} and {figures['load_after']:.1f} on {os.cpu_count()} cores; a busy machine"
        " slows down CPU time too, for caches and memory are shared, but the clock more",
    ]
    for shape, (vocab_size, batch_size, micro) in SHAPES.items():
        lines += [
            "",
            f"## {shape}, vocabulary {vocab_size:,}, {batch_size} chunks of {SEQ_LEN} a step, one thread",
            "",
        ]
        names = ("tokens_per_cpu_s", "tokens_per_s", "peak_mb")
        cpu, clock, peak = (
            {method: figures[f"{shape}.{method}.{name}"] for method in METHODS} for name in names
        )
        best = max(PEERS, key=lambda method: clock[method])
        lines += [
            "| | tokens/CPU-s | against its best | tokens/s | against its best | peak MB | of its best's | first steps, s |"
        ]
        lines += ["|---|" + "---:|" * 7]
        for method, title in METHODS.items():
            cells = [
                f"{cpu[method]:,.0f}",
                f"{cpu[method] / cpu[best]:.2f}x",
                f"{clock[method]:,.0f}",
            ]
            cells += [
                f"{clock[method] / clock[best]:.2f}x",
                f"{peak[method]:,.0f}",
                f"{peak[method] / peak[best]:.0%}",
            ]
            lines += [
                f"| {title} | "
                + " | ".join([*cells, f"{figures[f'{shape}.{method}.first_s']:.0f}"])
                + " |"
            ]
        lines += ["", f"`Its best` is the fastest of the Trainer's by the clock: {METHODS[best]}."]
        step, forward = (
            figures[f"{shape}.compiled.{name}"] for name in ("gemm_gflops", "forward_gemm_gflops")
        )
        rate = figures[f"{shape}.compiled.gflops"]
        lines += [
            "",
            f"Arithmetic of the linear layers and the head, forward and backward: {rate:.0f} GFLOP/s of one core's CPU time. That is "
            f"{rate / step:.0%} of what torch reaches on these layers' own products in bf16 (forward, and both of the backward pass: "
            f"{step:.0f}), and {rate / forward:.0%} of its forward products alone ({forward:.0f}).",
        ]
        if micro:
            lines += [
                f"Ours passes {micro} chunks at a time and sums their gradients: the same step in less memory."
            ]
    return "\n".join(lines) + "\n"


def run(method: str, shape: str, steps: int) -> dict[str, float]:
    """Train for so many steps; medians of what they took."""
    import resource

    import torch

    from lmcore.models.shapes import SHAPES as PRESETS

    torch.set_num_threads(1)
    torch.manual_seed(0)
    vocab_size, batch_size, micro = SHAPES[shape]
    from transformers import LlamaConfig, LlamaForCausalLM

    values = {name: value for name, value in PRESETS[shape].items() if name != "rope_theta"}
    model = LlamaForCausalLM(LlamaConfig(**values, vocab_size=vocab_size, use_cache=False))
    ids = (
        np.random.default_rng(0)
        .integers(vocab_size, size=(steps * batch_size, SEQ_LEN))
        .astype(np.int32)
    )
    gemm = [products(PRESETS[shape], vocab_size)] if method == "compiled" else []
    marks = [(time.process_time(), time.perf_counter())]
    train = _trainer if method.startswith("trainer") else _ours
    train(
        method,
        model,
        ids,
        batch_size,
        micro,
        steps,
        lambda: marks.append((time.process_time(), time.perf_counter())),
    )
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    cpu, wall = (statistics.median(np.diff([mark[i] for mark in marks])[WARM:]) for i in (0, 1))
    tokens = batch_size * SEQ_LEN
    answer = {
        "tokens_per_cpu_s": tokens / cpu,
        "tokens_per_s": tokens / wall,
        "peak_mb": peak_mb,
        "first_s": marks[WARM][1] - marks[0][1],
    }
    if gemm:
        gemm.append(products(PRESETS[shape], vocab_size))
        step, forward = (statistics.mean(rates) for rates in zip(*gemm))
        answer |= {
            "gemm_gflops": step,
            "forward_gemm_gflops": forward,
            "gflops": 6 * weights(PRESETS[shape], vocab_size) * tokens / cpu / 1e9,
        }
    return answer


def layers(shape: dict, vocab_size: int) -> list[tuple[int, int, int]]:
    """(outputs, inputs, how many) of a Llama's products."""
    hidden, ffn, n = shape["hidden_size"], shape["intermediate_size"], shape["num_hidden_layers"]
    return [
        (3 * hidden, hidden, n),
        (hidden, hidden, n),
        (2 * ffn, hidden, n),
        (hidden, ffn, n),
        (vocab_size, hidden, 1),
    ]


def weights(shape: dict, vocab_size: int) -> int:
    return sum(n_out * n_in * n for n_out, n_in, n in layers(shape, vocab_size))


def products(shape: dict, vocab_size: int, rows: int = 1024) -> tuple[float, float]:
    """GFLOP/s of one core in bf16, by CPU time, of a training step's products of a model's layers, and of the forward ones alone."""
    import torch

    spent, forward = 0.0, 0.0
    for n_out, n_in, n in layers(shape, vocab_size):
        x, weight, gradient = (
            torch.randn(size).bfloat16() for size in ((rows, n_in), (n_out, n_in), (rows, n_out))
        )
        times = []
        for left, right in ((x, weight.t()), (gradient, weight), (gradient.t(), x)):
            left @ right  # warms up
            started = time.process_time()
            for _ in range(5):
                left @ right
            times.append((time.process_time() - started) / 5)
        spent, forward = spent + n * sum(times), forward + n * times[0]
    flops = 2 * rows * weights(shape, vocab_size) / 1e9
    return 3 * flops / spent, flops / forward


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
        threads=1,
        seed=0,
    )
    splits = loop.Splits(training=loop.Examples(ids), dev=loop.Examples(ids[:1]))
    with tempfile.TemporaryDirectory() as folder:
        loop.train(model, splits, Path(folder), settings)


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    print(json.dumps(run(**json.loads(sys.argv[1]))))
