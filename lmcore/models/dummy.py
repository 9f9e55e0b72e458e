"""A language model that knows nothing: standard normal logits, a pure function of (seed, prefix), so that neither batching nor order
changes them.

Each of the config's `seeds` is one draw; `model.draw` says which one forward() gives. What such a model prefers is shorter text: with
V random logits every token costs about log V + 1/2 nats, so it is a baseline of length, not of chance.
"""

from pathlib import Path

import torch
from transformers import GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

from lmcore.models.random_logits import random_logits


class DummyConfig(PretrainedConfig):
    model_type = "lmcore_dummy"

    def __init__(
        self,
        vocab_size: int = 0,
        seeds: list[int] | None = None,
        max_position_embeddings: int = 2048,
        **kwargs,
    ):
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
        self.anchor = torch.nn.Parameter(
            torch.zeros(1)
        )  # gives the model a device and a dtype; it is never used
        self.post_init()

    @classmethod
    def load(cls, path: Path) -> "DummyForCausalLM":
        return cls(DummyConfig.from_pretrained(path))

    def _init_weights(self, module):
        pass

    def prepare_inputs_for_generation(self, input_ids, attention_mask=None, **kwargs):  # type: ignore[override]
        return {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
        }  # no cache: every row depends on its whole prefix

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **kwargs
    ) -> CausalLMOutput:
        """Logits (B, T, V) float32; padding, where attention_mask is 0, is no part of a prefix."""
        seed = self.config.seeds[self.draw]
        return CausalLMOutput(
            logits=random_logits(input_ids, attention_mask, seed, self.config.vocab_size)
        )
