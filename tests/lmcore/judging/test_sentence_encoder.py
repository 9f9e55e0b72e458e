"""Sentence embeddings, against transformers by hand."""

from pathlib import Path

import pytest
import torch
from transformers import BertModel

from lmcore.errors import InputError
from lmcore.judging.sentence_encoder import SentenceEncoder, word_cosines
from tests.lmcore.tiny_bert import VOCABULARY, save_bert

TEXTS = [
    "the old man walked to the sea",
    "she",
    "nobody knew what the captain wanted . chapter 1",
    "the old man",
]


@pytest.fixture(scope="module")
def bert(tmp_path_factory) -> Path:
    return save_bert(tmp_path_factory.mktemp("encoder"))


@pytest.mark.parametrize("pooling", ["mean", "first"])
def test_embeddings_are_pooled_over_the_tokens_of_the_text_alone(bert: Path, pooling: str) -> None:
    model = BertModel.from_pretrained(bert).eval()
    found = SentenceEncoder(bert, pooling, 32).embed(TEXTS, batch_size=3)
    for vector, text in zip(found, TEXTS, strict=True):
        ids = [VOCABULARY.index(word) for word in ("[CLS] " + text + " [SEP]").split()]
        hidden = model(input_ids=torch.tensor([ids])).last_hidden_state[0]
        expected = hidden.mean(0) if pooling == "mean" else hidden[0]
        assert torch.allclose(vector, expected / expected.norm(), atol=1e-5)


def test_embedding_of_a_long_text_is_that_of_its_end(bert: Path) -> None:
    """Window 5: [CLS], three pieces, [SEP]."""
    vectors = SentenceEncoder(bert, "mean", 5).embed(
        ["she gave him the old man", "the old man", "she gave him"], batch_size=2
    )
    assert torch.allclose(vectors[0], vectors[1], atol=1e-6) and not torch.allclose(
        vectors[0], vectors[2], atol=1e-2
    )


def test_cosines_are_those_of_the_context_with_the_word_and_without(bert: Path) -> None:
    encoder = SentenceEncoder(bert, "mean", 32)
    vectors = encoder.embed(["the old", "the old man"], batch_size=2)
    found = word_cosines(encoder, [("the old", " man"), ("the old", "")], batch_size=2)
    assert found == pytest.approx([float(vectors[0] @ vectors[1]), 1.0], abs=1e-6)
    assert found[0] < 0.999


def test_unknown_pooling_and_missing_folder_are_refused(bert: Path) -> None:
    with pytest.raises(InputError, match="pooling must be one of mean, first, not 'max'"):
        SentenceEncoder(bert, "max", 32)
    with pytest.raises(InputError, match=r"no config\.json"):
        SentenceEncoder(bert / "nowhere", "mean", 32)
