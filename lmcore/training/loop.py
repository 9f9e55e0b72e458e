"""Training a causal LM: token ids (n, seq_len) go in, weights and a loss curve come out, the same bits every time.

AdamW with linear warmup and cosine decay to zero, gradients clipped by their global norm. The order of the chunks and their offsets are
pure functions of the seed and the epoch, the learning rate and dropout of the step: so a killed run goes on from its last checkpoint and
ends in the weights of an undisturbed one. Losses and gradients are summed over micro-batches and ranks and then divided by the number of
tokens, so that neither changes what a step means. Bits depend on threads, ranks, precision and `compile`, which is why they are arguments.
"""

import math
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from tqdm import tqdm
from transformers import PreTrainedModel

from lmcore.errors import InputError
from lmcore.machine.memory import keep_freed_memory
from lmcore.params.ranges import (
    RANGE,
    Count,
    NonNegative,
    Positive,
    Processes,
    Share,
    UpToOne,
    Whole,
)
from lmcore.params.schema import shown, together
from lmcore.training import ranks
from lmcore.training.checkpoints import (
    best_step,
    drop_steps,
    load_weights,
    resume,
    save_state,
    save_weights,
)
from lmcore.training.llama_pass import can_run, hidden_states
from lmcore.training.loss import Target, sum_loss
from lmcore.training.schedule import schedule

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
Momentum = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False), RANGE]
TrainingSeed = Annotated[
    int, Field(ge=0, le=2**20 - 1), RANGE
]  # 2**44 of it fit 64 bits, see below
Reduction = Literal["token", "batchmean"]
REDUCTIONS = ("token", "batchmean")
IGNORED = -100  # a label that is no target


class Examples(NamedTuple):
    """What is trained on: ids (n, T), and labels (n, T) where only some of them are targets (IGNORED elsewhere)."""

    ids: np.ndarray
    labels: np.ndarray | None = None


class Teachers(NamedTuple):
    """Who a student learns from, and how much it minds: see lmcore.training.loss.Target. `reduction`: `token` means KL as cross-entropy per
    token, `batchmean` as the published recipe has it, summed over a chunk's tokens and divided by chunks.
    """

    models: Sequence[PreTrainedModel]
    alpha: Share
    temperature: Positive
    reduction: Reduction


def check_length(*, epochs: int | None, steps: int | None, warmup_steps: int, **others) -> None:
    """Raises InputError where it is not clear how long a training is, or its warmup is longer."""
    if (epochs is None) == (steps is None):
        raise InputError(
            f"either epochs or steps says how long it trains, the other is null; got {shown(epochs)} and {shown(steps)}"
        )
    if steps is not None and warmup_steps > steps:
        raise InputError(f"warmup_steps {warmup_steps} are more than the {steps} steps of all")


