"""What the files beside a tokenizer.json say, as transformers reads them: added and special tokens.

A tokenizer folder goes in, a `TokenizerConfig` comes out. tokenizer_config.json may name added
tokens by their ids (`added_tokens_decoder`). Where it does not, special_tokens_map.json and
added_tokens.json count, and what the former names comes before what tokenizer_config.json names.

Source: PreTrainedTokenizerBase._from_pretrained and TokenizersBackend.__init__ of transformers 5.
"""

from pathlib import Path
from typing import Any, NamedTuple

from tokenizers import AddedToken

from lmcore.errors import InputError
from lmcore.files import read_json_object

NAMES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
EXTRAS = ("extra_special_tokens", "additional_special_tokens")
FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")
MOST_BYTES = 2**24  # of a file beside tokenizer.json; those in use have some hundred kilobytes

GPT2, LLAMA, LAST = ("<|endoftext|>", "<|endoftext|>"), ("<s>", "</s>"), (None, "</s>")
# BOS and EOS of a tokenizer class whose tokenizer_config.json names none.
# Source: the defaults of __init__ in src/transformers/models/*/tokenization_*.py of transformers 5.23; Bloom's in 4.57.
CLASS_DEFAULTS: dict[str, tuple[str | None, str | None]] = {
    "AlbertTokenizer": ("[CLS]", "[SEP]"),
    "BartTokenizer": LLAMA,
    "BigBirdTokenizer": LLAMA,
    "BioGptTokenizer": LLAMA,
    "BlenderbotTokenizer": LLAMA,
    "BloomTokenizer": LLAMA,
    "ByT5Tokenizer": LAST,
    "CamembertTokenizer": LLAMA,
    "CodeGenTokenizer": GPT2,
    "CodeLlamaTokenizer": LLAMA,
    "CohereTokenizer": ("<BOS_TOKEN>", "<|END_OF_TURN_TOKEN|>"),
    "CpmTokenizer": LLAMA,
    "DebertaTokenizer": ("[CLS]", "[SEP]"),
    "DebertaV2Tokenizer": ("[CLS]", "[SEP]"),
    "GPT2Tokenizer": GPT2,
    "GPTNeoXJapaneseTokenizer": ("<|startoftext|>", "<|endoftext|>"),
    "GPTNeoXTokenizer": GPT2,
    "GemmaTokenizer": ("<bos>", "<eos>"),
    "LlamaTokenizer": LLAMA,
    "MBartTokenizer": LLAMA,
    "NllbTokenizer": LLAMA,
    "PegasusTokenizer": LAST,
    "Qwen2Tokenizer": (None, "<|endoftext|>"),
    "Qwen3_5Tokenizer": (None, "<|endoftext|>"),
    "ReformerTokenizer": LAST,
    "RobertaTokenizer": LLAMA,
    "T5Tokenizer": LAST,
    "WhisperTokenizer": GPT2,
    "XGLMTokenizer": LLAMA,
    "XLMRobertaTokenizer": LLAMA,
    "XLNetTokenizer": LLAMA,
}
# The class of a model whose tokenizer_config.json names none.
# Source: TOKENIZER_MAPPING_NAMES in src/transformers/models/auto/tokenization_auto.py of transformers 5.23.
CLASS_OF_MODEL = {
    **dict.fromkeys(("code_llama",), "CodeLlamaTokenizer"),
    **dict.fromkeys(("codegen", "gpt2", "gpt_neo", "gptj", "opt", "phi", "dbrx"), "GPT2Tokenizer"),
    **dict.fromkeys(("cohere", "cohere2"), "CohereTokenizer"),
    **dict.fromkeys(
        ("gemma", "gemma2", "gemma3", "gemma3_text", "recurrent_gemma"), "GemmaTokenizer"
    ),
    **dict.fromkeys(
        ("gpt_neox", "mamba", "mamba2", "mpt", "olmo", "olmoe", "rwkv"), "GPTNeoXTokenizer"
    ),
    **dict.fromkeys(("qwen2", "qwen2_moe", "qwen3", "qwen3_moe"), "Qwen2Tokenizer"),
    **dict.fromkeys(("biogpt",), "BioGptTokenizer"),
    **dict.fromkeys(("llama",), "LlamaTokenizer"),
    **dict.fromkeys(("xglm",), "XGLMTokenizer"),
}


