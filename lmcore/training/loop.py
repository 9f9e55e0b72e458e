"""Training a causal LM: token ids (n, seq_len) go in, weights and a loss curve come out.

The same input gives the same bits every time.

The optimiser is AdamW, or Muon with AdamW, with linear warmup and a cosine or linear decay to zero.
Gradients are clipped by their global norm. The order of the chunks and their offsets are pure
functions of the seed and the epoch; the learning rate, the length of the sequences and dropout are
pure functions of the seed and the step. So a killed run goes on from its last checkpoint and ends
in the weights of an undisturbed one.

Losses and gradients are summed over micro-batches and ranks and then divided by the number of
tokens, so neither changes what a step means. The bits depend on threads, ranks, precision and
`compile`, which is why these are settings.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedModel

from lmcore.errors import InputError
from lmcore.machine.memory import keep_freed_memory
from lmcore.machine.progress import Progress
from lmcore.training import ranks
from lmcore.training.batches import Examples, Splits, batches, passes, take_rows, take_some
from lmcore.training.checkpoints import (
    best_step,
    drop_steps,
    load_weights,
    resume,
    save_state,
    save_weights,
)
from lmcore.training.objective import REDUCTIONS, PassLoss, Teachers, pass_loss
from lmcore.training.optimizers import make_optimizer, peak_lrs
from lmcore.training.schedule import schedule, sequence_length
from lmcore.training.settings import PRECISIONS, Settings, check_settings, course_of
from lmcore.training.sharded import Sharded


def train(
    model: PreTrainedModel,
    splits: Splits,
    work: Path,
    settings: Settings,
    keep_steps: Sequence[int] = (),
    teachers: Teachers | None = None,
    show: Callable[[list[dict]], None] | None = None,
) -> list[dict]:
    """Train `model` in place and return its loss curve.

    The rows of the curve have step, tokens (read so far), lr, train_loss (the mean since the last
    row) and dev_loss, in nats per token. With `teachers`, too, these are cross-entropies. The model
    ends with the weights that `settings.keep` names, on the CPU.

    The folder `work` holds the checkpoint and the weights of `keep_steps`. The checkpoint is
    written at every row of the curve, and read at the start where it exists.

    `show` gets the curve so far, at the start if a checkpoint exists and after every row, on the
    first rank alone.

    Raises InputError for settings that make no sense, and where the loss is no longer finite or a
    checkpoint cannot be written. The last good checkpoint is kept then.
    """
    keep_freed_memory()
    torch.set_num_threads(settings.threads)
    ranks.join()
    check_settings(settings, ranks.device())
    _check_inputs(model, splits.training, settings, teachers)
    run = _Run(model, splits, work, settings, keep_steps, teachers, show)
    run.load_checkpoint()
    run.take_steps()
    if isinstance(run.reader, Sharded):
        run.reader.copy_into(model)
    ranks.leave()
    if settings.keep == "best":
        load_weights(model, work, best_step(run.curve))
    model.eval().cpu()
    return run.curve


@torch.no_grad()
def evaluate(
    model: PreTrainedModel | Sharded, examples: Examples, batch_size: int, precision: str
) -> float:
    """The mean cross-entropy in nats per target of all `examples`; the ranks share the work."""
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    totals = torch.zeros(2, dtype=torch.float64, device=device)
    for ids, labels in passes(examples, batch_size, device):
        loss = _losses(model, ids, labels, PRECISIONS[precision])
        sums = [float(loss.cross_entropy), float(loss.n_targets)]
        totals += torch.tensor(sums, dtype=torch.float64, device=device)
    if isinstance(model, Sharded):
        model.free()
    ranks.add_up([totals])
    model.train(was_training)
    return float(totals[0] / totals[1])


def _losses(model: PreTrainedModel | Sharded, *arguments) -> PassLoss:
    """`pass_loss` of the model and the arguments."""
    return model(*arguments) if isinstance(model, Sharded) else pass_loss(model, *arguments)


class _Run:
    """A training under way: what it is given, and what its steps change."""

    def __init__(
        self,
        model: PreTrainedModel,
        splits: Splits,
        work: Path,
        settings: Settings,
        keep_steps: Sequence[int],
        teachers: Teachers | None,
        show: Callable[[list[dict]], None] | None,
    ):
        """Raises InputError for a step to keep that the training does not have."""
        self.model, self.work, self.settings = model, work, settings
        self.keep_steps, self.teachers, self.show = keep_steps, teachers, show
        self.training, self.dev = splits.training, take_some(splits.dev, settings.dev_limit)
        self.course = course_of(self.training, settings)
        self.n_examples, self.n_steps = self.course.n_examples, self.course.n_steps
        _check_keep_steps(keep_steps, self.n_steps)
        self.tokens_per_step = settings.batch_size * (self.training.ids.shape[1] - 1)
        self.pass_size = settings.micro_batch_size or settings.batch_size  # examples
        self.device = ranks.device()
        self.reader: PreTrainedModel | Sharded = model  # what takes the passes
        if settings.sharded:
            self.reader = Sharded(model, self.device, PRECISIONS[settings.precision])
            self.model = self.reader.model
        else:
            torch.nn.Module.to(model, self.device)
        for teacher in teachers.models if teachers else ():
            torch.nn.Module.to(teacher, self.device).eval()
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = make_optimizer(self.model, settings)
        self.peak_lrs = peak_lrs(self.optimizer)
        # the initial scale is 1: losses are sums, and large already
        is_scaled = settings.precision == "fp16"
        self.scaler = torch.amp.GradScaler(self.device.type, init_scale=1.0, enabled=is_scaled)
        self.n_done = 0  # steps that an earlier process took
        self.curve: list[dict] = []
        # cross-entropy in nats and number of targets, both since the last row of the curve
        self.sums = np.zeros(2)

    def load_checkpoint(self) -> None:
        """Go on from the checkpoint in the work folder, where there is one."""
        progress = resume(self.work, self.model, self.optimizer, self.keep_steps)
        if progress is None:
            return
        self.n_done, self.curve = progress["step"], progress["curve"]
        if self.scaler.is_enabled():
            self.scaler.load_state_dict(progress["scaler"])
        if ranks.rank() == 0:
            print(f"going on after step {self.n_done}", flush=True)
            if self.show:
                self.show(self.curve)

    def take_steps(self) -> None:
        """Take the steps that are left, and write what is to be kept of them."""
        self.model.train()
        settings, started = self.settings, time.monotonic()
        order = batches(self.n_examples, settings.batch_size, self.n_steps, settings.seed)
        with self._progress() as progress:
            for step, (epoch, rows) in enumerate(order, 1):
                if step <= self.n_done:
                    continue
                share = schedule(step, settings.warmup_steps, self.n_steps, settings.schedule)
                self._take_step(step, share, self._batch(epoch, rows))
                progress.advance(self.tokens_per_step, self._progress_note(step))
                if step in self.keep_steps:
                    save_weights(self.model, self.work, step)
                if step % settings.eval_every == 0 or step == self.n_steps:
                    self._add_row(step, settings.lr * share)
                    if not progress.is_bar and ranks.rank() == 0:
                        self._print_row(time.monotonic() - started)

    def _batch(self, epoch: int, rows: np.ndarray) -> Examples:
        """The examples of these row numbers, with the random offsets of the epoch if wanted."""
        random = None
        if self.settings.random_offset:
            random = np.random.default_rng([self.settings.seed, epoch, 1])
        return take_rows(self.training, rows, random)

    def _take_step(self, step: int, share: float, batch: Examples) -> None:
        """Update the weights, at this share of the peak learning rates.

        Raises InputError where the loss is no longer finite.
        """
        for group, peak_lr in zip(self.optimizer.param_groups, self.peak_lrs, strict=True):
            group["lr"] = peak_lr * share
        # for models with dropout
        torch.manual_seed(self.settings.seed * 2**44 + step * 2**12 + ranks.rank())
        length = sequence_length(step, batch.ids.shape[1], self.settings.seq_len_warmup)
        totals = self._add_gradients(batch, length)
        gradients = [_gradient(parameter) for parameter in self.parameters]
        ranks.add_up([totals])
        if not self.settings.sharded:  # else the passes have added them up
            ranks.add_up(gradients)
        self.sums += totals.cpu().numpy()
        if not np.isfinite(self.sums[0]):
            raise InputError(
                f"train_model: the loss is {self.sums[0]} at step {step}; "
                f"try a lower lr than {self.settings.lr}; the last good checkpoint is kept"
            )
        self.scaler.unscale_(self.optimizer)
        torch._foreach_mul_(gradients, 1 / float(totals[1]))
        torch.nn.utils.clip_grad_norm_(self.parameters, self.settings.clip_norm, foreach=True)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)

    def _add_gradients(self, batch: Examples, length: int) -> torch.Tensor:
        """Add up the gradients of this rank's passes over its share of the batch.

        The examples are cut into sequences of `length` tokens. Returns (2,) float64: the summed
        cross-entropy in nats, and the number of targets.
        """
        dtype = PRECISIONS[self.settings.precision]
        totals = torch.zeros(2, dtype=torch.float64, device=self.device)
        n_full = self.pass_size * batch.ids.shape[1]  # tokens
        for ids, labels in passes(batch, self.pass_size, self.device, length):
            # a shorter pass would be compiled anew
            compiled = self.settings.compile and ids.numel() == n_full
            loss = _losses(self.reader, ids, labels, dtype, compiled, self.teachers)
            self.scaler.scale(loss.objective).backward()
            n_targets = torch.tensor(float(loss.n_targets), dtype=torch.float64, device=self.device)
            totals += torch.stack([loss.cross_entropy.double(), n_targets])
        return totals

    def _add_row(self, step: int, lr: float) -> None:
        """Add a row to the curve, and write a checkpoint."""
        dev_loss = evaluate(self.reader, self.dev, self.pass_size, self.settings.precision)
        is_best = not self.curve or dev_loss < min(row["dev_loss"] for row in self.curve)
        train_loss = float(self.sums[0] / self.sums[1])
        self.sums = np.zeros(2)
        tokens = int(self.course.tokens[step - 1])
        row = {"step": step, "tokens": tokens, "lr": lr}
        self.curve.append({**row, "train_loss": train_loss, "dev_loss": dev_loss})
        if is_best and step not in self.keep_steps:
            save_weights(self.model, self.work, step)
        progress = {"step": step, "curve": self.curve, "scaler": self.scaler.state_dict()}
        save_state(self.work, self.model, self.optimizer, progress)
        if ranks.rank() != 0:
            return
        drop_steps(self.work, {*self.keep_steps, best_step(self.curve)})
        if self.show:
            self.show(self.curve)

    def _progress(self) -> Progress:
        """The progress in tokens, as a bar of the first rank; `_print_row` prints the lines."""
        return Progress(
            self.n_steps * self.tokens_per_step,
            "train",
            "tok",
            n_done=self.n_done * self.tokens_per_step,
            scaled=True,
            lines=False,
            shown=ranks.rank() == 0,
        )

    def _progress_note(self, step: int) -> str:
        loss = self.sums[0] / self.sums[1]
        dev_loss = f"{self.curve[-1]['dev_loss']:.3f}" if self.curve else ""
        return f"step={step}/{self.n_steps}, loss={loss:.3f}, dev={dev_loss}"

    def _print_row(self, seconds: float) -> None:
        """Print the curve's last row as a plain line for logs.

        `seconds` is the time that the steps of this process took so far.
        """
        row = self.curve[-1]
        n_taken = row["step"] - self.n_done
        losses = f"loss {row['train_loss']:.4f}  dev loss {row['dev_loss']:.4f}"
        speed = n_taken * self.tokens_per_step / seconds
        minutes = seconds / n_taken * (self.n_steps - row["step"]) / 60
        print(
            f"step {row['step']}/{self.n_steps}  {losses}  "
            f"{speed:,.0f} tokens/s  {minutes:.0f} min left",
            flush=True,
        )


def _gradient(parameter: torch.nn.Parameter) -> torch.Tensor:
    """The parameter's gradient; zeros where this rank had nothing to do."""
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad


