"""Errors that tools of this field have made and that no other test of this project would catch."""

import json
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from lmcore.folds.metrics import suite_metrics
from lmcore.models.dummy import DummyConfig, DummyForCausalLM
from lmcore.suites.build import build_suite
from lmcore.tables import items_table
from lmcore.text.chunks import chunk_corpus, read_chunks
from lmcore.text.tokenizer import load_fast
from lmcore.training.loop import Examples, evaluate
from tests.lmcore.folds.test_fold import OPTIONS
from tests.lmcore.scored_items import score_items
from tests.lmcore.scoring.conftest import TEXTS, items, save_llama, save_tokenizer
from tests.lmcore.token_tables import fold

WORDS = ["<pad>", "<s>", "</s>", "a", "b"]
# p(next | current), with a row for each word. As everywhere, padding and the end of the text have
# their share.
NEXT = np.array(
    [
        [0.2, 0.2, 0.2, 0.2, 0.2],
        [0.1, 0.1, 0.1, 0.6, 0.1],
        [0.2, 0.2, 0.2, 0.2, 0.2],
        [0.3, 0.0625, 0.1, 0.0375, 0.5],
        [0.05, 0.05, 0.2, 0.4, 0.3],
    ]
)


@pytest.fixture(scope="module")
def bigram(tmp_path_factory) -> Path:
    """A Llama whose two layers add nothing, so that its logits follow from the current token.

    They are exactly the log of NEXT.
    """
    folder = tmp_path_factory.mktemp("bigram")
    shape = {
        "hidden_size": 8,
        "intermediate_size": 8,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "rms_norm_eps": 1e-12,
    }
    model = LlamaForCausalLM(
        LlamaConfig(vocab_size=5, bos_token_id=1, eos_token_id=2, pad_token_id=0, **shape)
    ).eval()
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        model.model.embed_tokens.weight.copy_(torch.eye(5, 8))
        model.lm_head.weight.zero_()
        # the norm turns a one into sqrt(8)
        model.lm_head.weight[:, :5] = torch.from_numpy(np.log(NEXT).T) / math.sqrt(8)
    model.save_pretrained(folder)
    tokenizer = Tokenizer(
        models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="<pad>")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"bos_token": "<s>", "eos_token": "</s>"})
    )
    return folder


def test_bigram_logprob_rank_and_entropy_are_of_the_distribution_that_predicts_the_token(bigram):
    """A shift by one gives other numbers at the first token, the last, and everywhere between."""
    rows = score_items(bigram, items(["a b b a"])).to_pylist()
    path = [1, 3, 4, 4, 3]
    assert [(row["current_id"], row["next_id"]) for row in rows] == list(pairwise(path))
    for row, current, following in zip(rows, path, path[1:]):
        assert row["logprob"] == pytest.approx(math.log(NEXT[current, following]), abs=1e-5)
        assert row["entropy"] == pytest.approx(
            -(NEXT[current] * np.log(NEXT[current])).sum(), abs=1e-5
        )
        assert row["rank"] == 1 + (NEXT[current] > NEXT[current, following]).sum()
        assert (row["top_id"], row["top_logprob"]) == (
            NEXT[current].argmax(),
            pytest.approx(math.log(NEXT[current].max()), abs=1e-5),
        )


def test_bigram_probability_of_padding_and_end_is_not_shared_out_among_the_rest(bigram):
    """After `a`, the words a and b together have a probability of 0.5375, and keep it."""
    table = score_items(bigram, items([("a", " a"), ("a", " b")]))
    assert sum(
        math.exp(row["logprob"]) for row in table.to_pylist() if row["is_target"]
    ) == pytest.approx(0.5375)


