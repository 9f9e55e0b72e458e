import json

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from lmcore.classifying.encoding import Padding, encode, longest, pad, padding_of
from lmcore.classifying.model import check_padding, new_classifier
from lmcore.classifying.tasks import read_splits
from lmcore.errors import InputError
from tests.lmcore.classifying.toy import save_model

NAMES = ["llama", "gpt2", "gpt_neox", "opt", "bloom", "mamba", "bert"]
TEXTS = [np.arange(20, 40), np.arange(5, 9), np.array([7, 8, 8, 31, 12])]


def classifier_of(name, folder, side="right", seed=0, n_labels=3):
    folder = save_model(name, folder)
    return new_classifier(folder, n_labels, 0.1, padding_of(folder, side), seed)


@pytest.mark.parametrize("name", NAMES)
def test_logits_are_those_of_each_text_alone_whichever_side_is_padded(name, tmp_path):
    by_side = {}
    for side in ("right", "left"):
        classifier = classifier_of(name, tmp_path, side)
        with torch.no_grad():
            by_side[side] = classifier(*pad(TEXTS, padding_of(tmp_path, side)))
            alone = [classifier(*pad([text], Padding(side, 0)))[0] for text in TEXTS]
        torch.testing.assert_close(by_side[side], torch.stack(alone), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(by_side["left"], by_side["right"], atol=1e-5, rtol=1e-5)
    assert by_side["right"].std(0).min() > 1e-4  # the texts differ


@pytest.mark.parametrize("name", ["gpt2-a", "opt", "bert", "roberta"])
def test_padded_side_changes_no_logit_of_trained_models_on_real_pairs(name, data):
    folder = data / "tiny_models" / name
    _, valid = read_splits(data / "babylm_eval/full_eval/glue_filtered", "rte")
    encoded = encode(folder, valid, longest(folder, 512))
    logits = {}
    for side in ("right", "left"):
        padding = padding_of(folder, side)
        classifier = new_classifier(folder, 2, 0.1, padding, 0)
        with torch.no_grad():
            logits[side] = classifier(*pad(encoded.ids[:16], padding))
    torch.testing.assert_close(logits["left"], logits["right"], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["llama", "gpt2", "gpt_neox", "opt"])
def test_with_the_head_of_transformers_the_logits_are_those_of_transformers(name, tmp_path):
    classifier = classifier_of(name, tmp_path)
    peer = AutoModelForSequenceClassification.from_pretrained(tmp_path, num_labels=3).eval()
    classifier.head = peer.score  # a linear layer on the last token
    ids, mask = pad(TEXTS, padding_of(tmp_path, "right"))
    with torch.no_grad():
        expected = peer(input_ids=ids, attention_mask=mask).logits
        torch.testing.assert_close(classifier(ids, mask), expected)


def test_state_of_a_masked_model_is_that_of_its_first_token(tmp_path):
    classifier = classifier_of("bert", tmp_path)
    peer = AutoModelForSequenceClassification.from_pretrained(tmp_path, num_labels=3).eval()
    classifier.head = torch.nn.Identity()
    ids, mask = pad(TEXTS, padding_of(tmp_path, "right"))
    with torch.no_grad():
        states = peer.bert(input_ids=ids, attention_mask=mask).last_hidden_state
        torch.testing.assert_close(classifier(ids, mask), states[:, 0])


def test_head_is_the_official_one_and_drawn_from_the_seed(tmp_path):
    one, again = (classifier_of("llama", tmp_path) for _ in range(2))
    other = classifier_of("llama", tmp_path, seed=1)
    for left, right in zip(one.parameters(), again.parameters(), strict=True):
        assert torch.equal(left, right)
    assert not torch.equal(one.head[1].weight, other.head[1].weight)
    kinds = [type(layer).__name__ for layer in one.head]
    assert kinds == ["LayerNorm", "Linear", "GELU", "LayerNorm", "Dropout", "Linear"]
    assert one.head[0].weight is None and one.head[4].p == 0.1
    assert one.head[5].out_features == 3


def test_check_padding_finds_positions_that_count_the_padding(tmp_path):
    classifier = classifier_of("gpt2", tmp_path, "left")
    classifier.gives_positions = False  # as in the official pipeline
    with pytest.raises(InputError, match=r"padding on the left changes .* try padding_side: right"):
        check_padding(classifier, tmp_path, padding_of(tmp_path, "left"))


def test_control_without_a_body_is_refused(tmp_path):
    folder = save_model("llama", tmp_path / "dummy")
    config = json.loads((folder / "config.json").read_text()) | {"model_type": "lmcore_dummy"}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="has no body to fine-tune"):
        new_classifier(folder, 2, 0.1, Padding("right", 0), 0)


def test_folder_with_code_of_its_own_is_refused(tmp_path):
    folder = save_model("bert", tmp_path)
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "gptbert", "auto_map": {"AutoModelForMaskedLM": "modeling.GptBert"}}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        InputError, match=r"own code \(modeling.GptBert\), and .* is never run; save"
    ):
        new_classifier(folder, 2, 0.1, Padding("right", 0), 0)
