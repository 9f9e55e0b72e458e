"""A language model that knows nothing: standard normal logits, a pure function of (seed, prefix), so that neither batching nor order
changes them.

Each of the config's `seeds` is one draw; `model.draw` says which one forward() gives. What such a model prefers is shorter text: with
V random logits every token costs about log V + 1/2 nats, so it is a baseline of length, not of chance.
"""

from pathlib import Path

import torch
from transformers import GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

ROWS = 16  # rows of logits made at a time: few enough to stay in the cache


class DummyConfig(PretrainedConfig):
    model_type = "lmcore_dummy"

    def __init__(self, vocab_size: int = 0, seeds: list[int] | None = None, max_position_embeddings: int = 2048, **kwargs):
        self.vocab_size = vocab_size
        self.seeds = seeds or [0]
        self.max_position_embeddings = max_position_embeddings
        self.num_hidden_layers = 0
        super().__init__(**kwargs)


class DummyForCausalLM(PreTrainedModel, GenerationMixin):
    config_class = DummyConfig
    main_input_name = "input_ids"

    def __init__(self, config: DummyConfig):
        super().__init__(config)
        self.draw = 0
        self.anchor = torch.nn.Parameter(torch.zeros(1))  # gives the model a device and a dtype; it is never used
        self.post_init()

    @classmethod
    def load(cls, path: Path) -> "DummyForCausalLM":
        return cls(DummyConfig.from_pretrained(path))

    def _init_weights(self, module):
        pass

    def prepare_inputs_for_generation(self, input_ids, attention_mask=None, **kwargs):  # type: ignore[override]
        return {"input_ids": input_ids, "attention_mask": attention_mask}  # no cache: every row depends on its whole prefix

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **kwargs) -> CausalLMOutput:
        """Logits (B, T, V) float32; padding, where attention_mask is 0, is no part of a prefix."""
        state = torch.full_like(input_ids[:, 0], _signed(self.config.seeds[self.draw]))
        states = []
        for t in range(input_ids.shape[1]):
            following = _mix(_mix(state) + input_ids[:, t] + 1)
            state = following if attention_mask is None else torch.where(attention_mask[:, t].bool(), following, state)
            states.append(state)
        prefixes = torch.stack(states, 1)
        logits = torch.empty(*prefixes.shape, self.config.vocab_size, device=input_ids.device)
        flat, n_pairs = logits.flatten(0, 1), (self.config.vocab_size + 1) // 2
        steps = torch.arange(1, n_pairs + 1, device=input_ids.device) * _signed(0x9E3779B97F4A7C15)
        for start in range(0, len(flat), ROWS):
            first, second = _normals(_mix(prefixes.flatten()[start : start + ROWS, None] + steps))
            flat[start : start + ROWS, :n_pairs] = first
            flat[start : start + ROWS, n_pairs:] = second[:, : self.config.vocab_size - n_pairs]
        return CausalLMOutput(logits=logits)


def _signed(value: int) -> int:
    """The int64 with the same 64 bits as `value`."""
    value &= 2**64 - 1
    return value - 2**64 if value >= 2**63 else value


def _mix(x: torch.Tensor) -> torch.Tensor:
    """The finaliser of SplitMix64 (Steele, Lea & Flood 2014) on int64 tensors, whose products wrap around."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        x = _xor_shift(x, shift).mul_(_signed(factor))
    return _xor_shift(x, 31)


def _xor_shift(x: torch.Tensor, n: int) -> torch.Tensor:
    """x ^ (x >> n) with a logical shift: torch's own copies the sign bit of an int64."""
    return (x >> n).bitwise_and_((1 << (64 - n)) - 1).bitwise_xor_(x)


def _normals(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Two standard normal float32 from each uniform 64-bit integer, by Box and Muller's method."""
    radius = (x >> 40).bitwise_and_(0xFFFFFF).float().add_(0.5).div_(2**24).log_().mul_(-2).sqrt_()
    angle = (x & 0xFFFFFF).float().mul_(2 * torch.pi / 2**24)
    return angle.cos().mul_(radius), angle.sin_().mul_(radius)