def test_bigram_score_changes_with_the_bos_policy_and_bos_is_never_doubled(bigram):
    first = {}
    for bos in ("prefix", "tokenizer", "none"):
        rows = score_items(bigram, items(["b a"], {"bos": bos})).to_pylist()
        first[bos] = [row for row in rows if row["position"] == 0]
    assert first["prefix"][0]["logprob"] == pytest.approx(math.log(0.1))
    assert first["tokenizer"] == first["none"] == []
    plain, own = (score_items(bigram, items([text])).to_pylist() for text in ("b a", "<s> b a"))
    assert [row["logprob"] for row in plain] == [row["logprob"] for row in own]
    assert plain[0]["current_id"] == 1


def test_bigram_option_order_does_not_matter(bigram):
    texts = [("", " a b"), ("", " b a")]
    accuracy = []
    for order in ((0, 1), (1, 0)):
        row = {"item": "g/0", "variant": "", "group": "g"}
        rows = [
            {**row, "option": n, "context": texts[i][0], "target": texts[i][1], "gold": i == 0}
            for n, i in enumerate(order)
        ]
        table = items_table(rows, {"bos": "prefix"})
        accuracy.append(
            suite_metrics(fold(table, score_items(bigram, table), kind="pairs", **OPTIONS), 0.95)[
                0
            ]["accuracy"]
        )
    assert accuracy == [1, 1]


def test_chunks_hold_no_padding_and_every_label_counts_so_that_eos_is_learnt(
    corpus, tokenizer, tmp_path
):
    """Padding and end may be one token.

    A collator that masks every pad id would then hide the real ends.
    """
    chunk_corpus(
        corpus, tokenizer, tmp_path / "chunks", seq_len=16, boundaries="</s>", on_lost="fail"
    )
    ids = {name: load_fast(tokenizer).token_to_id(name) for name in ("<pad>", "</s>")}
    for split in ("train", "dev"):
        chunks = read_chunks(tmp_path / "chunks" / split)
        assert not (chunks == ids["<pad>"]).any() and (chunks == ids["</s>"]).any()
    shape = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(vocab_size=300, pad_token_id=ids["</s>"], eos_token_id=ids["</s>"], **shape)
    ).eval()
    found = read_chunks(tmp_path / "chunks" / "dev")
    chunks = torch.from_numpy(found.astype(np.int64))
    with torch.inference_mode():
        logprobs = torch.log_softmax(model(input_ids=chunks).logits[:, :-1].double(), -1)
    expected = -logprobs.gather(-1, chunks[:, 1:, None]).mean().item()
    assert evaluate(model, Examples(found), 4, "fp32") == pytest.approx(expected, rel=1e-5)


def test_bfloat16_weights_make_no_ties_and_turn_no_clear_decision(tmp_path):
    """With logits and sums in bf16, a third of an untrained model's pairs are ties.

    Peers count ties as wins.
    """
    save_llama(tmp_path / "untrained", initializer_range=0.02)
    rng = np.random.default_rng(0)
    words = sorted(set(" ".join(TEXTS).split()))
    rows = []
    for number in range(150):
        words_of = [" ".join(rng.permutation(words)[:5]) for _ in range(2)]
        row = {"item": f"g/{number:03d}", "variant": "", "group": "g", "context": ""}
        rows += [
            {**row, "option": option, "target": f" {text}", "gold": option == 0}
            for option, text in enumerate(words_of)
        ]
    table = items_table(rows, {"bos": "prefix"})
    sums = {}
    for dtype in ("float32", "bfloat16"):
        tokens = score_items(tmp_path / "untrained", table, dtype)
        assert suite_metrics(fold(table, tokens, kind="pairs", **OPTIONS), 0.95)[0]["n_ties"] == 0
        by_text = {}
        for row in tokens.to_pylist():
            key = (row["item"], row["option"])
            by_text[key] = by_text.get(key, 0.0) + row["logprob"]
        sums[dtype] = np.array(list(by_text.values())).reshape(-1, 2)
    margins = {dtype: values[:, 0] - values[:, 1] for dtype, values in sums.items()}
    clear = np.abs(margins["float32"]) > 0.1  # nats; bf16 weights alone move up to this
    assert (
        clear.sum() > 100
        and (np.sign(margins["float32"]) == np.sign(margins["bfloat16"]))[clear].all()
    )


