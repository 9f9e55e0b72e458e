"""The objective of one pass: a model, token ids and labels go in, summed losses come out.

Teachers, where there are any, read the same ids without gradients.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from transformers import PreTrainedModel

from lmcore.params.ranges import Positive, Share
from lmcore.training.llama_pass import can_run, hidden_states
from lmcore.training.loss import Target, sum_loss

Reduction = Literal["token", "batchmean"]
REDUCTIONS = ("token", "batchmean")


class Teachers(NamedTuple):
    """The models that a student learns from, and how much they count.

    See lmcore.training.loss.Target for `alpha` and `temperature`. With the reduction `token`, the
    KL divergence is counted per token, as the cross-entropy is. With `batchmean`, it is as in the
    published recipe: summed over a chunk's tokens and divided by the number of chunks.
    """

    models: Sequence[PreTrainedModel]
    alpha: Share
    temperature: Positive
    reduction: Reduction


class PassLoss(NamedTuple):
    """The losses of one pass, summed over its targets."""

    objective: torch.Tensor  # to be differentiated
    cross_entropy: torch.Tensor  # in nats
    n_targets: int


def pass_loss(
    model: PreTrainedModel,
    ids: torch.Tensor,
    labels: torch.Tensor,
    dtype: torch.dtype,
    compiled: bool = False,
    teachers: Teachers | None = None,
) -> PassLoss:
    """The losses of ids (B, T) with labels (B, T - 1); a label below zero is no target."""
    flat = labels.flatten()
    rows = None if labels.min() >= 0 else (flat >= 0).nonzero().squeeze(1)
    hidden = _states(model, ids, dtype, compiled)
    target = None if teachers is None else _target(teachers, ids, rows, dtype)
    if rows is not None:
        hidden, flat = hidden[rows], flat[rows]
    objective, cross_entropy = sum_loss(
        hidden, _head(model), flat, target, compiled and can_run(model)
    )
    return PassLoss(objective, cross_entropy, len(flat))


def _target(
    teachers: Teachers, ids: torch.Tensor, rows: torch.Tensor | None, dtype: torch.dtype
) -> Target:
    """What the teachers add to the loss of ids (B, T).

    `rows` are the numbers of the states that predict a target; None: all of them.
    """
    with torch.no_grad():
        outputs = [
            (_states(teacher, ids, dtype, False), _head(teacher).to(dtype))
            for teacher in teachers.models
        ]
    if rows is not None:
        outputs = [(states[rows], head) for states, head in outputs]

    def logits(start: int, stop: int) -> torch.Tensor:
        each = [F.linear(states[start:stop], head).float() for states, head in outputs]
        return torch.stack(each).mean(0)

    n_predicted = ids.shape[1] - 1  # tokens of a chunk
    weight = 1.0 if teachers.reduction == "token" else float(n_predicted)
    return Target(logits, teachers.alpha, teachers.temperature, weight)


def _states(
    model: PreTrainedModel, ids: torch.Tensor, dtype: torch.dtype, compiled: bool
) -> torch.Tensor:
    """The states (B * (T - 1), H) that predict ids[:, 1:].

    Those of the last token are computed and not used: products are faster with round lengths.
    """
    return hidden_states(model, ids, dtype, compiled).unflatten(0, ids.shape)[:, :-1].flatten(0, 1)


def _head(model: PreTrainedModel) -> torch.Tensor:
    return model.get_output_embeddings().weight
