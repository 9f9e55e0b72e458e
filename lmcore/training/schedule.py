"""The learning rate by step."""

import math


def schedule(step: int, warmup_steps: int, steps: int) -> float:
    """The share of the peak learning rate at `step` (from 1).

    It rises linearly to 1 over the warmup, then falls as half a cosine to 0 at the last step.
    """
    if step <= warmup_steps:
        return step / warmup_steps
    return 0.5 * (1 + math.cos(math.pi * (step - warmup_steps) / max(1, steps - warmup_steps)))
