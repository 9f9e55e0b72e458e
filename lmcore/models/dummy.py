"""A language model that knows nothing: its logits are standard normal random numbers.

They are a pure function of (seed, prefix), so neither batching nor order changes them. Each of the
config's `seeds` is one draw; `model.draw` says which draw forward() gives.

Such a model prefers shorter texts: with V random logits every token costs about log V + 1/2 nats.
It is therefore a baseline for the effect of length, not for chance.
"""

from pathlib import Path

import torch
from transformers import GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

from lmcore.models.random_logits import random_logits


class DummyConfig(PretrainedConfig):
    """The config.json of the dummy: its vocabulary, its context length and its seeds."""

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
    """The dummy as a transformers model. It has no weights to load; its config is all it needs."""

    config_class = DummyConfig
    main_input_name = "input_ids"

    def __init__(self, config: DummyConfig):
        super().__init__(config)
        self.draw = 0
        # never used: it gives the model a device and a dtype
        self.anchor = torch.nn.Parameter(torch.zeros(1))
        self.post_init()

    @classmethod
    def load(cls, path: Path) -> "DummyForCausalLM":
        """The dummy of the model folder `path`."""
        return cls(DummyConfig.from_pretrained(path))

    def _init_weights(self, module):
        pass

    def prepare_inputs_for_generation(self, input_ids, attention_mask=None, **kwargs):  # type: ignore[override]
        # every row of logits depends on the whole prefix, so there is no cache
        return {"input_ids": input_ids, "attention_mask": attention_mask}

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **kwargs
    ) -> CausalLMOutput:
        """Logits (B, T, V) float32; padding, where attention_mask is 0, is no part of a prefix."""
        seed = self.config.seeds[self.draw]
        return CausalLMOutput(
            logits=random_logits(input_ids, attention_mask, seed, self.config.vocab_size)
        )
