"""Training a causal LM from chunks: token ids (n_chunks, seq_len) go in, weights and a loss curve come out, the same bits every time.

AdamW with linear warmup and cosine decay to zero, gradients clipped by their global norm. The order of the chunks is a pure function of
the seed and the epoch, the learning rate one of the step, and nothing else is random: so a killed run goes on from its last checkpoint and
ends in the weights of an undisturbed one. The loss is taken over chunks of rows, so that logits (B * T, V) never exist whole. Bits depend
on the thread count, which is why it is an argument.
"""

import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file
from tqdm import tqdm
from transformers import PreTrainedModel

from lmcore.errors import InputError
from lmcore.files import whole

LOSS_ROWS = 512  # rows of logits that exist at a time: few enough to stay in the cache
PRECISIONS = {"fp32": None, "bf16": torch.bfloat16}


def train(
    model: PreTrainedModel,
    train_chunks: np.ndarray,
    dev_chunks: np.ndarray,
    checkpoint: Path,
    *,
    epochs: int,
    batch_size: int,
    lr: float,
    warmup_steps: int,
    weight_decay: float,
    betas: list[float],
    clip_norm: float,
    eval_every: int,
    keep: str,
    precision: str,
    threads: int,
    seed: int,
) -> list[dict]:
    """Train `model` in place and return the curve: rows of step, lr, train_loss (mean since the last row) and dev_loss, in nats per token.

    `batch_size` counts chunks; the model ends as the `best` (lowest dev loss) or the `last`. The file `checkpoint` is written at every row
    of the curve, and read at the start where it exists. Raises InputError for an unknown `keep` or `precision`, and where the loss is no
    longer finite.
    """
    if keep not in ("best", "last") or precision not in PRECISIONS:
        raise InputError(f"train_model: keep '{keep}' must be best or last, precision '{precision}' one of {', '.join(PRECISIONS)}")
    torch.set_num_threads(threads)
    steps = math.ceil(len(train_chunks) / batch_size) * epochs
    optimizer = torch.optim.AdamW(_groups(model, weight_decay), lr=lr, betas=(betas[0], betas[1]), fused=True)
    curve, best = _resume(checkpoint, model, optimizer)
    done = curve[-1]["step"] if curve else 0
    losses: list[float] = []
    model.train()
    with tqdm(total=steps, initial=done, desc="train", unit="step", disable=None) as bar:
        for step, rows in enumerate(_batches(len(train_chunks), batch_size, epochs, seed), 1):
            if step <= done:
                continue
            for group in optimizer.param_groups:
                group["lr"] = lr * schedule(step, warmup_steps, steps)
            loss = mean_loss(model, torch.from_numpy(train_chunks[rows].astype(np.int64)), precision)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), clip_norm)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            losses.append(loss.item())
            if not math.isfinite(losses[-1]):
                raise InputError(
                    f"train_model: the loss is {losses[-1]} at step {step}; try a lower lr than {lr}; the last good checkpoint is kept"
                )
            bar.update()
            if step % eval_every == 0 or step == steps:
                dev_loss = evaluate(model, dev_chunks, batch_size, precision)
                row = {"step": step, "lr": optimizer.param_groups[0]["lr"], "train_loss": float(np.mean(losses)), "dev_loss": dev_loss}
                if not curve or dev_loss < min(earlier["dev_loss"] for earlier in curve):
                    best = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
                curve.append(row)
                losses = []
                _save(checkpoint, model, optimizer, curve, best)
                bar.set_postfix(loss=f"{row['train_loss']:.3f}", dev_loss=f"{dev_loss:.3f}")
                if bar.disable:
                    print(f"step {step}/{steps}  loss {row['train_loss']:.4f}  dev loss {dev_loss:.4f}", flush=True)
    if keep == "best":
        model.load_state_dict(best)
    model.eval()
    return curve


