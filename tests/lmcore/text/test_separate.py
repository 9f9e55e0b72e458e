"""Context and target tokenised apart: what is read and scored, and what is refused.

tests/agreement/test_reading.py compares the log-probs with those of the official code.
"""

from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from lmcore.errors import InputError
from lmcore.scoring.plan import windows
from lmcore.text.separate import encoder_of
from tests.lmcore.scoring.conftest import items, save_tokenizer

SEPARATE = {"bos": "none", "tokenisation": "separate"}
TEXTS = [("The cats annoy", "ts"), ("He sat", "down"), ("The cats", "annoyts")]


def encode(path: Path, texts: list, scoring: dict = SEPARATE):
    (path / "config.json").write_text("{}")
    return encoder_of(scoring, path, 300, "suite").encode(items(texts))


def test_target_has_its_own_tokens_without_the_space_before_it(tmp_path):
    tokenizer = save_tokenizer(tmp_path)
    (text,) = encode(tmp_path, [("The cats", "annoy")])
    of_target = tokenizer.encode("annoy", add_special_tokens=False).ids
    of_context = tokenizer.encode("The cats", add_special_tokens=False).ids
    assert [piece.target for piece in text.pieces] == of_target
    assert text.pieces[0].inputs.tolist() == of_context
    assert text.ids.tolist() == of_context + of_target
    assert text.n_unscored == len(of_context)
    assert (text.starts[len(of_context)], text.ends[-1]) == (len("The cats"), len("The catsannoy"))


@pytest.mark.parametrize(
    ("template", "bos", "before", "behind"),
    [
        ("<s> $A </s>", "tokenizer", [1], [2]),
        ("<s> $A </s>", "prefix", [1], []),
        ("$A", "prefix", [1], []),
        ("<s> $A", "none", [], []),
    ],
)
def test_special_tokens_stand_around_the_context_alone(tmp_path, template, bos, before, behind):
    tokenizer = save_tokenizer(tmp_path, template=template)
    (text,) = encode(tmp_path, [("The cats", "annoy")], {**SEPARATE, "bos": bos})
    context = tokenizer.encode("The cats", add_special_tokens=False).ids
    assert text.pieces[0].inputs.tolist() == [*before, *context, *behind]
    assert text.n_prefix == len(before)
    assert text.ids[: text.n_unscored].tolist() == [*before, *context, *behind]


def test_later_pieces_follow_the_decoded_ones_tokenised_anew(tmp_path):
    """`ca` + `ts` joined to a context that ends in ` ` makes ` cats`, a token of its own."""
    tokenizer = save_tokenizer(tmp_path)
    target = "annoyts"
    (text,) = encode(tmp_path, [("The cats ", target)])
    ids = tokenizer.encode(target, add_special_tokens=False).ids
    before = "The cats "
    for piece, token in zip(text.pieces, ids, strict=True):
        assert piece.inputs.tolist() == tokenizer.encode(before, add_special_tokens=False).ids
        before += tokenizer.decode([token])


def test_each_piece_is_a_window_whose_end_is_kept(tmp_path):
    save_tokenizer(tmp_path)
    texts = encode(tmp_path, TEXTS)
    found = windows(texts, 3, 3, False)
    assert [window.row for window in found] == list(range(len(found)))
    pieces = [piece for text in texts for piece in text.pieces]
    for window, piece in zip(found, pieces, strict=True):
        assert window.inputs.tolist() == piece.inputs[-3:].tolist()
        assert window.first == len(window.inputs) - 1
        assert window.targets.tolist() == [piece.target]


def test_piece_that_decodes_to_nothing_is_refused(tmp_path):
    """A lone `▁` of SentencePiece decodes to the empty text, which official code cannot score."""
    vocab = {"<unk>": 0, "<s>": 1, "</s>": 2, "a": 3, "▁": 4, "b": 5}
    tokenizer = Tokenizer(models.BPE(vocab, [], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never", split=False)
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(InputError, match="option 0: token 4 '▁' of the target decodes to nothing"):
        encode(tmp_path, [("a", "b a")])


def test_empty_context_is_refused(tmp_path):
    save_tokenizer(tmp_path)
    with pytest.raises(InputError, match="makes no token of the context"):
        encode(tmp_path, [("", "cats")])


def test_without_the_key_texts_are_tokenised_together(tmp_path):
    save_tokenizer(tmp_path)
    (text,) = encode(tmp_path, [("The cats", " annoy")], {"bos": "none"})
    assert text.pieces is None