@together(check_length)
def train(
    model: PreTrainedModel,
    training: Examples,
    dev: Examples,
    work: Path,
    keep_steps: Sequence[int] = (),
    teachers: Teachers | None = None,
    *,
    epochs: Count | None,
    steps: Count | None,
    batch_size: Count,
    micro_batch_size: Count | None,
    random_offset: bool,
    lr: UpToOne,
    warmup_steps: Whole,
    weight_decay: NonNegative,
    betas: Annotated[list[Momentum], Field(min_length=2, max_length=2)],
    clip_norm: Positive,
    eval_every: Count,
    dev_limit: Count | None,
    keep: Literal["best", "last"],
    precision: Literal["fp32", "bf16", "fp16"],
    compile: bool,
    threads: Processes,
    seed: TrainingSeed,
) -> list[dict]:
    """Train `model` in place and return the curve: rows of step, lr, train_loss (mean since the last row) and dev_loss, in nats per token.
    With `teachers` too these are cross-entropies.

    `batch_size` counts chunks a step, over all ranks; of them `micro_batch_size` (null: all of a rank's) pass at once. The model ends as
    the `best` (lowest dev loss) or the `last`, on the CPU. The folder `work` holds the checkpoint, written at every row of the curve and
    read at the start where it exists, and the weights of `keep_steps`. The dev loss is that of `dev_limit` examples, the same for every
    seed. Raises InputError for arguments that make no sense, and where the loss is no longer finite or a checkpoint cannot be written; the
    last good checkpoint is kept then.
    """
    keep_freed_memory()
    torch.set_num_threads(threads)
    ranks.join()
    device = ranks.device()
    check_length(epochs=epochs, steps=steps, warmup_steps=warmup_steps)
    _check(keep, precision, compile, device)
    if random_offset and training.labels is not None:
        raise InputError(
            "train_model: random_offset needs a stream of text; these are items with labels"
        )
    if teachers and teachers.reduction not in REDUCTIONS:
        raise InputError(
            f"distill_model: reduction '{teachers.reduction}' must be one of {', '.join(REDUCTIONS)}"
        )
    for shown_to in (model, *(teachers.models if teachers else ())):
        _check_window(shown_to, training.ids.shape[1])
    dev = _some(dev, dev_limit)
    n = len(training.ids) - random_offset
    steps = steps or math.ceil(n / batch_size) * (epochs or 0)
    if beyond := [step for step in keep_steps if not 0 < step <= steps]:
        raise InputError(f"train_model: there is no step {beyond[0]} to keep: training has {steps}")
    dtype, micro = PRECISIONS[precision], micro_batch_size or batch_size
    torch.nn.Module.to(model, device)
    for teacher in teachers.models if teachers else ():
        torch.nn.Module.to(teacher, device).eval()
    optimizer = torch.optim.AdamW(
        _groups(model, weight_decay), lr=lr, betas=(betas[0], betas[1]), fused=True
    )
    scaler = torch.amp.GradScaler(
        device.type, init_scale=1.0, enabled=precision == "fp16"
    )  # losses are sums, and large already
    progress = resume(work, model, optimizer, keep_steps) or {"step": 0, "curve": [], "scaler": {}}
    if progress["step"] and scaler.is_enabled():
        scaler.load_state_dict(progress["scaler"])
    if progress["step"] and ranks.rank() == 0:
        print(f"going on after step {progress['step']}", flush=True)
    curve, losses = progress["curve"], np.zeros(2)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    model.train()
    tokens = batch_size * (training.ids.shape[1] - 1)
    started = time.monotonic()
    is_quiet = None if ranks.rank() == 0 else True
    with tqdm(
        total=steps * tokens,
        initial=progress["step"] * tokens,
        unit="tok",
        unit_scale=True,
        desc="train",
        disable=is_quiet,
    ) as bar:
        for step, (epoch, rows) in enumerate(_batches(n, batch_size, steps, seed), 1):
            if step <= progress["step"]:
                continue
            for group in optimizer.param_groups:
                group["lr"] = lr * schedule(step, warmup_steps, steps)
            torch.manual_seed(seed * 2**44 + step * 2**12 + ranks.rank())  # for models with dropout
            batch = _rows(
                training, rows, np.random.default_rng([seed, epoch, 1]) if random_offset else None
            )
            totals = torch.zeros(2, dtype=torch.float64, device=device)
            for ids, labels in _passes(batch, micro, device):
                objective, entropy, count = _loss(
                    model, ids, labels, dtype, compile and len(ids) == micro, teachers
                )
                scaler.scale(objective).backward()
                totals += torch.stack(
                    [
                        entropy.double(),
                        torch.tensor(float(count), dtype=torch.float64, device=device),
                    ]
                )
            gradients = [_gradient(parameter) for parameter in parameters]
            ranks.add_up([totals])
            ranks.add_up(gradients)
            losses += totals.cpu().numpy()
            if not np.isfinite(losses[0]):
                raise InputError(
                    f"train_model: the loss is {losses[0]} at step {step}; try a lower lr than {lr}; the last good checkpoint is kept"
                )
            scaler.unscale_(optimizer)
            torch._foreach_mul_(gradients, 1 / float(totals[1]))
            torch.nn.utils.clip_grad_norm_(parameters, clip_norm, foreach=True)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad(set_to_none=True)
            bar.update(tokens)
            bar.set_postfix(
                step=f"{step}/{steps}",
                loss=f"{losses[0] / losses[1]:.3f}",
                dev=f"{curve[-1]['dev_loss']:.3f}" if curve else "",
            )
            if step in keep_steps and ranks.rank() == 0:
                save_weights(model, work, step)
            if step % eval_every == 0 or step == steps:
                dev_loss = evaluate(model, dev, micro, precision)
                is_best = not curve or dev_loss < min(row["dev_loss"] for row in curve)
                row = {"step": step, "lr": lr * schedule(step, warmup_steps, steps)}
                curve.append(
                    {**row, "train_loss": float(losses[0] / losses[1]), "dev_loss": dev_loss}
                )
                losses = np.zeros(2)
                if ranks.rank() == 0:
                    if is_best and step not in keep_steps:
                        save_weights(model, work, step)
                    save_state(
                        work,
                        model,
                        optimizer,
                        {"step": step, "curve": curve, "scaler": scaler.state_dict()},
                    )
                    drop_steps(work, {*keep_steps, best_step(curve)})
                    if bar.disable:
                        _say(
                            curve[-1],
                            steps,
                            step - progress["step"],
                            tokens,
                            time.monotonic() - started,
                        )
    ranks.leave()
    if keep == "best":
        load_weights(model, work, best_step(curve))
    model.eval().cpu()
    return curve


