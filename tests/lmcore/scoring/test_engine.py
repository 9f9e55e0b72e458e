import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers

from lmcore.errors import InputError
from lmcore.models.folder import read_config
from lmcore.models.load import load_model
from lmcore.models.unigram import UnigramConfig, UnigramForCausalLM
from lmcore.scoring import kernels
from lmcore.scoring.engine import Engine
from lmcore.scoring.extract import one_thread
from lmcore.scoring.guard import open_model
from lmcore.scoring.packed import Packed
from lmcore.tables import TOKEN_KEY, TOKENS, check
from tests.lmcore.scored_items import score_items
from tests.lmcore.scoring.conftest import TEXTS, items, save_llama

PAIRS = [("Who should Derek", " hug"), ("Who should Derek", " shock"), ("The", " cats annoy Tim.")]
LONG = " ".join(TEXTS[:3] * 12)  # more than 256 tokens


@pytest.fixture(autouse=True)
def single_thread():
    with one_thread():
        yield


def by_transformers(path: Path, ids: list[int]) -> torch.Tensor:
    """Log-softmax (T, V) of the model's own float32 forward over one unpadded text."""
    with torch.inference_mode():
        return torch.log_softmax(
            load_model(path)(input_ids=torch.tensor([ids])).logits[0].double(), -1
        )


def assert_agrees(path: Path, table) -> None:
    for item in dict.fromkeys(table["item"].to_pylist()):
        rows = [row for row in table.to_pylist() if row["item"] == item]
        exact = by_transformers(path, [rows[0]["current_id"]] + [row["next_id"] for row in rows])
        for row, expected in zip(rows, exact):
            assert row["logprob"] == pytest.approx(expected[row["next_id"]].item(), abs=1e-4)
            assert row["entropy"] == pytest.approx(
                -(expected.exp() * expected).sum().item(), abs=1e-4
            )
            assert row["top_logprob"] == pytest.approx(expected.max().item(), abs=1e-4)
            assert abs(row["rank"] - 1 - int((expected > expected[row["next_id"]]).sum())) <= int(
                ((expected - expected[row["next_id"]]).abs() < 1e-4).sum()
            )


def test_score_unigram_of_three_tokens_is_that_computed_by_hand(tmp_path):
    tokenizer = Tokenizer(models.WordLevel({"a": 0, "b": 1, "c": 2}, unk_token="c"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    counts = np.array([4, 2, 1])  # with one added to each, probabilities of 0.5, 0.3 and 0.2
    UnigramForCausalLM.from_counts(counts, UnigramConfig(vocab_size=3)).save_pretrained(tmp_path)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    table = score_items(tmp_path, items([("a", " b"), ("", "a c")], {"bos": "none"}))
    entropy = -sum(p * math.log(p) for p in (0.5, 0.3, 0.2))
    assert table["logprob"].to_pylist() == pytest.approx([math.log(0.3), math.log(0.2)])
    assert table["entropy"].to_pylist() == pytest.approx([entropy] * 2)
    assert table["rank"].to_pylist() == [2, 3]
    assert table["top_id"].to_pylist() == [0, 0]
    assert [
        (row["position"], row["current_id"], row["start"], row["end"]) for row in table.to_pylist()
    ] == [(1, 0, 2, 3)] * 2


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"tie_word_embeddings": True},
        {
            "num_key_value_heads": 4,
            "rope_parameters": {"rope_type": "default", "rope_theta": 500.0},
        },
        {"head_dim": 8, "num_key_value_heads": 1},
    ],
)
def test_score_packed_llama_agrees_with_transformers(tmp_path, changes):
    save_llama(tmp_path, **changes)
    engine = Engine(tmp_path, {}, "float32", 64).load()
    assert engine.forward.kind == "packed"
    assert_agrees(tmp_path, engine.score(items([*TEXTS, *PAIRS, LONG])))


