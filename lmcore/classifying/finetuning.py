"""Fine-tuning a classifier: tokenised examples go in, trained weights and a curve come out.

The procedure is the official one of BabyLM: AdamW on body and head, whose weight decay concerns all
parameters; linear warmup, then half a cosine to a share of the peak; the mean cross-entropy of a
batch, without clipping; every epoch has its own order, and its last batch is dropped where it is
not full. After each epoch the valid split is predicted. The epoch whose metric there is best
predicts in the end, the first of equal ones. So the reported figure was chosen on the very examples
that it is about, which flatters; the curve has the last epoch, too, which was not chosen.

Order and dropout are pure functions of seed, epoch and step. A killed run goes on from its last
checkpoint, at the end of an epoch or a few minutes ago, and ends in the same bytes.

Source: https://github.com/babylm/evaluation-pipeline-2025, evaluation_pipeline/finetune/trainer.py
and utils.py. Its moving average of weights has a decay of 0 and so changes nothing.
"""

import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from lmcore.classifying.encoding import Encoded, Padding, pad
from lmcore.classifying.model import Classifier
from lmcore.classifying.settings import Settings
from lmcore.classifying.tasks import Task
from lmcore.errors import InputError
from lmcore.machine.memory import keep_freed_memory
from lmcore.machine.progress import Progress
from lmcore.statistics.confusion import MEASURES, confusion
from lmcore.training import ranks
from lmcore.training.checkpoints import drop_steps, load_weights, resume, save_state, save_weights

BETAS, EPS = (0.9, 0.999), 1e-8  # of AdamW, the official ones
PREDICTED_AT_ONCE = 64  # examples, as in the official pipeline
CHECKPOINT_SECONDS = 300  # between two checkpoints within an epoch; it changes no byte


def finetune(
    classifier: Classifier,
    task: Task,
    training: Encoded,
    valid: Encoded,
    padding: Padding,
    work: Path,
    settings: Settings,
    seed: int,
    label: str,
) -> list[dict]:
    """Train `classifier` in place and return its curve, one row an epoch.

    A row has epoch, step, lr, train_loss and valid_loss (nats per example), and accuracy, f1 (of
    two labels) and mcc on valid. The classifier ends with the weights that `settings.keep` names,
    on its device. The folder `work` holds the checkpoint. `label` names the run in the progress.

    Raises InputError for fewer examples than a batch has, where the loss is no longer finite, and
    where a checkpoint cannot be written.
    """
    keep_freed_memory()
    torch.set_num_threads(settings.threads)
    if len(training.ids) < settings.batch_size:
        raise InputError(
            f"finetune_classifier: {len(training.ids)} examples are fewer than one batch of"
            f" {settings.batch_size}; set a smaller batch_size"
        )
    run = _Run(classifier, task, training, valid, padding, work, settings, seed)
    run.load_checkpoint()
    run.take_steps(label)
    if settings.keep == "best":
        load_weights(classifier, work, run.best_step(run.curve))
    classifier.eval()
    return run.curve


def learning_rate(step: int, n_steps: int, settings: Settings) -> float:
    """The learning rate of `step` (from 1) of `n_steps`; that of the first step is 0.

    Source: cosine_schedule_with_warmup of the official utils.py, whose steps count from 0.
    """
    n_warmup, before = int(settings.warmup_share * n_steps), step - 1
    if before < n_warmup:
        return settings.lr * before / n_warmup
    progress = (before - n_warmup) / max(1, n_steps - n_warmup)
    least = settings.final_lr_share
    return settings.lr * (least + (1 - least) * 0.5 * (1 + math.cos(math.pi * progress)))


def best_epoch(curve: list[dict], metric: str) -> dict:
    """The row of the curve whose metric is highest, the first of equal ones."""
    return max(curve, key=lambda row: row[metric])


def batches(n: int, batch_size: int, epoch: int, seed: int) -> Iterator[np.ndarray]:
    """The example numbers of each batch of an epoch (from 1); all batches are full."""
    order = np.random.default_rng([seed, epoch]).permutation(n)
    for start in range(0, n - batch_size + 1, batch_size):
        yield order[start : start + batch_size]


@torch.no_grad()
def predict(
    classifier: Classifier, examples: Encoded, padding: Padding, progress: Progress
) -> np.ndarray:
    """(n, labels) float32: the log-probs in nats of the labels of each example, in their order.

    Examples of similar length share a pass, which saves padding. Each counts in `progress`.

    Raises InputError for log-probs that are not finite.
    """
    was_training = classifier.training
    classifier.eval()
    device = next(classifier.parameters()).device
    order = np.argsort(examples.lengths, kind="stable")
    parts = []
    for start in range(0, len(order), PREDICTED_AT_ONCE):
        rows = order[start : start + PREDICTED_AT_ONCE]
        ids, mask = pad([examples.ids[row] for row in rows], padding)
        logits = classifier(ids.to(device), mask.to(device))
        parts.append(logits.float().log_softmax(-1).cpu().numpy())
        progress.advance(len(rows))
    logprobs = np.empty((len(order), parts[0].shape[1]), np.float32)
    logprobs[order] = np.concatenate(parts)
    classifier.train(was_training)
    if not np.isfinite(logprobs).all():
        raise InputError("finetune_classifier: log-probs of labels are not finite; try a lower lr")
    return logprobs


