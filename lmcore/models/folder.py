"""What a model folder says about itself before its weights are read: its config and its kind.

A folder holds config.json, model.safetensors, tokenizer.json and tokenizer_config.json.
"""

from pathlib import Path

from lmcore.errors import InputError
from lmcore.models.config import read_config_file
from lmcore.models.weights import tensors

# endings of the class names of causal LMs
CAUSAL = ("ForCausalLM", "LMHeadModel", "WithLMHead", "GenerationDecoder")
MASKED = "ForMaskedLM"


def read_config(path: Path) -> dict:
    """The checked config.json of a language model, causal or masked, with weights and tokenizer.

    Raises InputError where one of these files is missing, where the files of the weights do not fit
    together, or where the architecture is no language model.
    """
    config = read_any_config(path)
    if is_control(config) or is_masked(config):
        return config
    classes = config.get("architectures") or []
    if classes and not any(name.endswith(CAUSAL) for name in classes):
        raise InputError(
            f"{path / 'config.json'}: '{classes[0]}' is not a causal or masked language model; "
            "expected a class like LlamaForCausalLM or BertForMaskedLM"
        )
    return config


def read_causal_config(path: Path) -> dict:
    """The config as `read_config` gives it, of a model that can continue texts.

    Raises InputError as `read_config`, and also for a masked LM.
    """
    config = read_config(path)
    if is_masked(config):
        raise InputError(
            f"{path}: '{config['architectures'][0]}' is a masked LM, which predicts a token from"
            " both sides and cannot continue a text; expected a causal LM (a masked LM can only"
            " score suites)"
        )
    return config


def read_any_config(path: Path) -> dict:
    """The config as `read_config` gives it, of a model of any architecture.

    It may be that of a sentence encoder, for example. Raises InputError as `read_config`, except
    for the architecture.
    """
    for name in ("config.json", "tokenizer.json"):
        if not (path / name).is_file():
            raise InputError(
                f"{path}: no {name}; expected a model folder with "
                "config.json, model.safetensors and tokenizer.json"
            )
    config = read_config_file(path)
    if config["model_type"] != "lmcore_dummy":  # its logits are a function of seed and prefix
        tensors(path)
    return config


def is_control(config: dict) -> bool:
    """Whether the model is one of this project's own, the dummy or the unigram."""
    return config["model_type"].startswith("lmcore_")


def is_masked(config: dict) -> bool:
    """Whether the model predicts masked tokens, from both sides.

    The key `architectures` decides, because a `model_type` can have both heads.
    """
    classes = config.get("architectures") or []
    return bool(classes) and classes[0].endswith(MASKED)


def holds_masked(path: Path) -> bool:
    """Whether the folder has a config.json, and it is that of a masked LM."""
    return (path / "config.json").exists() and is_masked(read_config_file(path))
