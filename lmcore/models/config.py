"""Read and check the config.json of a model folder before anything is built from it.

A file goes in. A dict comes out, exactly as it stands in the file. The schema bounds the keys that
decide the size of a model or how its numbers are computed. Every other key is left to transformers.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lmcore.errors import InputError
from lmcore.files import read_json_object

# model types of this project's own controls
OWN_TYPES = ("lmcore_dummy", "lmcore_unigram")
# keys that name the context length, in the order in which transformers tries them
POSITIONS = ("max_position_embeddings", "n_positions", "n_ctx")
# for a model that names no length (ALiBi, state space models): the default of lm-eval
DEFAULT_POSITIONS = 2048
# RoBERTa and its relatives count positions from the padding id onwards, so the positions up to and
# including the padding id never hold a token
OFFSET_POSITIONS = ("roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "roberta-prelayernorm")
# the default bos_token_id of the config classes of GPT2_FAMILY
GPT2_BOS = 50256
GPT2_FAMILY = ("gpt2", "gpt_neo", "gptj", "codegen")
# keys under which a model of several parts keeps the settings of its language model
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
    """`rope_parameters` or `rope_scaling`, for a whole model or for one kind of its layers."""

    model_config = ConfigDict(extra="allow", strict=True)
    rope_type: RopeType | None = None
    type: RopeType | None = None  # the name of `rope_type` before transformers 4.43
    rope_theta: Positive | None = None
    factor: Positive | None = None


Ropes = Rope | dict[str, Rope | None] | None


class Config(BaseModel):
    """The checked keys of config.json, under all the names that architectures give them."""

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
    # 0 experts: a dense model of a family that also has mixtures of experts
    num_local_experts: Annotated[int, Field(ge=0, le=10_000)] | None = None
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
    """The keys that only the dummy model has."""

    model_config = ConfigDict(extra="allow", strict=True)
    seeds: Annotated[list[Seed], Field(min_length=1, max_length=1_000)] = [0]


def read_config_file(path: Path) -> dict:
    """The object in the config.json of the folder `path`.

    Raises InputError for a file that is no config.json, for a key out of its range, and for what no
    model here may have: quantised weights, several modalities, an encoder with a decoder, or
    kernels from elsewhere.
    """
    file = path / "config.json"
    values = read_json_object(file, "a model's config.json")
    _refuse_unsupported(values, file)
    is_own = str(values.get("model_type")).startswith("lmcore_")
    if is_own and values["model_type"] not in OWN_TYPES:
        raise InputError(
            f"{file}: unknown model_type '{values['model_type']}'; "
            f"lmcore's own types are {', '.join(OWN_TYPES)}"
        )
    checked = dict(values)
    if is_own:
        checked.pop("num_hidden_layers", None)  # 0 for our controls, which have no layers
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
    lengths = [config[name] for name in POSITIONS if config.get(name)]
    positions = lengths[0] if lengths else DEFAULT_POSITIONS
    if config.get("model_type") in OFFSET_POSITIONS:
        pad = config.get("pad_token_id")
        positions -= (1 if pad is None else pad) + 1
    return positions


def first_fault(error: ValidationError) -> str:
    """The first fault that pydantic reports, in one line: the key, what was expected, what came."""
    fault = error.errors(include_url=False)[0]
    place = ".".join(str(key) for key in fault["loc"][:2]) if fault["loc"] else "the object"
    if fault["type"] == "missing":
        return f"the key '{place}' is missing"
    message = fault["msg"][:1].lower() + fault["msg"][1:]
    return f"'{place}': {message}, not {repr(fault['input'])[:80]}"


def _refuse_unsupported(values: dict, file: Path) -> None:
    """Raises InputError for settings of a model that is not supported here."""
    for key in NESTED:
        if isinstance(values.get(key), dict) and "vocab_size" not in values:
            raise InputError(
                f"{file}: the language model's settings lie in '{key}', so it is one part of "
                "several; save the language model alone and name its folder"
            )
    if values.get("quantization_config"):
        raise InputError(
            f"{file}: 'quantization_config': quantised weights are not scored; "
            "dequantise the model and save it"
        )
    if values.get("is_encoder_decoder") is True:
        raise InputError(
            f"{file}: 'is_encoder_decoder' is true: a model with an encoder is not a causal "
            "language model"
        )
    for key, value in values.items():
        names_kernel = key.lstrip("_").startswith(("attn_implementation", "experts_implementation"))
        if names_kernel and "/" in str(value):
            raise InputError(
                f"{file}: '{key}' names {value!r}, a kernel from the hub; expected one of "
                "transformers' own, because foreign code is never run"
            )


def _check_bos(values: dict, file: Path) -> None:
    """Raises InputError for a BOS id outside the vocabulary.

    Such an id is no token, so there would be nothing to put before a text. GPT-2's own id is let
    pass in a config of its family, because it is the default there when nobody has set an id.
    """
    bos = values.get("bos_token_id")
    if bos == GPT2_BOS and values["model_type"] in GPT2_FAMILY:
        return
    for token in bos if isinstance(bos, list) else [bos]:
        if token is not None and not 0 <= token < values["vocab_size"]:
            raise InputError(
                f"{file}: 'bos_token_id' is {token}, outside the vocabulary of "
                f"{values['vocab_size']:,}; expected the id of the tokenizer's BOS, or null"
            )
