import json

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from lmcore.errors import InputError
from lmcore.text.encoder import TextEncoder, find_prefix_id, word_beginnings
from lmcore.text.tokenizer import load_fast
from tests.lmcore.scoring.conftest import items, save_tokenizer


def encode(path, texts, bos="prefix", **options):
    tokenizer = save_tokenizer(path, **options)
    (path / "config.json").write_text("{}")
    return tokenizer, TextEncoder(path, 300, bos, "suite").encode(items(texts))


def test_prefix_policy_puts_bos_before_the_text_once(tmp_path):
    tokenizer, (text, own) = encode(tmp_path, ["The cats", "<s>The cats"])
    expected = [1, *tokenizer.encode("The cats", add_special_tokens=False).ids]
    assert text.ids.tolist() == own.ids.tolist() == expected
    assert text.n_prefix == own.n_prefix == 1
    assert own.starts[0] == 3


def test_none_policy_leaves_the_first_token_unscored(tmp_path):
    tokenizer, (text,) = encode(tmp_path, ["The cats"], "none")
    assert text.ids.tolist() == tokenizer.encode("The cats").ids
    assert (text.n_prefix, text.n_unscored) == (0, 1)


@pytest.mark.parametrize(
    ("template", "n_prefix"), [("$A", 0), ("<s> $A", 1), ("<s> $A </s>", 1), ("$A </s>", 0)]
)
def test_tokenizer_policy_takes_its_leading_specials_and_drops_an_appended_eos(
    tmp_path, template, n_prefix
):
    tokenizer, (text,) = encode(
        tmp_path, [("He sat down on the", " cats")], "tokenizer", template=template
    )
    assert (
        text.ids.tolist()
        == [1] * n_prefix
        + tokenizer.encode("He sat down on the cats", add_special_tokens=False).ids
    )
    assert text.n_prefix == n_prefix
    assert text.ends[-1] == len("He sat down on the cats")


def test_prefix_policy_with_an_eos_appending_tokenizer_scores_no_eos(tmp_path):
    _, (text,) = encode(tmp_path, ["The cats"], "prefix", template="<s> $A </s>")
    assert text.ids[0] == 1
    assert 2 not in text.ids


@pytest.mark.parametrize("trim", [True, False])
def test_token_that_spans_the_boundary_belongs_to_the_target(tmp_path, trim):
    tokenizer, (text,) = encode(tmp_path, [("The ca", "ts annoy")], trim=trim)
    tokens = tokenizer.encode("The cats annoy", add_special_tokens=False).tokens
    assert "Ġcats" in tokens
    assert text.is_target.tolist() == [False] * tokens.index("Ġcats") + [True] * (
        len(tokens) - tokens.index("Ġcats")
    )


@pytest.mark.parametrize("trim", [True, False])
@pytest.mark.parametrize(
    ("context", "target", "side"),
    [("The", "  cats", True), ("The ", " cats", False), ("", "  cats", True)],
)
def test_lone_space_token_belongs_where_its_character_stands(tmp_path, trim, context, target, side):
    tokenizer, (text,) = encode(tmp_path, [(context, target)], trim=trim)
    tokens = tokenizer.encode(context + target, add_special_tokens=False).tokens
    assert text.is_target[tokens.index("Ġ")] == side
    assert text.is_target[-1]


def test_offsets_refer_to_the_text_before_normalisation(tmp_path):
    save_tokenizer(tmp_path)
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    # the context is two ligatures of three letters each
    (text,) = TextEncoder(tmp_path, 300, "prefix", "suite").encode(
        items([("\ufb03\ufb03", " cats")])
    )
    assert text.starts[text.is_target].min() in (2, 3)
    assert text.ends[-1] == 7
    assert not text.is_target[:6].any()


def test_id_beyond_the_vocabulary_is_refused_naming_the_item(tmp_path):
    save_tokenizer(tmp_path)
    with pytest.raises(
        InputError,
        match=r"suite: item 'i/0001' option 0: token 2\d\d .* is not in the model's vocabulary; "
        "its ids are below 200",
    ):
        TextEncoder(tmp_path, 200, "prefix", "suite").encode(items(["a", "The cats annoy"]))