@torch.no_grad()
def evaluate(model: PreTrainedModel, examples: Examples, batch_size: int, precision: str) -> float:
    """Mean cross-entropy in nats per target of all `examples`, the ranks sharing the work."""
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    totals = torch.zeros(2, dtype=torch.float64, device=device)
    for ids, labels in _passes(
        _rows(examples, np.arange(len(examples.ids)), None), batch_size, device
    ):
        _, entropy, count = _loss(model, ids, labels, PRECISIONS[precision], False, None)
        totals += torch.tensor([float(entropy), float(count)], dtype=torch.float64, device=device)
    ranks.add_up([totals])
    model.train(was_training)
    return float(totals[0] / totals[1])


def _loss(
    model, ids, labels, dtype, compiled, teachers: Teachers | None
) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Of one pass: the summed objective, the summed cross-entropy, and the number of targets among labels (B, T - 1)."""
    flat = labels.flatten()
    asked = None if labels.min() >= 0 else (flat >= 0).nonzero().squeeze(1)
    hidden = _states(model, ids, dtype, compiled)
    target = None
    if teachers:
        with torch.no_grad():
            states = [
                (_states(teacher, ids, dtype, False), _head(teacher).to(dtype))
                for teacher in teachers.models
            ]
        if asked is not None:
            states = [(state[asked], head) for state, head in states]

        def logits(start: int, stop: int) -> torch.Tensor:
            return torch.stack(
                [F.linear(state[start:stop], head).float() for state, head in states]
            ).mean(0)

        weight = 1.0 if teachers.reduction == "token" else float(labels.shape[1])
        target = Target(logits, teachers.alpha, teachers.temperature, weight)
    if asked is not None:
        hidden, flat = hidden[asked], flat[asked]
    return *sum_loss(hidden, _head(model), flat, target, compiled and can_run(model)), len(flat)


def _states(
    model: PreTrainedModel, ids: torch.Tensor, dtype: torch.dtype, compiled: bool
) -> torch.Tensor:
    """The states (B * (T - 1), H) that predict ids[:, 1:]. The last one's go unused: products are faster of lengths that are round."""
    return hidden_states(model, ids, dtype, compiled).unflatten(0, ids.shape)[:, :-1].flatten(0, 1)


def _head(model: PreTrainedModel) -> torch.Tensor:
    return model.get_output_embeddings().weight