class TokenizerConfig(NamedTuple):
    """`named`: the special tokens by their names, None where a file says that there is none; `extras`: those without a name;
    `added`: the added tokens by their ids, and whether these are all (`is_complete`) or tokenizer.json has more.
    """

    named: dict[str, AddedToken | str | None]
    extras: list[AddedToken | str]
    added: dict[int, AddedToken]
    is_complete: bool
    tokenizer_class: str | None
    split_special_tokens: bool

    def content(self, name: str) -> str | None:
        """The special token called `name`, if one is named."""
        return _content(self.named.get(name))


def read_tokenizer_config(folder: Path) -> TokenizerConfig:
    """Raises InputError, naming the file and what was expected, for one that is no JSON object or has a value of another type."""
    path = folder / "tokenizer_config.json"
    config = read_json_object(path, "a tokenizer's settings", MOST_BYTES) if path.exists() else {}
    tokenizer_class = _of_type(path, config, "tokenizer_class", str, "a text")
    split = bool(_of_type(path, config, "split_special_tokens", bool, "true or false"))
    named, extras = _named(path, config), _extras(path, config)
    added, is_complete = {}, config.get("added_tokens_decoder") is not None
    if is_complete:
        added = _decoder(path, config["added_tokens_decoder"])
    else:
        named, extras = _with_map(folder / "special_tokens_map.json", named, extras)
    if isinstance(extras, dict):
        named, extras = {**named, **extras}, []
    if not is_complete:
        added = _legacy(folder / "added_tokens.json", [*named.values(), *(extras or [])])
    return TokenizerConfig(named, extras or [], added, is_complete, tokenizer_class, split)


def tokens_to_add(
    config: TokenizerConfig, known: dict[int, AddedToken], padding: str | None = None
) -> list[AddedToken]:
    """What transformers adds to a tokenizer that has the added tokens `known` and pads with `padding`, in its order: the added tokens
    by their ids, made special where they have a name, and then the named and extra tokens that are not among them.
    """
    added = config.added if config.is_complete else {**config.added, **known}
    of_names = {"pad_token": padding, **config.named}
    named = [of_names.get(name) for name in NAMES]
    named += [token for name, token in config.named.items() if name not in NAMES]
    names = {_content(token) for token in named}
    found: list[AddedToken | str] = [added[number] for number in sorted(added)]
    contents = {_content(token) for token in [*known.values(), *found]}
    for token in [*named, *config.extras]:
        if (
            token and _content(token) not in contents and token not in found
        ):  # a text and an object of one content both count
            found.append(token)
    tokens = [
        token if isinstance(token, AddedToken) else AddedToken(token, special=True)
        for token in found
    ]
    return [_special(token) if token.content in names else token for token in tokens]


def class_defaults(
    config: TokenizerConfig, model_type: str | None
) -> tuple[str | None, str | None]:
    """BOS and EOS of the tokenizer's class, or of the class that a model of `model_type` has; None where it has none."""
    name = config.tokenizer_class or CLASS_OF_MODEL.get(model_type or "", "")
    return CLASS_DEFAULTS.get(name.removesuffix("Fast"), (None, None))


def _named(
    path: Path, config: dict[str, Any], flags: dict[str, bool] | None = None
) -> dict[str, AddedToken | str | None]:
    """The named special tokens of a file; tokens that are objects have the `flags` besides their own."""
    named: dict[str, AddedToken | str | None] = {}
    for key, value in config.items():
        if key in NAMES:
            named[key] = None if value is None else _token(path, key, value, flags)
        elif key.endswith("_token") and isinstance(value, str):
            named[key] = value
    return named