def schedule(step: int, warmup_steps: int, steps: int) -> float:
    """The share of the peak learning rate at `step` (from 1): linear to 1 over the warmup, then half a cosine to 0 at the last step."""
    if step <= warmup_steps:
        return step / warmup_steps
    return 0.5 * (1 + math.cos(math.pi * (step - warmup_steps) / max(1, steps - warmup_steps)))


def mean_loss(model: PreTrainedModel, ids: torch.Tensor, precision: str) -> torch.Tensor:
    """Mean cross-entropy in nats of predicting ids[:, 1:] (B, T - 1) from what precedes, over LOSS_ROWS rows of logits at a time."""
    with torch.autocast(ids.device.type, torch.bfloat16, enabled=precision == "bf16"):
        hidden = model.base_model(input_ids=ids[:, :-1], use_cache=False).last_hidden_state
        hidden, labels = hidden.flatten(0, 1), ids[:, 1:].flatten()
        total = hidden.new_zeros((), dtype=torch.float32)
        for start in range(0, len(labels), LOSS_ROWS):
            logits = model.lm_head(hidden[start : start + LOSS_ROWS]).float()
            total = total + F.cross_entropy(logits, labels[start : start + LOSS_ROWS], reduction="sum")
    return total / len(labels)


@torch.no_grad()
def evaluate(model: PreTrainedModel, chunks: np.ndarray, batch_size: int, precision: str) -> float:
    """Mean cross-entropy in nats per predicted token of all `chunks`."""
    model.eval()
    total = 0.0
    for start in range(0, len(chunks), batch_size):
        batch = torch.from_numpy(chunks[start : start + batch_size].astype(np.int64))
        total += mean_loss(model, batch, precision).item() * len(batch)
    model.train()
    return total / len(chunks)


def _batches(n_chunks: int, batch_size: int, epochs: int, seed: int) -> Iterator[np.ndarray]:
    """Row numbers of each batch in turn: every epoch a permutation of its own, its last batch the shorter one."""
    for epoch in range(epochs):
        order = np.random.default_rng([seed, epoch]).permutation(n_chunks)
        yield from (order[start : start + batch_size] for start in range(0, n_chunks, batch_size))


def _groups(model: PreTrainedModel, weight_decay: float) -> list[dict]:
    """Matrices decay, vectors (norms, biases) do not, as transformers' Trainer has it."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [parameter for parameter in parameters if parameter.ndim > 1], "weight_decay": weight_decay},
        {"params": [parameter for parameter in parameters if parameter.ndim <= 1], "weight_decay": 0.0},
    ]


def _save(
    checkpoint: Path, model: PreTrainedModel, optimizer: torch.optim.Optimizer, curve: list[dict], best: dict[str, torch.Tensor]
) -> None:
    """Everything the next step depends on, in one safetensors file that appears whole."""
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    tensors |= {f"best.{name}": tensor for name, tensor in best.items()}
    for name, parameter in model.named_parameters():
        tensors |= {f"adam.{key}.{name}": value for key, value in optimizer.state[parameter].items()}
    with whole(checkpoint) as temporary:
        save_file({name: tensor.detach().clone() for name, tensor in tensors.items()}, temporary, {"curve": json.dumps(curve)})


def _resume(checkpoint: Path, model: PreTrainedModel, optimizer: torch.optim.Optimizer) -> tuple[list[dict], dict[str, torch.Tensor]]:
    """The curve so far and the best weights, with model and optimiser set to where the checkpoint was; nothing where there is none."""
    if not checkpoint.exists():
        return [], {}
    with safe_open(checkpoint, framework="pt") as file:
        stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        curve = json.loads(file.metadata()["curve"])
    model.load_state_dict({name.removeprefix("model."): tensor for name, tensor in stored.items() if name.startswith("model.")})
    for name, parameter in model.named_parameters():
        optimizer.state[parameter] = {key: stored[f"adam.{key}.{name}"] for key in ("step", "exp_avg", "exp_avg_sq")}
    print(f"going on after step {curve[-1]['step']}", flush=True)
    return curve, {name.removeprefix("best."): tensor for name, tensor in stored.items() if name.startswith("best.")}
