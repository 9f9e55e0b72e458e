"""New models, described by their shape.

A shape goes in: a mapping, the name of one of SHAPES, or the name of a published model's own
config.json. A model with random weights comes out.

Source: Timiryasov & Tastet 2023, https://aclanthology.org/2023.conll-babylm.24 (babyllama_58m and
its teachers llama_360m and gpt2_705m).
"""

import json
from pathlib import Path
from typing import Annotated, Literal, NotRequired, TypedDict

import torch
from pydantic import AfterValidator
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel

from lmcore.corpus.sources import fetch
from lmcore.errors import InputError
from lmcore.files import temporary_path
from lmcore.models.llama import LlamaShape, Size, Window, check_heads, new_llama, token_ids
from lmcore.params.ranges import Expected, Name, Share, UpToOne
from lmcore.params.schema import check_mapping, fit, kinds_of, together


def check_gpt2(*, n_embd: int, n_head: int, **others) -> None:
    """Raises InputError where the hidden states cannot be divided evenly among the heads."""
    check_heads("n_embd", n_embd, "n_head", n_head)


@together(check_gpt2)
class GPT2Shape(TypedDict):
    """The shape of a GPT-2, by the names in a transformers config."""

    model_type: Literal["gpt2"]
    n_layer: Size
    n_embd: Size
    n_head: Size
    n_inner: NotRequired[Size | None]
    n_positions: Window
    resid_pdrop: NotRequired[Share]
    embd_pdrop: NotRequired[Share]
    attn_pdrop: NotRequired[Share]
    initializer_range: NotRequired[UpToOne]


def check_shape(shape: str | dict) -> str | dict:
    """The shape itself. Raises ValueError for a mapping that describes no Llama and no GPT-2."""
    if isinstance(shape, dict):
        fit(shape, GPT2Shape if shape.get("model_type") == "gpt2" else LlamaShape)
    return shape


Shape = Annotated[
    Annotated[Name | dict, Expected("the name of a shape, or a mapping")],
    AfterValidator(check_shape),
]
_LLAMA = {
    "max_position_embeddings": 256,
    "rope_theta": 10000.0,
    "rms_norm_eps": 1e-6,
    "initializer_range": 0.02,
}


def _llama(layers: int, hidden: int, heads: int, ffn: int) -> dict:
    """The shape of a Llama with these sizes and the settings that all Llamas of SHAPES share."""
    sizes = {
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "intermediate_size": ffn,
    }
    return {**sizes, **_LLAMA, "tie_word_embeddings": False}


SHAPES = {
    "tiny": _llama(4, 256, 4, 768),
    "llama_16m": _llama(8, 256, 8, 1024),
    "babyllama_58m": _llama(16, 512, 8, 1024),
    "llama_360m": _llama(24, 1024, 8, 3072),
    "gpt2_705m": {
        "model_type": "gpt2",
        "n_layer": 24,
        "n_embd": 1536,
        "n_head": 16,
        "n_positions": 256,
    },
}


def resolve(shape: str | dict, configs: dict[str, dict], downloads: Path) -> dict:
    """The mapping that `shape` stands for.

    configs: sources of a config.json by name, as lmcore.corpus.sources.fetch describes them.

    Raises InputError for an unknown name, and for a config that is neither Llama's nor GPT-2's.
    """
    if not isinstance(shape, str):
        return shape
    if shape in SHAPES:
        return SHAPES[shape]
    if shape not in configs:
        raise InputError(
            f"params.yaml: shape: unknown name '{shape}'; expected a mapping, "
            f"or one of {', '.join([*SHAPES, *configs])}"
        )
    config = _fetch_config(shape, configs[shape], downloads)
    kind = config.get("model_type")
    if kind not in ("llama", "gpt2"):
        raise InputError(
            f"shape '{shape}': its config.json is that of a '{kind}'; expected a llama or gpt2"
        )
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if rope.get("rope_type", rope.get("type", "default")) != "default":
        raise InputError(
            f"shape '{shape}': its config.json scales rotary angles; new models cannot have that"
        )
    if "rope_theta" in rope:
        config["rope_theta"] = rope["rope_theta"]
    names = kinds_of(LlamaShape if kind == "llama" else GPT2Shape)
    return {name: config[name] for name in names if config.get(name) is not None}


def _fetch_config(name: str, source: dict, downloads: Path) -> dict:
    """The object in the one JSON file of `source`."""
    with temporary_path(downloads / name) as fetched:
        fetch(name, fetched, downloads, **source)
        files = sorted(fetched.glob("*.json"))
        if len(files) != 1:
            raise InputError(
                f"shape '{name}': its source has {len(files)} JSON files; "
                "expected one, the model's config.json"
            )
        return json.loads(files[0].read_text("utf-8"))


def window(shape: dict) -> int:
    """How many tokens a model of this shape sees at once."""
    is_gpt2 = shape.get("model_type") == "gpt2"
    return shape["n_positions"] if is_gpt2 else shape["max_position_embeddings"]


def new_model(shape: dict, tokenizer: Path, seed: int) -> PreTrainedModel:
    """A model of a resolved shape with seeded random weights in float32.

    Its vocabulary is the tokenizer's.
    """
    if shape.get("model_type") != "gpt2":
        return new_llama(shape, tokenizer, seed)
    check_mapping(shape, "shape", GPT2Shape)
    values = {name: value for name, value in shape.items() if name != "model_type"}
    torch.manual_seed(seed)
    return GPT2LMHeadModel(GPT2Config(**values, **token_ids(tokenizer), use_cache=False))