def test_target_without_a_scored_token_is_refused(tmp_path):
    save_tokenizer(tmp_path)
    with pytest.raises(
        InputError,
        match="item 'i/0000' option 0: no token of the target can be scored under bos 'none'",
    ):
        TextEncoder(tmp_path, 300, "none", "suite").encode(items(["a"]))


def test_bos_policy_unknown_is_refused(tmp_path):
    save_tokenizer(tmp_path)
    with pytest.raises(InputError, match="must be one of prefix, tokenizer, none, not 'always'"):
        TextEncoder(tmp_path, 300, "always", "suite")


def test_prefix_falls_back_from_bos_to_eos_to_the_config(tmp_path):
    tokenizer = save_tokenizer(tmp_path)
    assert find_prefix_id(tokenizer, tmp_path) == 1
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps({"bos_token": None, "eos_token": {"content": "</s>"}})
    )
    assert find_prefix_id(tokenizer, tmp_path) == 2
    (tmp_path / "tokenizer_config.json").unlink()
    (tmp_path / "config.json").write_text(
        json.dumps({"bos_token_id": None, "eos_token_id": [2, 8]})
    )
    assert find_prefix_id(tokenizer, tmp_path) == 2
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="needs a BOS or EOS token"):
        find_prefix_id(tokenizer, tmp_path)


def test_word_beginnings_are_pieces_with_leading_space_and_specials(tmp_path):
    tokenizer = save_tokenizer(tmp_path)
    begins = word_beginnings(tokenizer, 300)
    assert begins[[1, 2, tokenizer.token_to_id("Ġcats")]].all()
    assert not begins[tokenizer.token_to_id("c")]
    assert begins.dtype == np.bool_


def beginnings(tokenizer, pieces):
    """Which of the pieces begin a word."""
    found = word_beginnings(tokenizer, tokenizer.get_vocab_size())
    return [bool(found[tokenizer.token_to_id(piece)]) for piece in pieces]


def test_word_beginnings_of_sentencepiece_are_spaces_and_bytes_of_whitespace():
    vocabulary = ["<s>", "\u2581", "\u2581the", "the", "<0x20>", "<0x0A>", "<0x41>", "<unk>"]
    for model in (
        models.BPE(
            {piece: number for number, piece in enumerate(vocabulary)}, [], byte_fallback=True
        ),
        models.Unigram([(piece, -1.0) for piece in vocabulary], unk_id=7, byte_fallback=True),
    ):
        tokenizer = Tokenizer(model)
        tokenizer.normalizer = normalizers.Sequence(
            [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]
        )
        tokenizer.decoder = decoders.Sequence(
            [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
        )
        tokenizer.add_special_tokens(["<s>"])
        assert beginnings(tokenizer, vocabulary[:7]) == [True, True, True, False, True, True, False]


def test_word_beginnings_where_spaces_are_left_out():
    piece = Tokenizer(models.WordPiece({"[UNK]": 0, "cat": 1, "##s": 2, ",": 3}, unk_token="[UNK]"))
    piece.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    assert beginnings(piece, ["cat", "##s", ","]) == [True, False, True]
    word = Tokenizer(models.WordLevel({"[UNK]": 0, "cat": 1, "cats": 2}, unk_token="[UNK]"))
    word.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    assert beginnings(word, ["cat", "cats", "[UNK]"]) == [True, True, True]
    characters = Tokenizer(models.WordLevel({"c": 0, " ": 1, "\n": 2}, unk_token="c"))
    characters.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    assert beginnings(characters, ["c", " ", "\n"]) == [False, True, True]


@pytest.mark.parametrize(
    "split",
    [
        pre_tokenizers.Whitespace(),
        pre_tokenizers.Split(" ", "merged_with_previous"),
        pre_tokenizers.CharDelimiterSplit(" "),
    ],
)
def test_word_beginnings_that_no_piece_says_are_refused(split):
    tokenizer = Tokenizer(models.BPE({"a": 0, "b</w>": 1}, [], end_of_word_suffix="</w>"))
    tokenizer.pre_tokenizer = split
    with pytest.raises(
        InputError,
        match="the BPE tokenizer drops the spaces between words, or puts them at the end of a",
    ):
        word_beginnings(tokenizer, 2)


@pytest.mark.parametrize(
    ("names", "config", "expected"),
    [
        ({"tokenizer_class": "GPT2Tokenizer"}, {"bos_token_id": 40}, "<|endoftext|>"),
        ({"tokenizer_class": "GPT2TokenizerFast"}, {"bos_token_id": 40}, "<|endoftext|>"),
        ({}, {"model_type": "gpt2", "bos_token_id": 40}, "<|endoftext|>"),
        ({"tokenizer_class": "LlamaTokenizer"}, {"bos_token_id": 40}, "<s>"),
        ({"tokenizer_class": "T5Tokenizer"}, {"bos_token_id": 40}, "</s>"),
        ({"tokenizer_class": "Qwen2Tokenizer"}, {"bos_token_id": 1}, "<|endoftext|>"),
        (
            {"tokenizer_class": "GPT2Tokenizer", "bos_token": None, "eos_token": "</s>"},
            {"bos_token_id": 40},
            "</s>",
        ),
        ({"tokenizer_class": "BertTokenizer"}, {"bos_token_id": 1}, "<s>"),
        ({"tokenizer_class": "GemmaTokenizer"}, {"bos_token_id": 40, "eos_token_id": 2}, "</s>"),
    ],
)
def test_prefix_is_that_of_the_class_before_the_config(tmp_path, names, config, expected):
    """Where tokenizer_config.json names no BOS, the tokenizer's class decides.

    The id in config.json may belong to another vocabulary.
    """
    tokenizer = save_tokenizer(tmp_path)
    tokenizer.add_special_tokens(["<|endoftext|>"])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(names))
    (tmp_path / "config.json").write_text(json.dumps({"vocab_size": 301, **config}))
    assert (
        load_fast(tmp_path).id_to_token(find_prefix_id(load_fast(tmp_path), tmp_path)) == expected
    )


