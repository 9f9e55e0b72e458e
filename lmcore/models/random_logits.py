"""Random logits: standard normal float32 numbers.

They are a pure function of (seed, prefix), so neither batching nor order changes them.
"""

import torch

# rows of logits that are made at a time: few enough to stay in the processor's cache
ROWS = 16


def random_logits(
    input_ids: torch.Tensor, attention_mask: torch.Tensor | None, seed: int, vocab_size: int
) -> torch.Tensor:
    """Logits (B, T, V) float32 of ids (B, T).

    Padding, where attention_mask is 0, is no part of a prefix.
    """
    prefixes = hash_prefixes(input_ids, attention_mask, seed)
    return logits_of(prefixes.flatten(), vocab_size).unflatten(0, prefixes.shape)


def logits_of(prefixes: torch.Tensor, vocab_size: int) -> torch.Tensor:
    """Logits (n, V) float32 of hashed prefixes (n,)."""
    logits = torch.empty(len(prefixes), vocab_size, device=prefixes.device)
    n_pairs = (vocab_size + 1) // 2
    steps = torch.arange(1, n_pairs + 1, device=prefixes.device) * _signed(0x9E3779B97F4A7C15)
    for start in range(0, len(logits), ROWS):
        first, second = _normals(_mix(prefixes[start : start + ROWS, None] + steps))
        logits[start : start + ROWS, :n_pairs] = first
        logits[start : start + ROWS, n_pairs:] = second[:, : vocab_size - n_pairs]
    return logits


def hash_prefixes(
    input_ids: torch.Tensor, attention_mask: torch.Tensor | None, seed: int
) -> torch.Tensor:
    """(B, T) int64: 64 random bits for each prefix of the ids (B, T), padding left out."""
    state = torch.full_like(input_ids[:, 0], _signed(seed))
    states = []
    for t in range(input_ids.shape[1]):
        following = _mix(_mix(state) + input_ids[:, t] + 1)
        if attention_mask is not None:
            following = torch.where(attention_mask[:, t].bool(), following, state)
        state = following
        states.append(state)
    return torch.stack(states, 1)


def _signed(value: int) -> int:
    """The int64 with the same 64 bits as `value`."""
    value &= 2**64 - 1
    return value - 2**64 if value >= 2**63 else value


def _mix(x: torch.Tensor) -> torch.Tensor:
    """The finaliser of SplitMix64 on int64 tensors, whose products wrap around.

    Source: Steele, Lea & Flood 2014.
    """
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        x = _xor_shift(x, shift).mul_(_signed(factor))
    return _xor_shift(x, 31)


def _xor_shift(x: torch.Tensor, n: int) -> torch.Tensor:
    """x ^ (x >> n) with a logical shift; torch's own shift copies the sign bit of an int64."""
    return (x >> n).bitwise_and_((1 << (64 - n)) - 1).bitwise_xor_(x)


def _normals(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Two standard normal float32 from each uniform 64-bit integer, by the Box-Muller method."""
    radius = (x >> 40).bitwise_and_(0xFFFFFF).float().add_(0.5).div_(2**24).log_().mul_(-2).sqrt_()
    angle = (x & 0xFFFFFF).float().mul_(2 * torch.pi / 2**24)
    return angle.cos().mul_(radius), angle.sin_().mul_(radius)
