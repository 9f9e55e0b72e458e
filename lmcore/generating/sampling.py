"""From what a model says of the next token to the token that is taken: logits go in, truncated distributions and drawn ids come out.

Temperature first, then top-k, top-p, min-p and typical-p, each on what the one before left, as transformers' warpers do it. Temperature
0 is greedy.
"""

import hashlib
from typing import NamedTuple

import numpy as np
import torch

from lmcore.errors import InputError
from lmcore.params.ranges import NonNegative, Share, UpToOne, Whole


class Decoding(NamedTuple):
    """How tokens are taken; top_k 0, top_p 1, min_p 0 and typical_p 1 leave the distribution as it is."""

    temperature: NonNegative = 0.0
    top_k: Whole = 0
    top_p: UpToOne = 1.0
    min_p: Share = 0.0
    typical_p: UpToOne = 1.0


def check_decoding(name: str, decoding: Decoding) -> None:
    """Raises InputError for a number out of its range, naming the decoding."""
    ranges = {
        "temperature": (decoding.temperature >= 0, "at least 0"),
        "top_k": (decoding.top_k >= 0, "at least 0"),
        "top_p": (0 < decoding.top_p <= 1, "above 0 and at most 1"),
        "min_p": (0 <= decoding.min_p <= 1, "from 0 to 1"),
        "typical_p": (0 < decoding.typical_p <= 1, "above 0 and at most 1"),
    }
    for key, (is_right, expected) in ranges.items():
        if not is_right:
            raise InputError(
                f"decoding '{name}': {key} must be {expected}, not {getattr(decoding, key)}"
            )


def truncated(logits: torch.Tensor, decoding: Decoding) -> torch.Tensor:
    """Log-probs (B, V) of the distribution that is drawn from, -inf for what is cut off; of greedy decoding, the one top token.

    Source: Fan et al. 2018 (top-k), Holtzman et al. 2020 (top-p), Nguyen et al. 2024 (min-p), Meister et al. 2023
    (locally typical sampling: the tokens whose surprisal is nearest to the entropy, until their mass reaches typical_p).
    """
    if decoding.temperature == 0:
        only = torch.full_like(logits, -torch.inf)
        return only.scatter_(1, logits.argmax(1, keepdim=True), 0.0)
    logits = logits / decoding.temperature
    if 0 < decoding.top_k < logits.shape[1]:
        logits = logits.masked_fill(logits < logits.topk(decoding.top_k).values[:, -1:], -torch.inf)
    if decoding.top_p < 1:
        ascending, order = logits.sort(1)
        out = ascending.softmax(1).cumsum(1) <= 1 - decoding.top_p
        out[:, -1] = False
        logits = logits.masked_fill(torch.zeros_like(out).scatter_(1, order, out), -torch.inf)
    if decoding.min_p > 0:
        probability = logits.softmax(1)
        logits = logits.masked_fill(
            probability < decoding.min_p * probability.max(1, keepdim=True).values, -torch.inf
        )
    if decoding.typical_p < 1:
        logprobs = logits.log_softmax(1)
        distance = (-logprobs - entropy(logprobs)[:, None]).abs().nan_to_num(posinf=torch.inf)
        order = distance.sort(1).indices
        mass = logprobs.exp().gather(1, order).cumsum(1)
        out = mass - logprobs.exp().gather(1, order) >= decoding.typical_p
        logits = logits.masked_fill(torch.zeros_like(out).scatter_(1, order, out), -torch.inf)
    return logits.log_softmax(1)


def draw(logprobs: torch.Tensor, uniform: np.ndarray) -> np.ndarray:
    """(B,) ids: where each of the `uniform` numbers (B,) falls in the row's cumulative distribution."""
    cumulative = logprobs.double().exp().cumsum(1).numpy()
    at = uniform * cumulative[:, -1]
    return (cumulative <= at[:, None]).sum(1).clip(max=cumulative.shape[1] - 1)


def random_numbers(seed: int, item: str) -> np.random.Generator:
    """The uniform numbers of one prompt under one seed: whatever else is generated, they are the same."""
    return np.random.default_rng(
        int.from_bytes(hashlib.sha256(f"{seed} {item}".encode()).digest()[:8], "big")
    )


def entropy(logprobs: torch.Tensor) -> torch.Tensor:
    """(B,) nats."""
    return (-torch.where(logprobs.isneginf(), 0.0, logprobs.exp() * logprobs).sum(1)).clamp_min(0)