@pytest.mark.parametrize(
    ("names", "config", "message"),
    [
        (
            {},
            {"bos_token_id": 1000000},
            r"config\.json: bos_token_id 1,000,000 is outside the vocabulary of 300",
        ),
        ({}, {"bos_token_id": "1"}, r"config\.json: bos_token_id must be a token id, not '1'"),
        (
            {},
            {"bos_token_id": 7},
            r"needs a BOS or EOS token .*\(bos_token_id 7 is '%', no special token\)",
        ),
        (
            {"bos_token": "<|x|>"},
            {},
            r"the tokenizer's BOS '<\|x\|>' has id 300, beyond the model's vocabulary of 300",
        ),
    ],
)
def test_prefix_that_is_no_special_token_of_the_model_is_refused(tmp_path, names, config, message):
    save_tokenizer(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(names))
    (tmp_path / "config.json").write_text(json.dumps({"vocab_size": 300, **config}))
    with pytest.raises(InputError, match=message):
        find_prefix_id(load_fast(tmp_path), tmp_path)


@pytest.mark.parametrize("text", ["<s>The cats", "<s><s>The cats"])
@pytest.mark.parametrize(
    ("bos", "template"), [("prefix", None), ("tokenizer", "<s> $A"), ("tokenizer", "<s> $A </s>")]
)
def test_bos_that_a_text_brings_is_not_doubled_nor_scored(tmp_path, bos, template, text):
    tokenizer, (found,) = encode(tmp_path, [text], bos, template=template)
    assert found.ids.tolist() == [1, *tokenizer.encode("The cats", add_special_tokens=False).ids]
    assert found.n_prefix == 1 and found.starts[0] == len(text) - len("The cats")


def test_text_that_the_tokenizer_cannot_encode_is_named(tmp_path):
    tokenizer = Tokenizer(models.WordLevel({"a": 0, "<s>": 1}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(
        InputError,
        match="suite: item 'i/0001' option 0: the tokenizer cannot encode the text: "
        "WordLevel error",
    ):
        TextEncoder(tmp_path, 2, "none", "suite").encode(items(["a a", "a b"]))
