"""The training loss and its gradient: hidden states and the head's weights go in, nats come out.

Both are computed over chunks of rows, so logits (N, V) never exist whole, neither in the forward
nor in the backward pass. While a chunk of them is in the cache, the gradients of the hidden states
and of the head are taken from it; then it is dropped. Both the loss and its gradient are sums over
tokens; callers that need a mean divide. Half-precision logits are made float32 before the softmax.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F

CHUNK = 2**25  # bytes of the logits that exist at a time, in the dtype of products


class Target(NamedTuple):
    """What teachers add to the loss.

    The loss is alpha * cross-entropy + (1 - alpha) * weight * T^2 * KL(teachers || student), with
    both sides of the KL divergence softened by the temperature T.

    Source: Hinton et al. 2015, https://arxiv.org/abs/1503.02531; logits averaged over teachers
    before the softmax, as BabyLlama has it.
    """

    # (start, stop) -> the teachers' averaged logits (stop - start, V) of these rows, float32
    logits: Callable[[int, int], torch.Tensor]
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
    """The summed objective, to be differentiated, and the summed cross-entropy in nats.

    The two are the same without teachers.

    hidden: (N, H) in the dtype that products are taken in; head: (V, H) float32; labels: (N,)
    int64.
    """
    if torch.is_grad_enabled():
        return _SumLoss.apply(hidden, head, labels, target, compiled)
    if not len(labels):
        total = hidden.new_zeros((), dtype=torch.float32)
        return total, total
    sums = []
    for logits, chunk_labels, _ in _chunks(hidden, head.to(hidden.dtype), labels):
        sums.append(F.cross_entropy(logits.float(), chunk_labels, reduction="sum"))
    total = torch.stack(sums).sum()
    return total, total


def _chunks(hidden: torch.Tensor, head: torch.Tensor, labels: torch.Tensor):
    """(logits, labels, rows) of each chunk; chunks are of about equal size."""
    most = max(1, CHUNK // (head.element_size() * len(head)))
    n_chunks = max(1, -(-len(labels) // most))
    n_rows = max(1, -(-len(labels) // n_chunks))
    for start in range(0, len(labels), n_rows):
        rows = slice(start, min(start + n_rows, len(labels)))
        yield F.linear(hidden[rows], head), labels[rows], rows


class _SumLoss(torch.autograd.Function):
    """`sum_loss`, with the gradients computed in the forward pass."""

    @staticmethod
    def forward(ctx, hidden, head, labels, target, compiled):
        weight = head.to(hidden.dtype)
        objective = hidden.new_zeros((), dtype=torch.float32)
        entropy = torch.zeros_like(objective)
        hidden_gradient, head_gradient = torch.empty_like(hidden), torch.zeros_like(head)
        is_compiled = compiled and target is None
        cross_entropy_of = _compiled(_cross_entropy) if is_compiled else _cross_entropy
        add = _compiled(_add) if compiled else _add
        for logits, chunk_labels, rows in _chunks(hidden, weight, labels):
            cross_entropy, gradient = cross_entropy_of(logits, chunk_labels)
            loss = cross_entropy
            if target is not None:
                teacher_logits = target.logits(rows.start, rows.stop)
                divergence, divergence_gradient = _divergence(
                    logits, teacher_logits, target.temperature
                )
                share = (1 - target.alpha) * target.weight
                loss = target.alpha * cross_entropy + share * divergence
                gradient = gradient.mul_(target.alpha).add_(divergence_gradient, alpha=share)
            objective, entropy = objective + loss, entropy + cross_entropy
            torch.mm(gradient, weight, out=hidden_gradient[rows])
            add(head_gradient, gradient.t() @ hidden[rows])
        ctx.save_for_backward(hidden_gradient, head_gradient)
        ctx.mark_non_differentiable(entropy)
        return objective, entropy

    @staticmethod
    def backward(ctx, scale, _):
        hidden_gradient, head_gradient = ctx.saved_tensors
        hidden_gradient = hidden_gradient * scale.to(hidden_gradient.dtype)
        head_gradient = head_gradient.mul_(scale)
        return hidden_gradient, head_gradient, None, None, None


def _cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Summed cross-entropy of logits (n, V), and its gradient (n, V) in their dtype."""
    x, labels = logits.float(), labels[:, None]
    of_labels, largest = x.gather(1, labels), x.amax(1, keepdim=True)
    x = (x - largest).exp_()
    total = x.sum(1, keepdim=True)
    log_total = total.log() + largest
    gradient = x.mul_(1 / total).to(logits.dtype)
    loss = (log_total - of_labels).sum()
    label_gradient = ((of_labels - log_total).exp() - 1).to(logits.dtype)
    return loss, gradient.scatter_(1, labels, label_gradient)


def _add(total: torch.Tensor, part: torch.Tensor) -> None:
    """total += part.

    This is a function to be compiled: without it, torch would first make a float32 copy of a `part`
    in half precision.
    """
    total.add_(part)


@functools.cache
def _compiled(function: Callable) -> Callable:
    return torch.compile(function, dynamic=False)


def _divergence(
    logits: torch.Tensor, teachers: torch.Tensor, temperature: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Summed T^2 * KL(teachers || student) of logits (n, V) softened by T, and its gradient.

    The gradient (n, V) is that with respect to the logits, in their dtype.
    """
    student_logprobs = F.log_softmax(logits.float() / temperature, 1)
    teacher_logprobs = F.log_softmax(teachers / temperature, 1)
    probabilities = teacher_logprobs.exp()
    total = (probabilities * (teacher_logprobs - student_logprobs)).sum() * temperature**2
    gradient = (student_logprobs.exp_() - probabilities).mul_(temperature)
    return total, gradient.to(logits.dtype)