@pytest.mark.parametrize(
    "changes",
    [
        {"attention_bias": True},
        {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}},
        {"hidden_act": "gelu"},
    ],
)
def test_score_unusual_llama_packed(tmp_path, changes):
    save_llama(tmp_path, **changes)
    engine = Engine(tmp_path, {}, "float32", 64).load()
    assert engine.forward.kind == "packed"
    assert_agrees(tmp_path, engine.score(items([*TEXTS, *PAIRS])))


def test_score_gpt2_agrees_with_transformers(gpt2):
    assert_agrees(gpt2, score_items(gpt2, items([*TEXTS, *PAIRS]), token_budget=50))


@torch.inference_mode()
def test_guard_checks_every_forward_by_the_tolerance_of_its_module(llama, monkeypatch):
    kernel = kernels.choose()
    forward, reason = open_model(llama, read_config(llama), "float32", kernel, 1024)
    assert isinstance(forward, Packed) and not reason
    monkeypatch.setattr("lmcore.scoring.guard.TOLERANCE", -1.0)  # nothing is good enough
    forward, reason = open_model(llama, read_config(llama), "float32", kernel, 1024)
    assert not isinstance(forward, Packed)
    assert reason.startswith("it differs from the model's own")


def test_score_packed_and_padded_forward_agree(llama, monkeypatch):
    table = items([*TEXTS, *PAIRS, LONG])
    packed = score_items(llama, table)
    monkeypatch.setattr("lmcore.scoring.guard.TOLERANCE", 0.0)  # nothing is good enough
    own = score_items(llama, table)
    floats = ["logprob", "entropy", "top_logprob", "rank"]
    assert packed.drop_columns(floats) == own.drop_columns(floats)
    for name in ("logprob", "entropy", "top_logprob"):
        np.testing.assert_allclose(packed[name], own[name], atol=1e-4)


@pytest.mark.parametrize(
    "options",
    [{"token_budget": 1}, {"token_budget": 50}, {"share_prefixes": False}, {"chunk_rows": 3}],
)
def test_score_packed_is_bitwise_independent_of_what_shares_a_pass(llama, options):
    twins = [LONG + ending for ending in (" cats.", " Tim.", "")]  # share more than 256 tokens
    table = items([*TEXTS, *TEXTS, *PAIRS, *twins, LONG[:200]])
    assert score_items(llama, table, **options) == score_items(llama, table)


def test_score_packed_is_bitwise_independent_of_threads(llama):
    table = items([*TEXTS, LONG])
    expected = score_items(llama, table)
    torch.set_num_threads(2)
    assert score_items(llama, table) == expected


def test_score_item_alone_equals_item_among_others_bitwise(llama):
    among = score_items(llama, items([*TEXTS, LONG]))
    for number, text in enumerate([*TEXTS, LONG]):
        alone = score_items(llama, items([text]))
        mask = [item == f"i/{number:04d}" for item in among["item"].to_pylist()]
        assert among.filter(mask)["logprob"].to_pylist() == alone["logprob"].to_pylist()


def test_score_long_text_in_windows_scores_every_token_once_with_enough_context(llama):
    ids = Tokenizer.from_file(str(llama / "tokenizer.json")).encode(LONG).ids
    for stride in (64, 16):
        table = score_items(llama, items([LONG], {"bos": "prefix", "window": 64, "stride": stride}))
        assert table["next_id"].to_pylist() == ids
        whole = [1, *ids]
        row = 64 + stride + 5  # in the third window, which begins at 2 * stride where it slides
        begin = min(2 * stride, len(ids) - 64) if stride == 64 else 2 * stride
        exact = by_transformers(llama, whole[begin : row + 1])[-1]
        assert table["logprob"][row].as_py() == pytest.approx(exact[ids[row]].item(), abs=1e-4)


def test_score_rows_describe_tokens_by_characters_and_ids(llama):
    table = check(score_items(llama, items([("The cats", " annoy Tim.")])), TOKENS)
    rows = table.to_pylist()
    assert [row["position"] for row in rows] == list(range(len(rows)))
    assert rows[0]["current_id"] == 1
    assert all(row["current_id"] == before["next_id"] for before, row in pairwise(rows))
    assert [row["is_target"] for row in rows] == [row["end"] > 8 for row in rows]


