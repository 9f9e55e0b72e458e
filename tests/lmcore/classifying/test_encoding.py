import numpy as np
import pytest
from transformers import PreTrainedTokenizerFast

from lmcore.classifying.encoding import Padding, encode, longest, pad, padding_of
from lmcore.classifying.tasks import Pairs
from lmcore.errors import InputError
from tests.lmcore.classifying.toy import save_model

TEXTS = [
    ("The old man", "walked to the sea"),
    ("a", "b c d e f g h"),
    ("She gave him a letter", ""),
]


def pairs(texts=TEXTS):
    return Pairs(texts, np.arange(len(texts)), [f"line {n}" for n in range(1, len(texts) + 1)])


@pytest.mark.parametrize("name", ["llama", "bert"])
def test_ids_are_those_of_the_official_call_of_the_tokenizer(name, tmp_path):
    folder = save_model(name, tmp_path)
    official = PreTrainedTokenizerFast.from_pretrained(folder)
    for most in (512, 8):
        found = encode(folder, pairs(), most)
        expected = official(TEXTS, truncation=True, max_length=most)["input_ids"]
        assert [ids.tolist() for ids in found.ids] == expected
    assert encode(folder, pairs(), 512).n_truncated == 0
    whole = official(TEXTS)["input_ids"]
    assert encode(folder, pairs(), 8).n_truncated == sum(len(ids) > 8 for ids in whole) > 0


def test_longest_is_the_window_where_that_is_shorter(tmp_path):
    folder = save_model("bert", tmp_path)  # of 64 positions
    assert longest(folder, 512) == 64 and longest(folder, 32) == 32


def test_pad_fills_the_named_side_and_masks_it():
    texts = [np.array([5, 6, 7]), np.array([8])]
    ids, mask = pad(texts, Padding("right", 9))
    assert ids.tolist() == [[5, 6, 7], [8, 9, 9]] and mask.tolist() == [[1, 1, 1], [1, 0, 0]]
    ids, mask = pad(texts, Padding("left", 9))
    assert ids.tolist() == [[5, 6, 7], [9, 9, 8]] and mask.tolist() == [[1, 1, 1], [0, 0, 1]]


def test_padding_token_outside_the_vocabulary_is_not_taken(tmp_path):
    folder = save_model("llama", tmp_path)
    assert padding_of(folder, "left") == Padding("left", 0)
    config = folder / "tokenizer_config.json"
    config.write_text(config.read_text().replace('"<pad>"', '"<beyond>"'))
    assert padding_of(folder, "left") == Padding("left", 0)  # that of config.json


def test_pair_without_tokens_is_named(tmp_path):
    folder = save_model("llama", tmp_path)
    with pytest.raises(InputError, match="line 2: its texts have no tokens"):
        encode(folder, pairs([("a", "b"), ("", "")]), 8)


def test_token_beyond_the_vocabulary_is_named(tmp_path):
    folder = save_model("llama", tmp_path)
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"vocab_size": 300', '"vocab_size": 20'))
    with pytest.raises(InputError, match=r"line 1: the tokenizer of .* the model has only 20"):
        encode(folder, pairs(), 8)
