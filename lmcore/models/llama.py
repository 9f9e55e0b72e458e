"""Make a new Llama of a given shape, and write any model with its tokenizer to a folder."""

import json
import shutil
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import torch
from pydantic import Field
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel
from transformers.utils.logging import disable_progress_bar

from lmcore.errors import InputError
from lmcore.params.ranges import RANGE, Positive, UpToOne
from lmcore.params.schema import check_mapping, together
from lmcore.text.tokenizer import SPECIALS, load_fast

# the files of a tokenizer; the last two are found in older folders and only describe special tokens
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)
Size = Annotated[int, Field(ge=1, le=2**17), RANGE]
Window = Annotated[int, Field(ge=2, le=2**20), RANGE]


def check_llama(
    *,
    hidden_size: int,
    num_attention_heads: int,
    num_key_value_heads: int | None = None,
    **others,
) -> None:
    """Raises InputError where the hidden states cannot be divided evenly among the heads."""
    check_heads("hidden_size", hidden_size, "num_attention_heads", num_attention_heads)
    if hidden_size // num_attention_heads % 2:
        raise InputError(
            f"hidden_size {hidden_size} divided by num_attention_heads {num_attention_heads} must "
            "be even, because rotary positions rotate pairs of values; "
            f"it is {hidden_size // num_attention_heads}"
        )
    if num_key_value_heads is not None:
        names = ("num_attention_heads", "num_key_value_heads")
        check_heads(names[0], num_attention_heads, names[1], num_key_value_heads)


def check_heads(size_name: str, size: int, heads_name: str, heads: int) -> None:
    """Raises InputError where `size` cannot be divided evenly among the heads."""
    if size % heads:
        raise InputError(f"{size_name} {size} must be a multiple of {heads_name} {heads}")


@together(check_llama)
class LlamaShape(TypedDict):
    """The shape of a Llama, by the names in a transformers config."""

    model_type: NotRequired[Literal["llama"]]
    hidden_size: Size
    intermediate_size: Size
    num_hidden_layers: Size
    num_attention_heads: Size
    num_key_value_heads: NotRequired[Size]
    max_position_embeddings: Window
    tie_word_embeddings: NotRequired[bool]
    rms_norm_eps: NotRequired[UpToOne]
    rope_theta: NotRequired[Positive]
    initializer_range: NotRequired[UpToOne]


def token_ids(tokenizer_path: Path) -> dict[str, Any]:
    """The vocab_size and the ids of the special tokens of a tokenizer folder.

    The keys are their names in a transformers config; a token that is not named has the id None.
    """
    tokenizer = load_fast(tokenizer_path)
    config = json.loads((tokenizer_path / "tokenizer_config.json").read_text("utf-8"))
    ids = {
        f"{name}_id": tokenizer.token_to_id(config[name]) if config.get(name) else None
        for name in SPECIALS
    }
    return {"vocab_size": tokenizer.get_vocab_size(), **ids}


def new_llama(shape: dict, tokenizer_path: Path, seed: int) -> LlamaForCausalLM:
    """A Llama of `shape` with seeded random weights in float32.

    Its vocabulary is exactly the tokenizer's. Raises InputError for a key of `shape` that a Llama
    does not have, and for a key that is missing: transformers' defaults are of another size.
    """
    check_mapping(shape, "shape", LlamaShape)
    values = {name: value for name, value in shape.items() if name != "model_type"}
    theta = values.pop("rope_theta", 10000.0)
    rope: dict[str, Any] = {"rope_parameters": {"rope_type": "default", "rope_theta": theta}}
    config = LlamaConfig(**values, **rope, **token_ids(tokenizer_path), use_cache=False)
    torch.manual_seed(seed)
    return LlamaForCausalLM(config)


def save_model(model: PreTrainedModel, tokenizer_path: Path, folder: Path) -> None:
    """Write a model and its tokenizer into `folder`.

    Raises InputError, naming the tensor, for weights that are not finite.
    """
    for name, tensor in model.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise InputError(
                f"{folder.name}: the tensor '{name}' holds NaN or infinity; expected finite weights"
            )
    folder.mkdir(parents=True, exist_ok=True)
    disable_progress_bar()
    model.save_pretrained(folder)
    for path in folder.iterdir():
        path.chmod(0o644)  # safetensors lets only the owner read what it writes
    for name in TOKENIZER_FILES:
        if (tokenizer_path / name).exists():
            shutil.copyfile(tokenizer_path / name, folder / name)