class _Run:
    """A fine-tuning under way: what it is given, and what its steps change."""

    def __init__(
        self,
        classifier: Classifier,
        task: Task,
        training: Encoded,
        valid: Encoded,
        padding: Padding,
        work: Path,
        settings: Settings,
        seed: int,
    ):
        self.task, self.training, self.valid, self.padding = task, training, valid, padding
        self.work, self.settings, self.seed = work, settings, seed
        self.device = ranks.device()
        self.classifier = classifier.to(self.device)
        self.per_epoch = len(training.ids) // settings.batch_size  # steps
        self.n_steps = self.per_epoch * settings.epochs
        self.optimizer = torch.optim.AdamW(
            self.classifier.parameters(),
            lr=settings.lr,
            betas=BETAS,
            eps=EPS,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        self.n_done = 0  # steps that an earlier process took
        self.curve: list[dict] = []
        self.loss = 0.0  # nats, summed over the examples of this epoch
        self.saved_at = time.monotonic()

    def best_step(self, curve: list[dict]) -> int:
        """The last step of the best epoch."""
        return best_epoch(curve, self.task.selected_by)["step"]

    def load_checkpoint(self) -> None:
        """Go on from the checkpoint in the work folder, where there is one."""
        progress = resume(self.work, self.classifier, self.optimizer, (), self.best_step)
        if progress is not None:
            self.n_done, self.curve = progress["step"], progress["curve"]
            self.loss = progress["loss"]
            print(f"going on after step {self.n_done}", flush=True)

    def take_steps(self, label: str) -> None:
        """Take the steps that are left; an epoch ends with a row of the curve."""
        size = self.settings.batch_size
        step = 0
        self.classifier.train()
        with self._progress(label) as progress:
            for epoch in range(1, self.settings.epochs + 1):
                for rows in batches(len(self.training.ids), size, epoch, self.seed):
                    step += 1
                    if step <= self.n_done:
                        continue
                    self._take_step(step, rows)
                    progress.advance(size, self._note(epoch))
                    if step % self.per_epoch == 0:
                        self._end_epoch(epoch, step, progress)
                    elif time.monotonic() - self.saved_at > CHECKPOINT_SECONDS:
                        self._save(step)

    def _take_step(self, step: int, rows: np.ndarray) -> None:
        """Update the weights. Raises InputError where the loss is no longer finite."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(step, self.n_steps, self.settings)
        torch.manual_seed(self.seed * 2**44 + step * 2**12)  # of dropout
        size = self.settings.micro_batch_size or len(rows)
        batch_loss = 0.0
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            ids, mask = pad([self.training.ids[row] for row in part], self.padding)
            labels = torch.from_numpy(self.training.labels[part]).to(self.device)
            logits = self.classifier(ids.to(self.device), mask.to(self.device))
            loss = F.cross_entropy(logits.float(), labels, reduction="sum")
            (loss / len(rows)).backward()
            batch_loss += float(loss.detach())
        if not math.isfinite(batch_loss):
            raise InputError(
                f"finetune_classifier: the loss is {batch_loss} at step {step}; try a lower lr than"
                f" {self.settings.lr}; the last good checkpoint is kept"
            )
        self.loss += batch_loss
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def _end_epoch(self, epoch: int, step: int, progress: Progress) -> None:
        """Predict valid, add a row to the curve, and write a checkpoint."""
        logprobs = predict(self.classifier, self.valid, self.padding, progress)
        gold = self.valid.labels
        row = {
            "epoch": epoch,
            "step": step,
            "lr": learning_rate(step, self.n_steps, self.settings),
            "train_loss": self.loss / (self.per_epoch * self.settings.batch_size),
            "valid_loss": -float(logprobs[np.arange(len(gold)), gold].mean(dtype=np.float64)),
            **metrics_of(gold, logprobs.argmax(1), self.task.n_labels),
        }
        self.curve.append(row)
        self.loss = 0.0
        if self.best_step(self.curve) == step:
            save_weights(self.classifier, self.work, step)
        self._save(step)
        drop_steps(self.work, {self.best_step(self.curve)})

    def _progress(self, label: str) -> Progress:
        """The progress in examples, those of train and, after each epoch, those of valid."""
        size, n_valid = self.settings.batch_size, len(self.valid.ids)
        total = self.n_steps * size + self.settings.epochs * n_valid
        n_done = self.n_done * size + len(self.curve) * n_valid
        return Progress(total, label, "example", n_done=n_done)

    def _save(self, step: int) -> None:
        progress = {"step": step, "curve": self.curve, "loss": self.loss}
        save_state(self.work, self.classifier, self.optimizer, progress)
        self.saved_at = time.monotonic()

    def _note(self, epoch: int) -> str:
        if not self.curve:
            return f"epoch {epoch}"
        metric = self.task.selected_by
        return f"epoch {epoch}, {metric} on valid {self.curve[-1][metric]:.3f}"


def metrics_of(gold: np.ndarray, predicted: np.ndarray, n_labels: int) -> dict[str, float]:
    """Accuracy, F1 (of two labels) and MCC of predictions (n,)."""
    cells = confusion(gold, predicted, n_labels)
    return {name: MEASURES[name](cells) for name in measures(n_labels)}


def measures(n_labels: int) -> list[str]:
    """The names of the metrics that a task with so many labels has."""
    return [name for name in MEASURES if name != "f1" or n_labels == 2]
