"""config.json of a model folder, read and checked before anything is built from it.

A file goes in, a dict comes out, exactly as it stands in the file. The schema bounds what decides the
size of a model and what its numbers are made of; every other key is left to transformers.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lmcore.errors import InputError
from lmcore.files import read_json_object

OWN_TYPES = ("lmcore_dummy", "lmcore_unigram")
POSITIONS = ("max_position_embeddings", "n_positions", "n_ctx")  # in this order, as transformers
DEFAULT_POSITIONS = 2048  # of a model that names none (ALiBi, state spaces), as lm-eval has it
# RoBERTa and its kin count positions from the padding id on, so that many of them hold no token
OFFSET_POSITIONS = ("roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "roberta-prelayernorm")
GPT2_BOS, GPT2_FAMILY = (
    50256,
    ("gpt2", "gpt_neo", "gptj", "codegen"),
)  # their config classes' default
NESTED = ("text_config", "language_config", "llm_config", "thinker_config", "decoder")

Count = Annotated[int, Field(ge=1, le=1_000_000)]
Layers = Annotated[int, Field(ge=1, le=10_000)]
Vocabulary = Annotated[int, Field(ge=1, le=10_000_000)]
Positions = Annotated[int, Field(ge=1, le=100_000_000)]
Epsilon = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0, lt=2**64)]
TokenIds = int | list[int] | None
RopeType = Literal[
    "default", "linear", "dynamic", "yarn", "longrope", "su", "llama3", "proportional", "mrope"
]
Dtype = Literal["float64", "float32", "float16", "bfloat16", "auto"]


class Rope(BaseModel):
    """`rope_parameters` or `rope_scaling`, of a whole model or of one kind of its layers."""

    model_config = ConfigDict(extra="allow", strict=True)
    rope_type: RopeType | None = None
    type: RopeType | None = None  # its name before transformers 4.43
    rope_theta: Positive | None = None
    factor: Positive | None = None


Ropes = Rope | dict[str, Rope | None] | None


class Config(BaseModel):
    """The keys of config.json that are checked, under all the names that architectures give them."""

    model_config = ConfigDict(extra="allow", strict=True, protected_namespaces=())
    model_type: Annotated[str, Field(min_length=1, max_length=100)]
    architectures: list[str] | None = None
    vocab_size: Vocabulary
    hidden_size: Count | None = None
    n_embd: Count | None = None
    d_model: Count | None = None
    intermediate_size: Count | list[Count] | None = None
    num_hidden_layers: Layers | None = None
    n_layer: Layers | None = None
    n_layers: Layers | None = None
    num_layers: Layers | None = None
    num_attention_heads: Count | list[Count] | None = None
    num_key_value_heads: Count | list[int] | None = None
    n_head: Count | None = None
    n_heads: Count | None = None
    num_heads: Count | None = None
    head_dim: Count | None = None
    num_local_experts: Annotated[int, Field(ge=0, le=10_000)] | None = (
        None  # 0: a dense model of a mixed family
    )
    max_position_embeddings: Positions | None = None
    n_positions: Positions | None = None
    n_ctx: Positions | None = None
    sliding_window: Positions | None = None
    rms_norm_eps: Epsilon | None = None
    layer_norm_eps: Epsilon | None = None
    layer_norm_epsilon: Epsilon | None = None
    norm_eps: Epsilon | None = None
    rope_theta: Positive | None = None
    rope_parameters: Ropes = None
    rope_scaling: Ropes = None
    tie_word_embeddings: bool | None = None
    dtype: Dtype | None = None
    torch_dtype: Dtype | None = None
    bos_token_id: TokenIds = None
    eos_token_id: TokenIds = None
    is_encoder_decoder: bool | None = None
    is_decoder: bool | None = None


class DummyConfig(BaseModel):
    """What the dummy has besides."""

    model_config = ConfigDict(extra="allow", strict=True)
    seeds: Annotated[list[Seed], Field(min_length=1, max_length=1_000)] = [0]


def read_config_file(path: Path) -> dict:
    """The object in the config.json of the folder `path`.

    Raises InputError for a file that is none, a key out of its range, and what no model here is:
    quantised weights, several modalities, an encoder with a decoder, kernels from elsewhere.
    """
    file = path / "config.json"
    values = read_json_object(file, "a model's config.json")
    _refuse_unsupported(values, file)
    own = str(values.get("model_type")).startswith("lmcore_")
    if own and values["model_type"] not in OWN_TYPES:
        raise InputError(
            f"{file}: unknown model_type '{values['model_type']}'; of lmcore's own there are {', '.join(OWN_TYPES)}"
        )
    checked = {
        key: value for key, value in values.items() if not (own and key == "num_hidden_layers")
    }
    try:
        Config.model_validate(checked)
        if values["model_type"] == "lmcore_dummy":
            DummyConfig.model_validate(checked)
    except ValidationError as error:
        raise InputError(f"{file}: {first_fault(error)}") from error
    _check_bos(values, file)
    return values


def context_length(config: dict) -> int:
    """How many tokens the model of this config.json sees at once."""
    named = [config[name] for name in POSITIONS if config.get(name)]
    positions = named[0] if named else DEFAULT_POSITIONS
    if config.get("model_type") in OFFSET_POSITIONS:
        pad = config.get("pad_token_id")
        positions -= (1 if pad is None else pad) + 1
    return positions


def first_fault(error: ValidationError) -> str:
    """The first fault that pydantic found, in one line: the key, what was expected and what came."""
    fault = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in fault["loc"][:2]) if fault["loc"] else "the object"
    if fault["type"] == "missing":
        return f"the key '{place}' is missing"
    message = fault["msg"][:1].lower() + fault["msg"][1:]
    return f"'{place}': {message}, not {repr(fault['input'])[:80]}"


def _refuse_unsupported(values: dict, file: Path) -> None:
    for key in NESTED:
        if isinstance(values.get(key), dict) and "vocab_size" not in values:
            raise InputError(
                f"{file}: the language model's settings lie in '{key}': a model of several parts; "
                "save its language model alone and name that folder"
            )
    if values.get("quantization_config"):
        raise InputError(
            f"{file}: 'quantization_config': quantised weights are not scored; dequantise the model and save it"
        )
    if values.get("is_encoder_decoder") is True:
        raise InputError(
            f"{file}: 'is_encoder_decoder': a model with an encoder is no causal language model"
        )
    for key, value in values.items():
        if key.lstrip("_").startswith(
            ("attn_implementation", "experts_implementation")
        ) and "/" in str(value):
            raise InputError(
                f"{file}: '{key}' names the kernel {value!r} of somebody else; foreign code is never run"
            )


def _check_bos(values: dict, file: Path) -> None:
    """An id outside the vocabulary is no token: every text would stand behind nothing.

    GPT-2's own id in a config of its family is what stands there when nobody has set one.
    """
    ids = values.get("bos_token_id")
    if ids == GPT2_BOS and values["model_type"] in GPT2_FAMILY:
        return
    for token in ids if isinstance(ids, list) else [ids]:
        if token is not None and not 0 <= token < values["vocab_size"]:
            raise InputError(
                f"{file}: 'bos_token_id' is {token}, outside the vocabulary of {values['vocab_size']:,}; "
                "name the tokenizer's own BOS, or null"
            )
