"""A new Llama of a given shape, and how every model of ours becomes a folder."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel
from transformers.utils.logging import disable_progress_bar

from lmcore.errors import InputError
from lmcore.tokenizer import SPECIALS, load_fast

SHAPE = {
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "max_position_embeddings",
    "tie_word_embeddings",
    "rms_norm_eps",
    "rope_theta",
    "initializer_range",
}
# what a tokenizer is made of: the last two stand in older folders, and tell of special tokens alone
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
NEEDED = {"hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "max_position_embeddings"}


def token_ids(tokenizer_path: Path) -> dict[str, Any]:
    """vocab_size and the ids of the special tokens of a tokenizer folder, by their names in a transformers config."""
    tokenizer = load_fast(tokenizer_path)
    config = json.loads((tokenizer_path / "tokenizer_config.json").read_text("utf-8"))
    ids = {f"{name}_id": tokenizer.token_to_id(config[name]) if config.get(name) else None for name in SPECIALS}
    return {"vocab_size": tokenizer.get_vocab_size(), **ids}


def new_llama(shape: dict, tokenizer_path: Path, seed: int) -> LlamaForCausalLM:
    """A Llama of `shape` with seeded random weights in float32 and a vocabulary that is exactly the tokenizer's.

    Raises InputError for a key of `shape` that is none of a Llama's, and for one that is missing: transformers' defaults are another size.
    """
    if unknown := sorted(set(shape) - SHAPE):
        raise InputError(f"shape: unknown key '{unknown[0]}'; expected {', '.join(sorted(SHAPE))}")
    if missing := sorted(NEEDED - set(shape)):
        raise InputError(f"shape: the key '{missing[0]}' is missing; a shape is given whole")
    values = dict(shape)
    rope: dict[str, Any] = {"rope_parameters": {"rope_type": "default", "rope_theta": values.pop("rope_theta", 10000.0)}}
    config = LlamaConfig(**values, **rope, **token_ids(tokenizer_path), use_cache=False)
    torch.manual_seed(seed)
    return LlamaForCausalLM(config)


def save_model(model: PreTrainedModel, tokenizer_path: Path, folder: Path) -> None:
    """Write a model and its tokenizer into `folder`. Raises InputError for weights that are not finite, naming the tensor."""
    for name, tensor in model.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise InputError(f"{folder.name}: the tensor '{name}' holds NaN or infinity; such a model says nothing")
    folder.mkdir(parents=True, exist_ok=True)
    disable_progress_bar()
    model.save_pretrained(folder)
    for path in folder.iterdir():
        path.chmod(0o644)  # safetensors writes for the owner alone
    for name in TOKENIZER_FILES:
        if (tokenizer_path / name).exists():
            shutil.copyfile(tokenizer_path / name, folder / name)
