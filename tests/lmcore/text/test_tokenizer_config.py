"""Reading tokenizer folders.

The ids are those of transformers' PreTrainedTokenizerFast, and a file that is not what its name
says is refused.
"""

import json

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from lmcore.errors import InputError
from lmcore.text.tokenizer import load_fast

TEXTS = ["a <x> b", "a<x>b  <y> A", "  <s>a <y>b</s>", "<unk> hi Hi  hi <pad>", "<S>a"]
FLAGS = {
    "single_word": False,
    "lstrip": False,
    "rstrip": False,
    "normalized": False,
    "special": False,
}
SPECIAL = {**FLAGS, "special": True}
LSTRIP = {"content": "<y>", **FLAGS, "lstrip": True}
NAMED = {"__type": "AddedToken", "content": "<s>", **FLAGS, "rstrip": True}


@pytest.fixture
def folder(tmp_path):
    """A tokenizer of characters in lower case, with one added token of its own."""
    vocabulary = {character: number for number, character in enumerate("abhi <>xys/")} | {
        "<unk>": 11
    }
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.add_special_tokens(["<pad>"])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


def write(folder, **files):
    for name, value in files.items():
        (folder / f"{name}.json").write_text(
            value if isinstance(value, str) else json.dumps(value), "utf-8"
        )


@pytest.mark.parametrize(
    "files",
    [
        {},
        {
            "tokenizer_config": {
                "added_tokens_decoder": {"20": {"content": "<x>", **FLAGS}, "13": LSTRIP}
            }
        },
        {
            "tokenizer_config": {
                "added_tokens_decoder": {"13": {"content": "hi", **FLAGS, "single_word": True}}
            }
        },
        {
            "tokenizer_config": {
                "added_tokens_decoder": {"13": {"content": "hi", **FLAGS, "normalized": True}}
            }
        },
        {
            "tokenizer_config": {
                "added_tokens_decoder": {
                    "13": {"content": "<x>", **FLAGS, "lstrip": True, "rstrip": True}
                }
            }
        },
        {
            "tokenizer_config": {
                "added_tokens_decoder": {"13": {"content": "<x>", **SPECIAL}},
                "split_special_tokens": True,
            }
        },
        {
            "tokenizer_config": {
                "bos_token": "<s>",
                "eos_token": "</s>",
                "unk_token": "<unk>",
                "image_token": "<x>",
            }
        },
        {
            "tokenizer_config": {
                "bos_token": NAMED,
                "extra_special_tokens": ["<x>", {"__type": "AddedToken", **LSTRIP}],
            }
        },
        {
            "tokenizer_config": {"additional_special_tokens": ["<y>"]},
            "added_tokens": {"<x>": 13, "hi": 14},
        },
        {"tokenizer_config": {"extra_special_tokens": {"speaker_token": "<y>"}, "bos_token": None}},
        {
            "tokenizer_config": {"bos_token": "<x>"},
            "special_tokens_map": {"bos_token": "<s>", "eos_token": {"content": "<y>", **FLAGS}},
        },
        {
            "special_tokens_map": {"additional_special_tokens": ["<x>", "<y>"]},
            "added_tokens": {"<s>": 15, "<x>": 14},
        },
        {
            "tokenizer_config": {"added_tokens_decoder": {"13": LSTRIP}},
            "special_tokens_map": {"bos_token": "<s>"},
            "added_tokens": {"<x>": 14},
        },
    ],
)
def test_ids_are_those_of_transformers(folder, files):
    from transformers import PreTrainedTokenizerFast

    write(folder, **files)
    ours, theirs = load_fast(folder), PreTrainedTokenizerFast.from_pretrained(folder)
    for text in TEXTS:
        assert (
            ours.encode(text, add_special_tokens=False).ids
            == theirs(text, add_special_tokens=False)["input_ids"]
        )
    assert ours.get_vocab_size() == len(theirs)


