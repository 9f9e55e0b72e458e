"""What the files beside a tokenizer.json say about added and special tokens.

They are read as transformers reads them. A tokenizer folder goes in. A `TokenizerConfig` comes out.
tokenizer_config.json may name added tokens by their ids (`added_tokens_decoder`). Where it does
not, special_tokens_map.json and added_tokens.json count, and what special_tokens_map.json names
comes before what tokenizer_config.json names.

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
# the largest file that is read; the files in use have some hundred kilobytes
MOST_BYTES = 2**24

GPT2, LLAMA, LAST = ("<|endoftext|>", "<|endoftext|>"), ("<s>", "</s>"), (None, "</s>")
# {tokenizer class: its BOS and EOS, where tokenizer_config.json names none}
# Source: the defaults of __init__ in src/transformers/models/*/tokenization_*.py of transformers
# 5.23; Bloom's in 4.57.
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
# {model_type: the tokenizer class, where tokenizer_config.json names none}
# Source: TOKENIZER_MAPPING_NAMES in src/transformers/models/auto/tokenization_auto.py of
# transformers 5.23.
CLASS_OF_MODEL = {
    "biogpt": "BioGptTokenizer",
    "code_llama": "CodeLlamaTokenizer",
    "codegen": "GPT2Tokenizer",
    "cohere": "CohereTokenizer",
    "cohere2": "CohereTokenizer",
    "dbrx": "GPT2Tokenizer",
    "gemma": "GemmaTokenizer",
    "gemma2": "GemmaTokenizer",
    "gemma3": "GemmaTokenizer",
    "gemma3_text": "GemmaTokenizer",
    "gpt2": "GPT2Tokenizer",
    "gpt_neo": "GPT2Tokenizer",
    "gpt_neox": "GPTNeoXTokenizer",
    "gptj": "GPT2Tokenizer",
    "llama": "LlamaTokenizer",
    "mamba": "GPTNeoXTokenizer",
    "mamba2": "GPTNeoXTokenizer",
    "mpt": "GPTNeoXTokenizer",
    "olmo": "GPTNeoXTokenizer",
    "olmoe": "GPTNeoXTokenizer",
    "opt": "GPT2Tokenizer",
    "phi": "GPT2Tokenizer",
    "qwen2": "Qwen2Tokenizer",
    "qwen2_moe": "Qwen2Tokenizer",
    "qwen3": "Qwen2Tokenizer",
    "qwen3_moe": "Qwen2Tokenizer",
    "recurrent_gemma": "GemmaTokenizer",
    "rwkv": "GPTNeoXTokenizer",
    "xglm": "XGLMTokenizer",
}


class TokenizerConfig(NamedTuple):
    """The settings of a tokenizer that its tokenizer.json does not hold."""

    named: dict[str, AddedToken | str | None]  # special tokens by their names; None: there is none
    extras: list[AddedToken | str]  # special tokens without a name
    added: dict[int, AddedToken]  # added tokens by their ids
    is_complete: bool  # whether these are all added tokens; if not, tokenizer.json has more
    tokenizer_class: str | None
    split_special_tokens: bool

    def content(self, name: str) -> str | None:
        """The special token called `name`, if one is named."""
        return _content(self.named.get(name))


def read_tokenizer_config(folder: Path) -> TokenizerConfig:
    """The settings in the files of a tokenizer folder.

    Raises InputError, naming the file and what was expected, for a file that is no JSON object or
    has a value of another type.
    """
    path = folder / "tokenizer_config.json"
    config = read_json_object(path, "a tokenizer's settings", MOST_BYTES) if path.exists() else {}
    tokenizer_class = _checked(path, config, "tokenizer_class", str, "a text")
    split = bool(_checked(path, config, "split_special_tokens", bool, "true or false"))
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
    """The tokens that transformers adds to a tokenizer, in its order.

    These are the added tokens by their ids, made special where they have a name, and then the named
    and extra tokens that are not among them. known: the added tokens of the tokenizer. padding: the
    token with which it pads.
    """
    added = config.added if config.is_complete else {**config.added, **known}
    by_name = {"pad_token": padding, **config.named}
    named = [by_name.get(name) for name in NAMES]
    named += [token for name, token in config.named.items() if name not in NAMES]
    tokens: list[AddedToken | str] = [added[number] for number in sorted(added)]
    known_contents = {_content(token) for token in [*known.values(), *tokens]}
    for token in [*named, *config.extras]:
        # a text and an object of the same content both count
        if token and _content(token) not in known_contents and token not in tokens:
            tokens.append(token)
    named_contents = {_content(token) for token in named}
    objects = []
    for token in tokens:
        if not isinstance(token, AddedToken):
            token = AddedToken(token, special=True)
        objects.append(_special(token) if token.content in named_contents else token)
    return objects


def class_defaults(
    config: TokenizerConfig, model_type: str | None
) -> tuple[str | None, str | None]:
    """BOS and EOS of the tokenizer's class, None where it has none.

    Where the settings name no class, it is the class that a model of `model_type` has.
    """
    name = config.tokenizer_class or CLASS_OF_MODEL.get(model_type or "", "")
    return CLASS_DEFAULTS.get(name.removesuffix("Fast"), (None, None))


def _named(
    path: Path, config: dict[str, Any], flags: dict[str, bool] | None = None
) -> dict[str, AddedToken | str | None]:
    """The special tokens with a name in one file.

    flags: set on every token that is an object, besides its own flags.
    """
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
    """The special tokens of one file that have no name, or names of their own.

    None where the file has none of the `keys`. flags: as in `_named`.
    """
    lists = [config[key] for key in keys if key in config]
    if not lists:
        return None
    values: Any = next((value for value in lists if value), [])
    if isinstance(values, dict):
        return {key: _token(path, key, value, flags) for key, value in values.items()}
    if not isinstance(values, list):
        raise InputError(f"{path}: {EXTRAS[0]} must be a list of tokens, not {_shown(values)}")
    return [_token(path, EXTRAS[0], value, flags) for value in values]


def _with_map(
    path: Path, named: dict, extras: list | dict | None
) -> tuple[dict, list | dict | None]:
    """The special tokens of tokenizer_config.json with those of special_tokens_map.json at `path`.

    Where both name a token, that of special_tokens_map.json counts.
    """
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
    """The token that `value` describes; raises InputError where it describes none."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and isinstance(value.get("content"), str):
        return _added_token(path, key, {**value, **(flags or {})})
    raise InputError(
        f"{path}: {key} must be a text, or an object with a text 'content', not {_shown(value)}"
    )


