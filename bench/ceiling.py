"""How fast this machine multiplies matrices, and what share of that the engine reaches.

The arithmetic counted is that of the linear layers and the head, twice their weights for every unique row; attention and statistics are not
counted, so the share is what is left after them too.
"""

import os
import time
from collections import Counter
from pathlib import Path

import pyarrow as pa
import torch

from lmcore.machine.memory import keep_freed_memory
from lmcore.machine.threads import one_thread
from lmcore.models.folder import holds_masked
from lmcore.scoring import kernels
from lmcore.scoring.engine import Engine
from lmcore.scoring.extract import shards
from lmcore.tables import scoring_of

ROWS = 512


def shapes(model: Path) -> list[tuple[int, int, int]]:
    """(outputs, inputs, how many) of the linear layers of a model folder, the head last."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM

    kind = AutoModelForMaskedLM if holds_masked(model) else AutoModelForCausalLM
    with torch.device("meta"):
        made = kind.from_config(AutoConfig.from_pretrained(model))
    head = made.get_output_embeddings()
    found: Counter[tuple[int, int]] = Counter()
    for module in made.modules():
        if isinstance(module, torch.nn.Linear) and module is not head:
            found[(module.out_features, module.in_features)] += 1
        elif type(module).__name__ == "Conv1D":
            found[(module.weight.shape[1], module.weight.shape[0])] += 1
    return [*((*size, n) for size, n in found.items()), (*head.weight.shape, 1)]


def flops(model: Path, n_rows: int, n_tokens: int) -> int:
    """Of a number of unique rows; of a masked LM, whose head is applied where a token is masked alone, of so many rows and tokens."""
    *body, (n_out, n_in, _) = shapes(model)
    n_logits = n_tokens if holds_masked(model) else n_rows
    return (
        2 * n_rows * sum(out * into * count for out, into, count in body)
        + 2 * n_logits * n_out * n_in
    )


def gemm_rate(model: Path, kernel: str) -> float:
    """GFLOP/s of one core for the model's own layers, ROWS rows at a time, by CPU time; `kernel`: onednn or torch."""
    keep_freed_memory()  # page faults are none of the products'
    flops, seconds = 0, 0.0
    with one_thread(), torch.inference_mode():
        for n_out, n_in, count in shapes(model):
            x, weight = torch.randn(ROWS, n_in), torch.randn(min(n_out, 16_384), n_in)
            layer = kernels.Linear(weight, None, kernel, torch.float32)
            layer(x)
            started = time.process_time()
            for _ in range(3):
                layer(x)
            seconds += (time.process_time() - started) / 3 / len(weight) * n_out * count
            flops += 2 * n_out * n_in * count * ROWS
    return flops / seconds / 1e9


def unique_rows(
    model: Path, items: pa.Table, token_budget: int, shard_chars: int
) -> tuple[int, int]:
    """How many rows the plan computes for `items`, and how many tokens these are."""
    engine = Engine(model, scoring_of(items), "float32", token_budget)
    rows = tokens = 0
    for shard in shards(items, shard_chars, engine):
        every = engine.windows(
            engine.encoder.encode(items.slice(shard.start, shard.stop - shard.start))
        )
        chosen = every[
            shard.part * len(every) // shard.n_parts : (shard.part + 1)
            * len(every)
            // shard.n_parts
        ]
        tokens += sum(len(window.targets) for window in chosen)
        rows += sum(len(part.ids) for part in engine.passes(chosen))
    return rows, tokens


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    import importlib.metadata
    import platform
    import subprocess

    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    cpu = next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")),
        platform.processor(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"], capture_output=True, text=True
    ).stdout.strip()
    names = ("torch", "transformers", "tokenizers", "minicons", "lm_eval", "numpy")
    return {
        "CPU": f"{cpu}, {torch.backends.cpu.get_cpu_capability()}, {os.cpu_count()} cores, {memory:.0f} GiB",
        "kernel": kernels.choose(),
        "Python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in names},
        "commit": commit or "none",
    }