def test_truncation_padding_and_dropout_are_off(folder, tmp_path):
    tokenizer = Tokenizer(models.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")], dropout=1.0))
    tokenizer.enable_truncation(2)
    tokenizer.enable_padding(length=8)
    tokenizer.save(str(folder / "tokenizer.json"))
    assert load_fast(folder).encode("ababab").tokens == ["ab"] * 3


DEEP = "[" * 100_000
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "cannot be read: EOF"),
        ("{}", "cannot be read: Model missing"),
        ("[]", "cannot be read: invalid type: sequence"),
        ("3", "cannot be read: invalid type: integer"),
        ("null", "cannot be read: invalid type: null"),
        (DEEP, "cannot be read"),
        (POINTER, "is a Git LFS pointer, not the file itself"),
        (
            '{"version": "1.0", "model": {"type": "WordLevel", "vocab": {}, "unk_token": "a"}}',
            "expected at least one token",
        ),
        (
            '{"version": "1.0", "model": '
            '{"type": "WordLevel", "vocab": {"a": 4294967295}, "unk_token": "a"}}',
            "ids below 4,194,304",
        ),
    ],
)
def test_tokenizer_json_that_is_none_is_refused_by_name(folder, content, message):
    write(folder, tokenizer=content)
    with pytest.raises(InputError, match=rf"tokenizer\.json: .*{message}"):
        load_fast(folder)


@pytest.mark.parametrize("name", ["tokenizer_config", "special_tokens_map", "added_tokens"])
@pytest.mark.parametrize(
    "content", ["", "[]", "3", "null", "{", DEEP, POINTER, '"a"', b"\xff\xfe{"]
)
def test_file_beside_it_that_is_no_object_is_refused_by_name(folder, name, content):
    (folder / f"{name}.json").write_bytes(
        content if isinstance(content, bytes) else content.encode()
    )
    with pytest.raises(
        InputError, match=rf"{name}\.json: (expected a JSON object|is a Git LFS pointer)"
    ):
        load_fast(folder)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"tokenizer_config": {"bos_token": 5}},
            r"tokenizer_config\.json: bos_token must be a text, or an object with .*, not 5",
        ),
        ({"tokenizer_config": {"eos_token": {"content": None}}}, "eos_token must be a text"),
        ({"tokenizer_config": {"tokenizer_class": ["a"]}}, "tokenizer_class must be a text"),
        (
            {"tokenizer_config": {"split_special_tokens": "yes"}},
            "split_special_tokens must be true or false, not 'yes'",
        ),
        (
            {"tokenizer_config": {"added_tokens_decoder": []}},
            "added_tokens_decoder must be an object",
        ),
        (
            {"tokenizer_config": {"added_tokens_decoder": {"a": {"content": "x"}}}},
            "'a' is no token id",
        ),
        (
            {"tokenizer_config": {"added_tokens_decoder": {"1": "x"}}},
            "added_tokens_decoder: 1 must be an object",
        ),
        (
            {"tokenizer_config": {"added_tokens_decoder": {"1": {"content": "x", "lstrip": 1}}}},
            "lstrip must be true or false",
        ),
        ({"tokenizer_config": {"additional_special_tokens": "x"}}, "must be a list of tokens"),
        (
            {"special_tokens_map": {"bos_token": [1]}},
            r"special_tokens_map\.json: bos_token must be a text",
        ),
        ({"added_tokens": {"x": "1"}}, r"added_tokens\.json: 'x' must have a token id"),
    ],
)
def test_value_of_another_type_is_refused_by_name(folder, files, message):
    write(folder, **files)
    with pytest.raises(InputError, match=message):
        load_fast(folder)


def test_file_that_is_too_large_is_not_read(folder):
    with (folder / "tokenizer_config.json").open("wb") as file:
        file.truncate(2**24 + 1)
    with pytest.raises(
        InputError,
        match=r"tokenizer_config\.json: has 16,777,217 bytes; expected at most 16,777,216",
    ):
        load_fast(folder)