def _extras(
    path: Path,
    config: dict[str, Any],
    flags: dict[str, bool] | None = None,
    keys: tuple[str, ...] = EXTRAS,
) -> list[AddedToken | str] | dict[str, AddedToken | str] | None:
    """The special tokens without a name, or with names of their own; None where the file has no such key."""
    there = [config[key] for key in keys if key in config]
    if not there:
        return None
    values: Any = next((value for value in there if value), [])
    if isinstance(values, dict):
        return {key: _token(path, key, value, flags) for key, value in values.items()}
    if not isinstance(values, list):
        raise InputError(f"{path}: {EXTRAS[0]} must be a list of tokens, not {_shown(values)}")
    return [_token(path, EXTRAS[0], value, flags) for value in values]


def _with_map(
    path: Path, named: dict, extras: list | dict | None
) -> tuple[dict, list | dict | None]:
    """The special tokens of tokenizer_config.json with those of special_tokens_map.json, which come before them."""
    if not path.exists():
        return named, extras
    values, flags = read_json_object(path, "a tokenizer's settings", MOST_BYTES), {"special": True}
    named = {**named, **_named(path, values, flags)}
    more = _extras(path, values, flags, EXTRAS[:1])
    if isinstance(extras, dict):
        named, extras = named | extras, None
    if isinstance(more, dict):
        named, more = named | more, None
    if more is not None:
        return named, [*(extras or []), *more]
    return named, _extras(path, values, flags, EXTRAS[1:]) if extras is None else extras


def _token(path: Path, key: str, value: Any, flags: dict[str, bool] | None) -> AddedToken | str:
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and isinstance(value.get("content"), str):
        return _added_token(path, key, {**value, **(flags or {})})
    raise InputError(
        f"{path}: {key} must be a text, or an object with a text 'content', not {_shown(value)}"
    )


def _added_token(path: Path, key: str, value: dict[str, Any]) -> AddedToken:
    flags = {name: value[name] for name in FLAGS if value.get(name) is not None}
    if wrong := [name for name, flag in flags.items() if not isinstance(flag, bool)]:
        raise InputError(
            f"{path}: {key}: {wrong[0]} must be true or false, not {_shown(flags[wrong[0]])}"
        )
    return AddedToken(value["content"], **flags)


def _decoder(path: Path, values: Any) -> dict[int, AddedToken]:
    key = "added_tokens_decoder"
    if not isinstance(values, dict):
        raise InputError(
            f"{path}: {key} must be an object of tokens by their ids, not {_shown(values)}"
        )
    found = {}
    for number, value in values.items():
        if not number.isdecimal():
            raise InputError(f"{path}: {key}: '{number}' is no token id; expected a whole number")
        if not isinstance(value, dict) or not isinstance(value.get("content"), str):
            raise InputError(
                f"{path}: {key}: {number} must be an object with a text 'content', not {_shown(value)}"
            )
        found[int(number)] = _added_token(path, f"{key}: {number}", value)
    return found


def _legacy(path: Path, special: list[AddedToken | str | None]) -> dict[int, AddedToken]:
    """The tokens of added_tokens.json by their ids; those that are called special do not see the normaliser."""
    if not path.exists():
        return {}
    values = read_json_object(path, "a tokenizer's settings", MOST_BYTES)
    if wrong := [
        token
        for token, number in values.items()
        if not isinstance(number, int) or isinstance(number, bool)
    ]:
        raise InputError(
            f"{path}: '{wrong[0]}' must have a token id, not {_shown(values[wrong[0]])}"
        )
    contents = {_content(token) for token in special}
    return {
        number: AddedToken(token, normalized=token not in contents, special=token in contents)
        for token, number in values.items()
    }


def _content(token: AddedToken | str | None) -> str | None:
    return token.content if isinstance(token, AddedToken) else token


def _special(token: AddedToken) -> AddedToken:
    flags = {name: getattr(token, name) for name in FLAGS}
    return AddedToken(token.content, **{**flags, "special": True})


def _of_type(path: Path, config: dict[str, Any], key: str, kind: type, expected: str) -> Any:
    value = config.get(key)
    if value is not None and not isinstance(value, kind):
        raise InputError(f"{path}: {key} must be {expected}, not {_shown(value)}")
    return value


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}…"
