"""How the next token is chosen: logits go in, truncated distributions and drawn ids come out.

Temperature comes first, then top-k, top-p, min-p and typical-p, each on what the one before left,
by transformers' warpers except for typical-p. Temperature 0 is greedy.
"""

import hashlib
from typing import NamedTuple

import numpy as np
import torch
from transformers import (
    LogitsProcessor,
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from lmcore.errors import InputError
from lmcore.params.ranges import NonNegative, Share, UpToOne, Whole


class Decoding(NamedTuple):
    """How tokens are chosen.

    top_k 0, top_p 1, min_p 0 and typical_p 1 leave the distribution as it is.
    """

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
    """Log-probs (B, V) of the distribution that is drawn from; -inf for what is cut off.

    Greedy decoding leaves the one top token.

    Source: Fan et al. 2018 (top-k), Holtzman et al. 2020 (top-p), Nguyen et al. 2024 (min-p),
    Meister et al. 2023 (locally typical sampling: the tokens whose surprisal is nearest to the
    entropy, until their mass reaches typical_p).
    """
    if decoding.temperature == 0:
        only = torch.full_like(logits, -torch.inf)
        return only.scatter_(1, logits.argmax(1, keepdim=True), 0.0)
    for warper in _warpers(decoding, logits.shape[1]):
        logits = warper(None, logits)
    if decoding.typical_p < 1:
        logits = _cut_typical_p(logits, decoding.typical_p)
    return logits.log_softmax(1)


def _warpers(decoding: Decoding, vocab_size: int) -> list[LogitsProcessor]:
    """The warpers of transformers that `decoding` asks for, in their order."""
    warpers: list[LogitsProcessor] = [TemperatureLogitsWarper(float(decoding.temperature))]
    if 0 < decoding.top_k < vocab_size:
        warpers.append(TopKLogitsWarper(decoding.top_k))
    if decoding.top_p < 1:
        warpers.append(TopPLogitsWarper(decoding.top_p))
    if decoding.min_p > 0:
        warpers.append(MinPLogitsWarper(decoding.min_p))
    return warpers


def _cut_typical_p(logits: torch.Tensor, typical_p: float) -> torch.Tensor:
    """Logits (B, V) of the most typical tokens alone, until their mass reaches typical_p."""
    # not TypicalLogitsWarper, which keeps all tokens that tie at the cut: of a uniform model, all
    logprobs = logits.log_softmax(1)
    distance = (-logprobs - entropy(logprobs)[:, None]).abs().nan_to_num(posinf=torch.inf)
    order = distance.sort(1).indices
    mass = logprobs.exp().gather(1, order).cumsum(1)
    is_out = mass - logprobs.exp().gather(1, order) >= typical_p
    return logits.masked_fill(torch.zeros_like(is_out).scatter_(1, order, is_out), -torch.inf)


def draw(logprobs: torch.Tensor, uniform: np.ndarray) -> np.ndarray:
    """(B,) ids: where each of the `uniform` numbers (B,) falls in its row's distribution."""
    cumulative = logprobs.double().exp().cumsum(1).numpy()
    at = uniform * cumulative[:, -1]
    return (cumulative <= at[:, None]).sum(1).clip(max=cumulative.shape[1] - 1)


def random_numbers(seed: int, item: str) -> np.random.Generator:
    """The uniform numbers of one prompt under one seed.

    They are the same whatever else is generated.
    """
    digest = hashlib.sha256(f"{seed} {item}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))


def entropy(logprobs: torch.Tensor) -> torch.Tensor:
    """The entropies (B,) in nats of log-probs (B, V)."""
    return (-torch.where(logprobs.isneginf(), 0.0, logprobs.exp() * logprobs).sum(1)).clamp_min(0)