def _gradient(parameter: torch.nn.Parameter) -> torch.Tensor:
    """Its gradient, zeros where this rank had nothing to do."""
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad


def _batches(n: int, batch_size: int, steps: int, seed: int) -> Iterator[tuple[int, np.ndarray]]:
    """(epoch, row numbers) of each batch in turn: every epoch a permutation of its own, its last batch the shorter one."""
    per_epoch = math.ceil(n / batch_size)
    for epoch in range(math.ceil(steps / per_epoch)):
        order = np.random.default_rng([seed, epoch]).permutation(n)
        for start in range(0, min(per_epoch, steps - epoch * per_epoch) * batch_size, batch_size):
            yield epoch, order[start : start + batch_size]


def _rows(examples: Examples, rows: np.ndarray, random: np.random.Generator | None) -> Examples:
    """These examples; with `random` every chunk of the stream begins somewhere between its own beginning and the next one's."""
    if random is None:
        return Examples(
            examples.ids[rows], None if examples.labels is None else examples.labels[rows]
        )
    n, length = examples.ids.shape
    starts = rows * length + random.integers(length, size=n - 1)[rows]
    return Examples(examples.ids.reshape(-1)[starts[:, None] + np.arange(length)])


def _some(examples: Examples, limit: int | None) -> Examples:
    """`limit` of the examples, the same ones always; null: all."""
    if limit is None or limit >= len(examples.ids):
        return examples
    return _rows(
        examples, np.sort(np.random.default_rng(0).permutation(len(examples.ids))[:limit]), None
    )


def _passes(
    batch: Examples, size: int, device: torch.device
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """ids (B, T) and labels (B, T - 1) of this rank's share of a batch, `size` rows at a time."""
    mine = slice(ranks.rank(), None, ranks.size())
    ids = torch.from_numpy(batch.ids[mine].astype(np.int64))
    labels = ids if batch.labels is None else torch.from_numpy(batch.labels[mine].astype(np.int64))
    for start in range(0, len(ids), size):
        yield ids[start : start + size].to(device), labels[start : start + size, 1:].to(device)


def _groups(model: PreTrainedModel, weight_decay: float) -> list[dict]:
    """Matrices decay, vectors (norms, biases) do not, as transformers' Trainer has it."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {
            "params": [parameter for parameter in parameters if parameter.ndim > 1],
            "weight_decay": weight_decay,
        },
        {
            "params": [parameter for parameter in parameters if parameter.ndim <= 1],
            "weight_decay": 0.0,
        },
    ]


def _check(keep: str, precision: str, compile: bool, device: torch.device) -> None:
    if keep not in ("best", "last") or precision not in PRECISIONS:
        raise InputError(
            f"train_model: keep '{keep}' must be best or last, precision '{precision}' one of {', '.join(PRECISIONS)}"
        )
    if precision == "fp16" and device.type == "cpu":
        raise InputError(
            "train_model: precision fp16 needs a GPU, where its gradients are scaled; a CPU trains in bf16 or fp32"
        )
    if compile and device.type == "cpu" and not shutil.which(os.environ.get("CXX") or "c++"):
        raise InputError(
            "train_model: compile needs a C++ compiler (`c++`, or what the environment variable CXX names); there is none"
        )


def _check_window(model: PreTrainedModel, length: int) -> None:
    window = getattr(model.config, "max_position_embeddings", None)
    if window is not None and window < length:
        raise InputError(
            f"params.yaml: shape: a window of {window} tokens is shorter than the {length} of what it trains on"
        )


def _say(row: dict, steps: int, n_done: int, tokens: int, seconds: float) -> None:
    """A plain line for logs, after `n_done` steps of `tokens` each in so many seconds."""
    losses = f"loss {row['train_loss']:.4f}  dev loss {row['dev_loss']:.4f}"
    left = seconds / n_done * (steps - row["step"]) / 60
    print(
        f"step {row['step']}/{steps}  {losses}  {n_done * tokens / seconds:,.0f} tokens/s  {left:.0f} min left",
        flush=True,
    )
