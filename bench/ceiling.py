"""How fast this machine multiplies matrices, and what share of that the engine reaches.

The arithmetic that counts is that of the linear layers and the head: twice their weights for every
unique row. Attention and statistics do not count, so the share is what is left after them, too.
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
from lmcore.scoring.shards import shards
from lmcore.tables import scoring_of

ROWS = 512  # rows of a matrix product that is timed
MAX_OUTPUTS = 16_384  # the most outputs of a layer that is timed; larger ones are scaled up


def shapes(model: Path) -> list[tuple[int, int, int]]:
    """(outputs, inputs, how many) of the linear layers of a model folder, the head last."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM

    kind = AutoModelForMaskedLM if holds_masked(model) else AutoModelForCausalLM
    with torch.device("meta"):
        network = kind.from_config(AutoConfig.from_pretrained(model))
    head = network.get_output_embeddings()
    counts: Counter[tuple[int, int]] = Counter()
    for module in network.modules():
        if isinstance(module, torch.nn.Linear) and module is not head:
            counts[(module.out_features, module.in_features)] += 1
        elif type(module).__name__ == "Conv1D":
            counts[(module.weight.shape[1], module.weight.shape[0])] += 1
    body = [(n_out, n_in, count) for (n_out, n_in), count in counts.items()]
    return [*body, (*head.weight.shape, 1)]


def flops(model: Path, n_rows: int, n_tokens: int) -> int:
    """The floating-point operations of so many unique rows.

    The head of a masked LM is applied only where a token is masked, so its operations are those of
    `n_tokens` tokens.
    """
    *body, (n_out, n_in, _) = shapes(model)
    n_logits = n_tokens if holds_masked(model) else n_rows
    n_weights = sum(outputs * inputs * count for outputs, inputs, count in body)
    return 2 * n_rows * n_weights + 2 * n_logits * n_out * n_in


def gemm_rate(model: Path, kernel: str) -> float:
    """GFLOP/s of one core for the model's own layers, ROWS rows at a time, by CPU time.

    `kernel` is `onednn` or `torch`.
    """
    keep_freed_memory()  # page faults are not part of the products
    flops, seconds = 0, 0.0
    with one_thread(), torch.inference_mode():
        for n_out, n_in, count in shapes(model):
            x, weight = torch.randn(ROWS, n_in), torch.randn(min(n_out, MAX_OUTPUTS), n_in)
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
    n_rows = n_tokens = 0
    for shard in shards(items, shard_chars, engine):
        rows = items.slice(shard.start, shard.stop - shard.start)
        windows = engine.windows(engine.encoder.encode(rows))
        start = shard.part * len(windows) // shard.n_parts
        stop = (shard.part + 1) * len(windows) // shard.n_parts
        chosen = windows[start:stop]
        n_tokens += sum(len(window.targets) for window in chosen)
        n_rows += sum(len(one_pass.ids) for one_pass in engine.passes(chosen))
    return n_rows, n_tokens


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    import importlib.metadata
    import platform
    import subprocess

    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    cpu = names[0] if names else platform.processor()
    capability = torch.backends.cpu.get_cpu_capability()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"], capture_output=True, text=True
    ).stdout.strip()
    packages = ("torch", "transformers", "tokenizers", "minicons", "lm_eval", "numpy")
    return {
        "CPU": f"{cpu}, {capability}, {os.cpu_count()} cores, {memory:.0f} GiB",
        "kernel": kernels.choose(),
        "Python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in packages},
        "commit": commit or "none",
    }