def _check_inputs(
    model: PreTrainedModel, training: Examples, settings: Settings, teachers: Teachers | None
) -> None:
    """Raises InputError for settings that do not suit the examples, the model or its teachers."""
    if settings.random_offset and training.labels is not None:
        raise InputError(
            "train_model: random_offset needs a stream of text, and items have none; "
            "set it to false"
        )
    if settings.seq_len_warmup is not None:
        _check_growth(settings.seq_len_warmup, training)
    if teachers and teachers.reduction not in REDUCTIONS:
        raise InputError(
            f"distill_model: reduction '{teachers.reduction}' must be one of "
            f"{', '.join(REDUCTIONS)}"
        )
    for reader in (model, *(teachers.models if teachers else ())):
        _check_window(reader, training.ids.shape[1])


def _check_growth(growth: dict, training: Examples) -> None:
    """Raises InputError where the examples cannot be cut into sequences as `growth` says."""
    if training.labels is not None:
        raise InputError(
            "train_model: seq_len_warmup cuts a stream of text, and items are none; set it to null"
        )
    chunk, start = training.ids.shape[1], growth["start"]
    if start < 2 or chunk % start:
        raise InputError(
            f"train_model: seq_len_warmup: start must be a divisor of seq_len {chunk} and at "
            f"least 2, not {start}"
        )


def _check_window(model: PreTrainedModel, length: int) -> None:
    """Raises InputError where the model's window is shorter than the examples."""
    window = getattr(model.config, "max_position_embeddings", None)
    if window is not None and window < length:
        raise InputError(
            f"params.yaml: shape: the model's window of {window} tokens is shorter than the "
            f"training examples of {length}"
        )


def _check_keep_steps(keep_steps: Sequence[int], n_steps: int) -> None:
    beyond = [step for step in keep_steps if not 0 < step <= n_steps]
    if beyond:
        raise InputError(
            f"train_model: there is no step {beyond[0]} to keep; expected one of the {n_steps} "
            "steps of the training"
        )
