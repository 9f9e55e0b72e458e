import json

import numpy as np
import pytest

from lmcore.errors import InputError
from lmcore.scoring.texts import TextEncoder, find_prefix_id, word_beginnings
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


@pytest.mark.parametrize(("template", "n_prefix"), [("$A", 0), ("<s> $A", 1), ("<s> $A </s>", 1), ("$A </s>", 0)])
def test_tokenizer_policy_takes_its_leading_specials_and_drops_an_appended_eos(tmp_path, template, n_prefix):
    tokenizer, (text,) = encode(tmp_path, [("He sat down on the", " cats")], "tokenizer", template=template)
    assert text.ids.tolist() == [1] * n_prefix + tokenizer.encode("He sat down on the cats", add_special_tokens=False).ids
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
    assert text.is_target.tolist() == [False] * tokens.index("Ġcats") + [True] * (len(tokens) - tokens.index("Ġcats"))


@pytest.mark.parametrize("trim", [True, False])
@pytest.mark.parametrize(("context", "target", "side"), [("The", "  cats", True), ("The ", " cats", False), ("", "  cats", True)])
def test_lone_space_token_belongs_where_its_character_stands(tmp_path, trim, context, target, side):
    tokenizer, (text,) = encode(tmp_path, [(context, target)], trim=trim)
    tokens = tokenizer.encode(context + target, add_special_tokens=False).tokens
    assert text.is_target[tokens.index("Ġ")] == side
    assert text.is_target[-1]


def test_offsets_refer_to_the_text_before_normalisation(tmp_path):
    from tokenizers import Tokenizer, normalizers

    save_tokenizer(tmp_path)
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    (text,) = TextEncoder(tmp_path, 300, "prefix", "suite").encode(items([("\ufb03\ufb03", " cats")]))  # two ligatures of three letters
    assert text.starts[text.is_target].min() in (2, 3)
    assert text.ends[-1] == 7
    assert not text.is_target[:6].any()


def test_id_beyond_the_vocabulary_is_refused_naming_the_item(tmp_path):
    save_tokenizer(tmp_path)
    with pytest.raises(InputError, match=r"suite: item 'i/0001' option 0: token 2\d\d .* is unknown; the model knows ids below 200"):
        TextEncoder(tmp_path, 200, "prefix", "suite").encode(items(["a", "The cats annoy"]))


def test_target_without_a_scored_token_is_refused(tmp_path):
    save_tokenizer(tmp_path)
    with pytest.raises(InputError, match="item 'i/0000' option 0: no token of the target can be scored under bos 'none'"):
        TextEncoder(tmp_path, 300, "none", "suite").encode(items(["a"]))


def test_bos_policy_unknown_is_refused(tmp_path):
    save_tokenizer(tmp_path)
    with pytest.raises(InputError, match="must be one of prefix, tokenizer, none, not 'always'"):
        TextEncoder(tmp_path, 300, "always", "suite")


def test_prefix_falls_back_from_bos_to_eos_to_the_config(tmp_path):
    tokenizer = save_tokenizer(tmp_path)
    assert find_prefix_id(tokenizer, tmp_path) == 1
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"bos_token": None, "eos_token": {"content": "</s>"}}))
    assert find_prefix_id(tokenizer, tmp_path) == 2
    (tmp_path / "tokenizer_config.json").unlink()
    (tmp_path / "config.json").write_text(json.dumps({"eos_token_id": [7, 8]}))
    assert find_prefix_id(tokenizer, tmp_path) == 7
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="needs a BOS or EOS token"):
        find_prefix_id(tokenizer, tmp_path)


def test_word_beginnings_are_pieces_with_leading_space_and_specials(tmp_path):
    tokenizer = save_tokenizer(tmp_path)
    begins = word_beginnings(tokenizer, 300)
    assert begins[[1, 2, tokenizer.token_to_id("Ġcats")]].all()
    assert not begins[tokenizer.token_to_id("c")]
    assert begins.dtype == np.bool_
