"""Models of all architectures are scored as by their own forward; the table names the forward."""

import json

import numpy as np
import pytest
import torch

from lmcore.errors import InputError
from lmcore.models.load import load_model
from lmcore.scoring import packed
from lmcore.scoring.engine import Engine
from lmcore.scoring.extract import one_thread
from tests.lmcore.scoring.architectures import PACKED, PADDED, save
from tests.lmcore.scoring.conftest import TEXTS, items

LONG = " ".join(TEXTS[:3] * 8)  # more than 128 tokens
SUITE = [*TEXTS, "The cats annoy Richard.", LONG + " cats.", LONG + " Tim.", LONG[:150]]


@pytest.fixture(autouse=True)
def single_thread():
    with one_thread():
        yield


def engine(path, token_budget: int = 1024, dtype: str = "float32", **options) -> Engine:
    return Engine(path, {"bos": "prefix"}, dtype, token_budget, **options)


def assert_agrees(path, table) -> None:
    """The table agrees with the model's own forward over each text alone.

    Log-probs and entropies agree within 1e-4 nats. Ranks are the same where no other log-prob is as
    near.
    """
    model = load_model(path)
    texts: dict[str, list[dict]] = {}
    for row in table.to_pylist():
        texts.setdefault(row["item"], []).append(row)
    for rows in texts.values():
        targets = torch.tensor([row["next_id"] for row in rows])
        ids = torch.cat([torch.tensor([rows[0]["current_id"]]), targets[:-1]])[None]
        with torch.inference_mode():
            logits = model(input_ids=ids, use_cache=False).logits[0]
        exact = torch.log_softmax(logits.double(), -1)
        own = exact.gather(1, targets[:, None])
        entropy = -(exact.exp() * exact).sum(-1)
        np.testing.assert_allclose([row["logprob"] for row in rows], own[:, 0], atol=1e-4)
        np.testing.assert_allclose([row["entropy"] for row in rows], entropy, atol=1e-4)
        is_clear = ((exact - own).abs() < 1e-4).sum(-1) == 1
        ranks = torch.tensor([row["rank"] for row in rows])
        assert torch.equal(ranks[is_clear], 1 + (exact > own).sum(-1)[is_clear])


@pytest.mark.parametrize("name", PACKED)
def test_packed_forward_says_what_the_model_says_whatever_shares_a_pass(name, tmp_path):
    path = save(name, tmp_path)
    table = engine(path).load().score(items(SUITE))
    assert engine(path).load().name.startswith("packed ")
    assert_agrees(path, table)
    kernel = {"kernel": "onednn"}
    expected = engine(path, **kernel).score(items(SUITE))
    assert engine(path, 50, **kernel).score(items(SUITE)) == expected
    split = engine(path, 300, share_prefixes=False, chunk_rows=7, **kernel)
    assert split.score(items(SUITE)) == expected
    for number in (0, 6):
        alone = split.score(items([SUITE[number]]))["logprob"].to_pylist()
        among = [item == f"i/{number:04d}" for item in expected["item"].to_pylist()]
        assert expected.filter(among)["logprob"].to_pylist() == alone


@pytest.mark.parametrize("name", PADDED)
def test_padded_forward_says_what_the_model_says_and_why_it_is_taken(name, tmp_path):
    path = save(name, tmp_path)
    opened = engine(path, 200).load()
    assert opened.name.startswith("padded ") and "attend" in opened.name
    assert_agrees(path, opened.score(items(SUITE)))


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        (
            "phi3",
            {
                "original_max_position_embeddings": 32,
                "rope_scaling": {
                    "type": "longrope",
                    "short_factor": [1.0] * 6,
                    "long_factor": [2.0] * 6,
                },
            },
        ),
        ("llama", {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}}),
    ],
)
def test_position_encoding_that_depends_on_the_pass_keeps_texts_of_one_length_together(
    name, changes, tmp_path
):
    path = save(name, tmp_path, **changes)
    opened = engine(path).load()
    assert "padded" in opened.name and "depends on the pass" in opened.name
    assert_agrees(path, opened.score(items(SUITE)))  # short texts and long ones


def test_sliding_window_that_is_ignored_is_noticed_however_long_it_is(tmp_path, monkeypatch):
    path = save("mistral", tmp_path, sliding_window=100)
    assert engine(path).load().forward.kind == "packed"
    monkeypatch.setattr(packed.Attention, "_blocks", _ignoring_windows)
    opened = engine(path).load()
    assert "padded" in opened.name and "differs" in opened.name
    assert_agrees(path, opened.score(items(SUITE)))


def _ignoring_windows(attention, visible):
    causal = packed.Visible(lambda batch, head, query, key: key <= query)
    return [attention._keys(start, paths, causal) for start, paths in attention.made]


@pytest.mark.parametrize("name", ["gpt2", "gptj", "mixtral"])
def test_bfloat16_is_near_and_named(name, tmp_path):
    path = save(name, tmp_path)
    exact = engine(path).score(items(SUITE))["logprob"].to_numpy()
    opened = engine(path, dtype="bfloat16")
    difference = np.abs(opened.score(items(SUITE))["logprob"].to_numpy() - exact)
    assert "bfloat16" in opened.name and 0 < np.median(difference) < 0.1


def test_quantised_weights_are_refused_in_one_line(tmp_path):
    path = save("llama", tmp_path)
    config = json.loads((path / "config.json").read_text())
    quantised = config | {"quantization_config": {"quant_method": "gptq", "bits": 4}}
    (path / "config.json").write_text(json.dumps(quantised))
    with pytest.raises(InputError, match="quantised weights are not scored"):
        engine(path).load()


def test_model_that_needs_too_much_memory_says_which_budget_to_lower(tmp_path, monkeypatch):
    opened = engine(save("gpt2", tmp_path), 300).load()

    def full(*arguments):
        return torch.empty(2**50)

    monkeypatch.setattr(opened.forward, "hidden", full)
    with pytest.raises(InputError, match="out of memory; lower token_budget, which is 300"):
        opened.score(items(SUITE))


@pytest.mark.parametrize("name", ["gpt2-a", "gpt2-b", "llama", "opt"])
def test_trained_models_agree_with_golden_numbers_in_float64(data, name):
    """data/tiny_models holds numbers by transformers in float64, `<s>` before each sentence."""
    path = data / "tiny_models" / name
    pairs = json.loads((path / "golden.json").read_text())["pairs"]
    texts, ids, golden = [], [], []
    for pair in pairs:
        texts += [pair["good"], pair["bad"]]
    for text in texts:
        ids += text["input_ids"][1:]
        golden += text["token_logprobs"]
    table = engine(path).load().score(items([text["sentence"] for text in texts]))
    assert table["next_id"].to_pylist() == ids
    np.testing.assert_allclose(table["logprob"], golden, atol=5e-5)
