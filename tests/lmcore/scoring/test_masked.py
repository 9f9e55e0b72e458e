"""Masked LMs, with both ways to mask a token.

Every token of a target is scored as by the model's own forward where it is masked. Where that is
impossible, one line says why.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import AutoConfig, AutoModelForMaskedLM

from lmcore.errors import InputError
from lmcore.explorations.next_tokens import next_tokens
from lmcore.generating.continuations import generate
from lmcore.machine.threads import one_thread
from lmcore.models.load import load_masked
from lmcore.scoring.engine import Engine
from tests.lmcore.scored_items import score_items
from tests.lmcore.scoring.conftest import items

WORDS = [
    "the",
    "old",
    "man",
    "sea",
    "ship",
    "walk",
    "look",
    "he",
    "she",
    "read",
    "letter",
    "twice",
    "a",
    "and",
    ".",
    ",",
]
PIECES = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    *WORDS,
    *(f"##{piece}" for piece in ("s", "ed", "er", "ing")),
]
MASK = PIECES.index("[MASK]")
SHAPE = {
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 72,
    "max_position_embeddings": 64,
}
BERT = {"bert": {}, "electra": {"embedding_size": 32}, "albert": {"embedding_size": 32}}
ROBERTA = {
    "roberta": {"max_position_embeddings": 65},
    "xlm-roberta": {"max_position_embeddings": 65},
}
MODERN = {
    "modernbert": {
        "local_attention": 8,
        "global_attn_every_n_layers": 2,
        "bos_token_id": 2,
        "eos_token_id": 3,
    }
}
DISTIL = {"distilbert": {"dim": 48, "n_layers": 2, "n_heads": 4, "hidden_dim": 72}}
PACKED = {**BERT, **ROBERTA, **MODERN, **DISTIL}
PADDED = {"deberta-v2": {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]}, "fnet": {}}
TEXTS = [
    "the old man walked to the sea and looked at the ships .",
    "she walker him a letter , and he reads it twice .",
    "the ship .",
    "the letter .",
    ("the old man", " walked and looked ."),
    " ".join(["the old man walked and she looked ."] * 12),  # longer than the model's context
]


def save(name: str, path: Path, **changes) -> Path:
    """A random masked LM of the architecture `name` in the folder, with a WordPiece tokenizer."""
    values = {
        "vocab_size": len(PIECES),
        "pad_token_id": 0,
        **SHAPE,
        **(PACKED | PADDED).get(name, {}),
        **changes,
    }
    torch.manual_seed(0)
    model = AutoModelForMaskedLM.from_config(AutoConfig.for_model(name, **values))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    model.save_pretrained(path)
    tokenizer = Tokenizer(
        models.WordPiece({piece: number for number, piece in enumerate(PIECES)}, unk_token="[UNK]")
    )
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.save(str(path / "tokenizer.json"))
    named = {
        "mask_token": "[MASK]",
        "pad_token": "[PAD]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "unk_token": "[UNK]",
    }
    (path / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", **named})
    )
    return path


@pytest.fixture(autouse=True)
def single_thread():
    with one_thread():
        yield


@pytest.fixture(scope="module")
def bert(tmp_path_factory) -> Path:
    return save("bert", tmp_path_factory.mktemp("masked") / "bert")


def own_rows(path: Path, text: str | tuple[str, str], way: str) -> list[dict]:
    """The rows of a text that fits into the context, by a forward of the whole model per token."""
    context, target = ("", text) if isinstance(text, str) else text
    model = load_masked(path)
    encoding = Tokenizer.from_file(str(path / "tokenizer.json")).encode(context + target)
    rows = []
    for place, (number, word) in enumerate(zip(encoding.ids, encoding.word_ids, strict=True)):
        if word is None or encoding.offsets[place][1] <= len(context):
            continue
        ids = torch.tensor([encoding.ids])
        ids[0, place] = MASK
        if way == "within_word_l2r":
            for later in range(place + 1, len(encoding.ids)):
                if encoding.word_ids[later] == word:
                    ids[0, later] = MASK
        with torch.inference_mode():
            logprobs = model(input_ids=ids).logits[0, place].double().log_softmax(-1)
        own = logprobs[number]
        entropy = -(logprobs.exp() * logprobs).sum()
        rows.append(
            {
                "next_id": number,
                "logprob": float(own),
                "entropy": float(entropy),
                "rank": 1 + int((logprobs > own).sum()),
            }
        )
    return rows


def assert_agrees(path: Path, table, way: str) -> None:
    for number, text in enumerate(TEXTS[:-1]):
        rows = [row for row in table.to_pylist() if row["item"] == f"i/{number:04d}"]
        expected = own_rows(path, text, way)
        assert [row["next_id"] for row in rows] == [row["next_id"] for row in expected]
        for name in ("logprob", "entropy"):
            np.testing.assert_allclose(
                [row[name] for row in rows], [row[name] for row in expected], atol=1e-4
            )
        assert [row["rank"] for row in rows] == [row["rank"] for row in expected]


@pytest.mark.parametrize("way", ["within_word_l2r", "original"])
@pytest.mark.parametrize("name", [*PACKED, *PADDED])
def test_every_token_is_what_the_model_says_where_it_is_masked(name, way, tmp_path):
    path = save(name, tmp_path)
    engine = Engine(path, {"masked": way}, "float32", 2048).load()
    assert engine.name.startswith("packed masked " if name in PACKED else "padded masked "), (
        engine.name
    )
    assert_agrees(path, engine.score(items(TEXTS)), way)


@pytest.mark.parametrize("name", ["bert", "roberta", "modernbert"])
def test_packed_rows_are_bitwise_independent_of_what_shares_a_pass(name, tmp_path):
    path = save(name, tmp_path)
    expected = Engine(path, {}, "float32", 2048, kernel="onednn").score(items(TEXTS))
    for options in (
        {"token_budget": 1},
        {"token_budget": 100},
        {"token_budget": 700, "chunk_rows": 7},
    ):
        assert (
            Engine(path, {}, "float32", kernel="onednn", **options).score(items(TEXTS)) == expected
        )
    alone = Engine(path, {}, "float32", 50, kernel="onednn").score(items(TEXTS[1:2]))
    among = [item == "i/0001" for item in expected["item"].to_pylist()]
    assert alone["logprob"].to_pylist() == expected.filter(among)["logprob"].to_pylist()


def test_tokens_of_targets_alone_have_rows_and_a_long_text_every_one_of_its_own(bert):
    table = score_items(bert, items(TEXTS)).to_pylist()
    assert all(row["is_target"] for row in table)
    behind_context = [row["position"] for row in table if row["item"] == "i/0004"]
    assert behind_context == [3, 4, 5, 6, 7, 8][: len(behind_context)]
    in_long_text = [row["position"] for row in table if row["item"] == "i/0005"]
    assert in_long_text == list(range(len(in_long_text))) and len(in_long_text) > 64


def test_way_to_mask_is_checked_and_within_word_is_the_default(bert):
    default, within, original = (
        Engine(bert, scoring, "float32", 512).score(items(TEXTS[:2]))["logprob"].to_pylist()
        for scoring in ({}, {"masked": "within_word_l2r"}, {"masked": "original"})
    )
    assert default == within != original
    with pytest.raises(
        InputError, match="scoring 'masked' must be one of within_word_l2r, original, not 'all'"
    ):
        Engine(bert, {"masked": "all"}, "float32", 512)


def test_what_masked_lms_cannot_do_is_refused_in_one_line(bert, tmp_path):
    no_next_token = (
        "'BertForMaskedLM' is a masked LM, which predicts a token from both sides and cannot"
    )
    for refused in (
        lambda: generate(bert, ["the"], "none", 4, "stop", 1, {"greedy": {}}),
        lambda: next_tokens(bert, "the", 3, "none"),
    ):
        with pytest.raises(InputError, match=no_next_token):
            refused()
    with pytest.raises(InputError, match=r"scoring 'bow' \(--corrected\) is of causal LMs"):
        Engine(bert, {"bow": True}, "float32", 512)
    path = save("bert", tmp_path)
    tokenizer = json.loads((path / "tokenizer.json").read_text())
    vocab = {piece: i for piece, i in tokenizer["model"]["vocab"].items() if piece != "[MASK]"}
    for broken, message in (
        ({"post_processor": None}, "adds no special token in front"),
        ({"model": {**tokenizer["model"], "vocab": vocab}}, "mask_token"),
    ):
        (path / "tokenizer.json").write_text(json.dumps(tokenizer | broken))
        (path / "tokenizer_config.json").write_text(
            '{"tokenizer_class": "PreTrainedTokenizerFast"}'
        )
        with pytest.raises(InputError, match=message):
            score_items(path, items(TEXTS[:1]))


@pytest.mark.parametrize("name", ["bert", "roberta"])
def test_trained_models_give_their_golden_pseudo_logprobs(name, data):
    path = data / "tiny_models" / name
    golden = json.loads((path / "golden.json").read_text())
    for pair in golden["pairs"]:
        for side in ("good", "bad"):
            table = score_items(path, items([pair[side]["sentence"]], {"masked": "original"}))
            np.testing.assert_allclose(
                table["logprob"].to_numpy(), pair[side]["token_logprobs"], atol=1e-4
            )
