"""A model folder, as every stage finds it: config.json, model.safetensors, tokenizer.json, tokenizer_config.json.

What goes in is the path of such a folder; what comes out is a transformers model in float32 and evaluation mode, or its fast tokenizer. The
controls of this project (dummy, unigram) are model classes of our own; every other `model_type` is transformers'.
"""

import json
from pathlib import Path
from typing import Any

from lmcore.errors import InputError


def read_config(path: Path) -> dict:
    """The config.json of a model folder. Raises InputError where the folder, its config, weights or tokenizer are missing."""
    for name in ("config.json", "tokenizer.json"):
        if not (path / name).exists():
            raise InputError(f"{path}: no {name}; expected a model folder with config.json, model.safetensors and tokenizer.json")
    config = json.loads((path / "config.json").read_text("utf-8"))
    weights = list(path.glob("*.safetensors"))
    if not weights and config["model_type"] != "lmcore_dummy":  # the dummy has no weights: its logits are a function of seed and prefix
        raise InputError(f"{path}: no model.safetensors; a model folder without weights cannot be scored")
    return config


def is_control(config: dict) -> bool:
    """Whether the model is one of this project's own, the dummy or the unigram."""
    return config["model_type"].startswith("lmcore_")


def context_length(config: dict) -> int:
    """How many tokens the model of this config.json sees at once, as lm-eval finds it."""
    return next((config[name] for name in ("n_positions", "max_position_embeddings", "n_ctx") if config.get(name)), 2048)


def load_model(path: Path, dtype: str = "float32") -> Any:
    """The causal LM of a model folder as a transformers model, in `dtype` and evaluation mode."""
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    kind = read_config(path)["model_type"]
    if kind == "lmcore_dummy":
        from lmcore.models.dummy import DummyForCausalLM

        model: Any = DummyForCausalLM.load(path)
    elif kind == "lmcore_unigram":
        from lmcore.models.unigram import UnigramForCausalLM

        model = UnigramForCausalLM.from_pretrained(path)
    else:
        model = AutoModelForCausalLM.from_pretrained(path, dtype=getattr(torch, dtype), use_safetensors=True, local_files_only=True)
    return model.eval()


def load_tokenizer(path: Path):
    """The fast tokenizer of a model folder, with its special tokens as transformers knows them."""
    from transformers import PreTrainedTokenizerFast

    read_config(path)
    return PreTrainedTokenizerFast.from_pretrained(path, local_files_only=True)
