"""The learning rate by step, and the length of the sequences by step."""

import math
from collections.abc import Mapping
from typing import Literal, TypedDict

from lmcore.params.ranges import Count

Schedule = Literal["cosine", "linear"]


class Growth(TypedDict):
    """A sequence-length warm-up: from `start` tokens to the whole chunk in `steps` steps."""

    start: Count
    steps: Count


def schedule(step: int, warmup_steps: int, steps: int, shape: Schedule = "cosine") -> float:
    """The share of the peak learning rate at `step` (from 1).

    It rises linearly to 1 over the warmup, then falls to 0 at the last step: as half a cosine, or
    on a straight line.

    Source of `linear`: Bergsma et al. 2025, https://arxiv.org/abs/2502.15938 (D2Z).
    """
    if step <= warmup_steps:
        return step / warmup_steps
    if shape == "linear":
        return (steps - step) / max(1, steps - warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * (step - warmup_steps) / max(1, steps - warmup_steps)))


def sequence_length(step: int, chunk: int, growth: Mapping[str, int] | None) -> int:
    """The tokens of a sequence at `step` (from 1), where chunks have `chunk` tokens.

    The length grows linearly from `start` at the first step to `chunk` after `steps` steps. It is
    rounded down to a divisor of `chunk`, so that a chunk is cut into equal sequences and no token
    is lost or padded. `growth` is a Growth; None: always the whole chunk.

    Source: Li et al. 2022, https://arxiv.org/abs/2108.06084 (the linear growth); Press et al. 2021,
    https://aclanthology.org/2021.acl-long.427 (shorter sequences, as many tokens a step).
    """
    if growth is None or step > growth["steps"]:
        return chunk
    start = growth["start"]
    wanted = start + (chunk - start) * (step - 1) // growth["steps"]
    return next(length for length in range(wanted, 0, -1) if chunk % length == 0)
