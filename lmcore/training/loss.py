"""The training loss and its gradient, over chunks of rows: hidden states and the head's weights go in, nats come out.

Logits (N, V) never exist whole, neither in the forward nor in the backward pass: while a chunk of them is in the cache, the gradients of
the hidden states and of the head are taken from it, and it is dropped. Both the loss and its gradient are sums over tokens; whoever needs a
mean divides. Half-precision logits are made float32 before the softmax.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F

CHUNK = 2**25  # bytes of the logits that exist at a time, in the dtype of products


class Target(NamedTuple):
    """What teachers add to the loss: (1 - alpha) * weight * T^2 * KL(teachers || student) beside alpha * cross-entropy, both softened by T.

    Source: Hinton et al. 2015, https://arxiv.org/abs/1503.02531; logits averaged over teachers before the softmax, as BabyLlama has it.
    """

    logits: Callable[
        [int, int], torch.Tensor
    ]  # (start, stop) -> the teachers' averaged logits (stop - start, V) of these rows, float32
    alpha: float
    temperature: float
    weight: float


def sum_loss(
    hidden: torch.Tensor,
    head: torch.Tensor,
    labels: torch.Tensor,
    target: Target | None = None,
    compiled: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The summed objective, to be differentiated, and the summed cross-entropy in nats, which is the same without teachers.

    hidden: (N, H) in the dtype that products are taken in; head: (V, H) float32; labels: (N,) int64.
    """
    if not torch.is_grad_enabled():
        pieces = _chunks(hidden, head.to(hidden.dtype), labels)
        totals = [
            F.cross_entropy(logits.float(), part, reduction="sum") for logits, part, _ in pieces
        ]
        return (total := torch.stack(totals).sum()), total
    return _SumLoss.apply(hidden, head, labels, target, compiled)


def _chunks(hidden: torch.Tensor, head: torch.Tensor, labels: torch.Tensor):
    """(logits, labels, rows) a chunk, of about equal size."""
    most = max(1, CHUNK // (head.element_size() * len(head)))
    rows = -(-len(labels) // max(1, -(-len(labels) // most)))
    for start in range(0, len(labels), rows):
        part = slice(start, min(start + rows, len(labels)))
        yield F.linear(hidden[part], head), labels[part], part


class _SumLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx, hidden, head, labels, target, compiled):
        weight = head.to(hidden.dtype)
        objective, entropy = hidden.new_zeros(2, dtype=torch.float32)
        hidden_gradient, head_gradient = torch.empty_like(hidden), torch.zeros_like(head)
        piece = _compiled(_piece) if compiled and target is None else _piece
        add = _compiled(_add) if compiled else _add
        for logits, part, rows in _chunks(hidden, weight, labels):
            cross_entropy, gradient = piece(logits, part)
            loss = cross_entropy
            if target is not None:
                divergence, towards = _divergence(
                    logits, target.logits(rows.start, rows.stop), target.temperature
                )
                share = (1 - target.alpha) * target.weight
                loss = target.alpha * cross_entropy + share * divergence
                gradient = gradient.mul_(target.alpha).add_(towards, alpha=share)
            objective, entropy = objective + loss, entropy + cross_entropy
            torch.mm(gradient, weight, out=hidden_gradient[rows])
            add(head_gradient, gradient.t() @ hidden[rows])
        ctx.save_for_backward(hidden_gradient, head_gradient)
        ctx.mark_non_differentiable(entropy)
        return objective, entropy

    @staticmethod
    def backward(ctx, scale, _):
        hidden_gradient, head_gradient = ctx.saved_tensors
        return (
            hidden_gradient * scale.to(hidden_gradient.dtype),
            head_gradient.mul_(scale),
            None,
            None,
            None,
        )


def _piece(logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Summed cross-entropy of logits (n, V), and its gradient (n, V) in their dtype."""
    x, labels = logits.float(), labels[:, None]
    own, largest = x.gather(1, labels), x.amax(1, keepdim=True)
    x = (x - largest).exp_()
    total = x.sum(1, keepdim=True)
    log_total = total.log() + largest
    gradient = x.mul_(1 / total).to(logits.dtype)
    return (log_total - own).sum(), gradient.scatter_(
        1, labels, ((own - log_total).exp() - 1).to(logits.dtype)
    )


def _add(total: torch.Tensor, part: torch.Tensor) -> None:
    """total += part; of a `part` in half precision torch would first make a copy in float32."""
    total.add_(part)


@functools.cache
def _compiled(function: Callable) -> Callable:
    return torch.compile(function, dynamic=False)


def _divergence(
    logits: torch.Tensor, teachers: torch.Tensor, temperature: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Summed T^2 * KL(teachers || student) of logits (n, V) softened by T, and its gradient with respect to them, in their dtype."""
    ours, theirs = (
        F.log_softmax(logits.float() / temperature, 1),
        F.log_softmax(teachers / temperature, 1),
    )
    probabilities = theirs.exp()
    total = (probabilities * (theirs - ours)).sum() * temperature**2
    return total, (ours.exp_() - probabilities).mul_(temperature).to(logits.dtype)