def test_padded_batches_of_any_size_give_the_same_sums_and_decisions_and_dropout_is_off(tmp_path):
    """The model has dropout, and runs in padded batches."""
    save_tokenizer(tmp_path)
    torch.manual_seed(0)
    shape = {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 128, "initializer_range": 0.2}
    GPT2LMHeadModel(
        GPT2Config(vocab_size=300, resid_pdrop=0.5, attn_pdrop=0.5, **shape)
    ).save_pretrained(tmp_path)
    table = items([*TEXTS, " ".join(TEXTS), "a", *TEXTS[::-1]])
    sums = {}
    for budget in (1, 40, 1000):
        tokens = [score_items(tmp_path, table, token_budget=budget) for _ in range(2)]
        assert tokens[0] == tokens[1]
        texts = tokens[0]["item"].to_numpy()
        sums[budget] = np.array(
            [
                tokens[0]["logprob"].to_numpy()[texts == name].astype(float).sum()
                for name in dict.fromkeys(texts)
            ]
        )
    for budget in (40, 1000):
        np.testing.assert_allclose(sums[budget], sums[1], atol=1e-4)
        assert (np.argsort(sums[budget]) == np.argsort(sums[1])).all()


def test_dummy_scores_what_the_lengths_of_its_tokens_let_one_expect(tmp_path):
    """The accuracy is within four standard errors of the formula.

    Where lengths differ, the formula is far from one half.
    """
    save_tokenizer(tmp_path)
    DummyForCausalLM(DummyConfig(vocab_size=300, seeds=[0, 1, 2])).save_pretrained(tmp_path)
    rng, rows = np.random.default_rng(0), []
    for number in range(200):
        row = {"item": f"g/{number:03d}", "variant": "", "group": "g", "context": ""}
        for option in (0, 1):
            letters = "".join(rng.choice(list("bdfgjkpqvxz"), rng.integers(4, 8 - option)))
            rows.append({**row, "option": option, "target": letters, "gold": option == 0})
    table = items_table(rows, {"bos": "prefix"})
    metrics, intervals = suite_metrics(
        fold(table, score_items(tmp_path, table), kind="pairs", **{**OPTIONS, "vocab_size": 300}),
        0.95,
    )
    assert metrics["n_draws"] == 3 and metrics["length_baseline"] < 0.45
    assert abs(metrics["accuracy"] - metrics["length_baseline"]) < 4 * intervals["accuracy"]["se"]


SIZES = {
    "hypernym": 842,
    "qa_congruence_easy": 64,
    "qa_congruence_tricky": 165,
    "subject_aux_inversion": 3867,
    "turn_taking": 280,
}
# Source: collate_preds.py of babylm/evaluation-pipeline-2025
EXTREMES = {
    "superlative_quantifiers_2": 986,
    "superlative_quantifiers_1": 979,
    "determiner_noun_agreement_irregular_1": 681,
}


@pytest.mark.parametrize(
    ("suite", "folder", "sizes"),
    [
        ("blimp_supplement", "blimp_supplement_filtered", SIZES),
        ("blimp_filtered", "blimp_filtered", EXTREMES),
    ],
)
def test_filtered_data_have_the_published_size_of_every_subtask(
    suite, folder, sizes, data: Path, tmp_path: Path
):
    (tmp_path / suite).symlink_to(data / folder)
    table = build_suite(suite, {}, tmp_path, tmp_path)
    counts = {
        row["values"]: row["counts"] // 2 for row in table["group"].value_counts().to_pylist()
    }
    assert {name: counts[name] for name in sizes} == sizes
    assert (min(counts.values()), max(counts.values())) == (
        min(sizes.values()),
        max(sizes.values()),
    )