def _added_token(path: Path, key: str, value: dict[str, Any]) -> AddedToken:
    flags = {name: value[name] for name in FLAGS if value.get(name) is not None}
    for name, flag in flags.items():
        if not isinstance(flag, bool):
            raise InputError(f"{path}: {key}: {name} must be true or false, not {_shown(flag)}")
    return AddedToken(value["content"], **flags)


def _decoder(path: Path, values: Any) -> dict[int, AddedToken]:
    """The tokens of `added_tokens_decoder` by their ids."""
    key = "added_tokens_decoder"
    if not isinstance(values, dict):
        raise InputError(
            f"{path}: {key} must be an object of tokens by their ids, not {_shown(values)}"
        )
    tokens = {}
    for number, value in values.items():
        if not number.isdecimal():
            raise InputError(f"{path}: {key}: '{number}' is no token id; expected a whole number")
        if not isinstance(value, dict) or not isinstance(value.get("content"), str):
            raise InputError(
                f"{path}: {key}: {number} must be an object with a text 'content', "
                f"not {_shown(value)}"
            )
        tokens[int(number)] = _added_token(path, f"{key}: {number}", value)
    return tokens


def _legacy(path: Path, special: list[AddedToken | str | None]) -> dict[int, AddedToken]:
    """The tokens of added_tokens.json by their ids.

    Those among `special` are special tokens, which the normaliser does not change.
    """
    if not path.exists():
        return {}
    values = read_json_object(path, "a tokenizer's settings", MOST_BYTES)
    for token, number in values.items():
        if not isinstance(number, int) or isinstance(number, bool):
            raise InputError(f"{path}: '{token}' must have a token id, not {_shown(number)}")
    contents = {_content(token) for token in special}
    return {
        number: AddedToken(token, normalized=token not in contents, special=token in contents)
        for token, number in values.items()
    }


def _content(token: AddedToken | str | None) -> str | None:
    return token.content if isinstance(token, AddedToken) else token


def _special(token: AddedToken) -> AddedToken:
    """The same token, as a special one."""
    flags = {name: getattr(token, name) for name in FLAGS}
    return AddedToken(token.content, **{**flags, "special": True})


def _checked(path: Path, config: dict[str, Any], key: str, kind: type, expected: str) -> Any:
    """The value of `key`, None where it is missing; raises InputError for another type."""
    value = config.get(key)
    if value is not None and not isinstance(value, kind):
        raise InputError(f"{path}: {key} must be {expected}, not {_shown(value)}")
    return value


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}…"