def test_score_invariants_hold_for_ranks_entropies_and_top_tokens(llama):
    for row in score_items(llama, items([*TEXTS, LONG])).to_pylist():
        assert 1 <= row["rank"] <= 300
        assert 0 <= row["entropy"] <= math.log(300) + 1e-5
        assert row["logprob"] <= row["top_logprob"] <= 0
        assert (row["rank"] == 1) == (row["logprob"] == row["top_logprob"])


def test_score_optional_columns_give_the_best_tokens_and_the_mass_of_word_beginnings(llama, gpt2):
    scoring = {"bos": "prefix", "top_k": 3, "bow": True}
    for path in (llama, gpt2):
        plain, table = score_items(path, items(TEXTS)), score_items(path, items(TEXTS, scoring))
        assert [ids[0] for ids in table["top_ids"].to_pylist()] == plain["top_id"].to_pylist()
        rows = table.to_pylist()
        for row, following in pairwise(rows):
            if following["position"]:
                assert row["next_bow_logprob"] == pytest.approx(following["bow_logprob"], abs=1e-5)
        assert all(row["bow_logprob"] <= 1e-6 and row["next_bow_logprob"] <= 1e-6 for row in rows)
        np.testing.assert_allclose(plain["logprob"], table["logprob"], atol=1e-5)


def test_score_optional_columns_in_windows_hold_the_mass_after_the_last_token(llama):
    table = score_items(
        llama, items([LONG], {"bos": "prefix", "window": 33, "stride": 8, "bow": True})
    )
    ids = [1, *table["next_id"].to_pylist()]
    assert len(ids) == len(score_items(llama, items([LONG]))) + 1
    begins = Engine(llama, {"bow": True}, "float32", 64).begins
    exact = by_transformers(llama, ids[-33:])
    assert table["next_bow_logprob"][-1].as_py() == pytest.approx(
        exact[-1][begins].logsumexp(0).item(), abs=1e-4
    )


def test_score_dummy_has_a_draw_per_seed_and_does_not_depend_on_the_batch(dummy):
    texts = [*TEXTS, *PAIRS]
    table = score_items(dummy, items(texts))
    assert set(table["draw"].to_pylist()) == {0, 1}
    columns = [table[name].to_pylist() for name in TOKEN_KEY]
    keys = list(zip(*columns))
    assert keys == sorted(keys)
    assert score_items(dummy, items(texts), token_budget=1) == table
    draws: list[list[float]] = [[], []]
    for row in table.to_pylist():
        draws[row["draw"]].append(row["logprob"])
    assert len(draws[0]) == len(draws[1]) and draws[0] != draws[1]


def test_score_model_that_overflows_is_refused(tmp_path):
    model = save_llama(tmp_path)
    model.model.layers[1].mlp.down_proj.weight.data[3] = 3e38
    model.save_pretrained(tmp_path)
    with pytest.raises(InputError, match="log-probs of a test text are not finite"):
        score_items(tmp_path, items(TEXTS))


def test_score_bfloat16_is_near_and_named(llama):
    table = items(TEXTS)
    engine = Engine(llama, {}, "bfloat16", 64)
    assert "bfloat16" in engine.name
    exact = score_items(llama, table)["logprob"].to_numpy()
    difference = np.abs(engine.score(table)["logprob"].to_numpy() - exact)
    assert 0 < difference.max() < 0.5


def test_engine_options_out_of_range_are_refused(llama):
    for scoring, message in (
        ({"stride": 0}, "'stride' must be"),
        ({"window": 600}, "from 1 to 512"),
        ({"top_k": "5"}, "'top_k' must be"),
    ):
        with pytest.raises(InputError, match=message):
            Engine(llama, scoring, "float32", 64)
    with pytest.raises(InputError, match="dtype must be one of"):
        Engine(llama, {}, "float16", 64)
    with pytest.raises(InputError, match="token_budget"):
        Engine(llama, {}, "float32", 0)
