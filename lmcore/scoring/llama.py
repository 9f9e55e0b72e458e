"""A Llama folder's weights, read from its safetensors without transformers, and whether its config is plain Llama.

What goes in is the folder and its config; what comes out are float32 tensors, a layer at a time. Anything unfamiliar is refused by
`can_run` and left to the model's own forward (own.py).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import safe_open

from lmcore.errors import InputError
from lmcore.models.weights import place_of_weights, refuse_untied, tensors

DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64)

SIZES = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")


class Layer(NamedTuple):
    """The weights of one layer; H hidden, F intermediate, d the size of a head."""

    input_norm: torch.Tensor  # (H,)
    post_norm: torch.Tensor  # (H,)
    qkv: torch.Tensor  # ((heads + 2 * kv_heads) * d, H)
    output: torch.Tensor  # (H, heads * d)
    gate: torch.Tensor  # (F, H)
    up: torch.Tensor  # (F, H)
    down: torch.Tensor  # (H, F)


def can_run(config: dict) -> bool:
    """Whether this forward computes exactly what the config describes."""
    rope = config.get("rope_parameters") or {}
    return (
        config["model_type"] == "llama"
        and all(config.get(size) for size in SIZES)  # transformers knows what stands for one that is missing
        and not config.get("rope_scaling")  # how old names and new ones mix is transformers' to decide
        and not ("rope_theta" in config and "rope_theta" in rope and config["rope_theta"] != rope["rope_theta"])
        and config.get("hidden_act", "silu") == "silu"
        and not config.get("attention_bias")
        and not config.get("mlp_bias")
        and not config.get("quantization_config")
        and not config.get("sliding_window")
        and rope.get("rope_type", rope.get("type", "default")) == "default"
        and rope.get("partial_rotary_factor", config.get("partial_rotary_factor", 1)) == 1
    )


class LlamaWeights:
    """The shape of a Llama and its tensors, each read when it is asked for."""

    def __init__(self, path: Path, config: dict):
        self.is_tied = config.get("tie_word_embeddings", False)
        self.files = Weights(path, self.is_tied)
        self.n_layers, self.vocab_size = config["num_hidden_layers"], config["vocab_size"]
        self.hidden_size, self.ffn_size = config["hidden_size"], config["intermediate_size"]
        self.n_heads = config["num_attention_heads"]
        self.n_kv_heads = config.get("num_key_value_heads") or self.n_heads
        self.head_size = config.get("head_dim") or self.hidden_size // self.n_heads
        self.eps = config.get("rms_norm_eps", 1e-6)
        self.theta = (config.get("rope_parameters") or {}).get("rope_theta") or config.get("rope_theta") or 10000.0

    def embedding(self) -> torch.Tensor:
        return self.files.take("model.embed_tokens.weight", (self.vocab_size, self.hidden_size))

    def head(self) -> torch.Tensor:
        return self.embedding() if self.is_tied else self.files.take("lm_head.weight", (self.vocab_size, self.hidden_size))

    def norm(self) -> torch.Tensor:
        return self.files.take("model.norm.weight", (self.hidden_size,))

    def rotary(self, n_positions: int) -> tuple[torch.Tensor, torch.Tensor]:
        """cos and sin (n_positions, d / 2) float32 of the rotary angles."""
        frequencies = 1.0 / self.theta ** (torch.arange(0, self.head_size, 2).float() / self.head_size)
        angles = torch.outer(torch.arange(n_positions).float(), frequencies)
        return angles.cos(), angles.sin()

    def layers(self) -> Iterator[Layer]:
        """Raises InputError where weights are missing or of another shape than the config says."""
        hidden, ffn, wide, narrow = self.hidden_size, self.ffn_size, self.n_heads * self.head_size, self.n_kv_heads * self.head_size
        for i in range(self.n_layers):

            def take(name: str, *shape: int, prefix: str = f"model.layers.{i}") -> torch.Tensor:
                return self.files.take(f"{prefix}.{name}.weight", shape)

            yield Layer(
                take("input_layernorm", hidden),
                take("post_attention_layernorm", hidden),
                torch.cat([take(f"self_attn.{name}_proj", n, hidden) for name, n in (("q", wide), ("k", narrow), ("v", narrow))]),
                take("self_attn.o_proj", hidden, wide),
                take("mlp.gate_proj", ffn, hidden),
                take("mlp.up_proj", ffn, hidden),
                take("mlp.down_proj", hidden, ffn),
            )


class Weights:
    """The tensors of a folder's safetensors files, in float32, each read when it is taken."""

    def __init__(self, path: Path, is_tied: bool):
        self.path, self.places, self.is_tied = place_of_weights(path), tensors(path), is_tied
        self.taken: set[str] = set()

    def take(self, name: str, shape: tuple[int, ...]) -> torch.Tensor:
        """Raises InputError where the tensor is missing, of another shape or dtype, or not finite."""
        if name not in self.places:
            raise InputError(f"{self.path}: lacks '{name}', which config.json's architecture has")
        if self.places[name].shape != shape:
            raise InputError(f"{self.path}: tensor '{name}' has shape {self.places[name].shape}, config.json says {shape}")
        with safe_open(self.places[name].file, "pt") as file:
            tensor = file.get_tensor(name)
        if tensor.dtype not in DTYPES:
            raise InputError(f"{self.path}: tensor '{name}' has dtype {tensor.dtype}; expected {', '.join(map(str, DTYPES))}")
        if not torch.isfinite(tensor).all():
            raise InputError(f"{self.path}: the tensor '{name}' holds NaN or infinity; such a model says nothing")
        self.taken.add(name)
        return tensor.float()

    def refuse_leftovers(self) -> None:
        """Raises InputError for tensors that nobody took: they belong to another model than config.json's."""
        if self.is_tied and "lm_head.weight" in self.places:
            head = self.take("lm_head.weight", self.places["lm_head.weight"].shape)
            refuse_untied(self.path.parent, torch.equal(head, self.take("model.embed_tokens.weight", head.shape)))
        left = sorted(name for name in self.places.keys() - self.taken if not name.endswith("rotary_emb.inv_freq"))
        if left:
            raise InputError(f"{self.path}: holds '{left[0]}', which config.json's architecture does not have")
