"""A model that knows how often each token occurs, and nothing else.

Its logits are the same at every position: the log of smoothed corpus counts.
"""

import numpy as np
import torch
from transformers import GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput


class UnigramConfig(PretrainedConfig):
    """The config.json of the unigram model: its vocabulary and its context length."""

    model_type = "lmcore_unigram"

    def __init__(self, vocab_size: int = 0, max_position_embeddings: int = 2048, **kwargs):
        self.vocab_size = vocab_size
        self.max_position_embeddings = max_position_embeddings
        self.num_hidden_layers = 0
        super().__init__(**kwargs)


class UnigramForCausalLM(PreTrainedModel, GenerationMixin):
    """The unigram model as a transformers model; its one weight is a row of logits (V,)."""

    config_class = UnigramConfig
    main_input_name = "input_ids"

    def __init__(self, config: UnigramConfig):
        super().__init__(config)
        self.logits = torch.nn.Parameter(torch.zeros(config.vocab_size))
        self.post_init()

    @classmethod
    def from_counts(cls, counts: np.ndarray, config: UnigramConfig) -> "UnigramForCausalLM":
        """The model of token `counts` (V,).

        One is added to each count, so that no token is impossible (Laplace's rule).
        """
        model = cls(config)
        smoothed = counts.astype(np.float64) + 1
        model.logits.data = torch.from_numpy(np.log(smoothed / smoothed.sum())).float()
        return model.eval()

    def _init_weights(self, module):
        pass

    def prepare_inputs_for_generation(self, input_ids, attention_mask=None, **kwargs):  # type: ignore[override]
        return {"input_ids": input_ids}

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **kwargs
    ) -> CausalLMOutput:
        """Logits (B, T, V) float32, the same row everywhere."""
        return CausalLMOutput(logits=self.logits.expand(*input_ids.shape, -1))
