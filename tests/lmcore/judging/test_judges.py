"""The judges at work on a random model: the whole path from items to verdicts, twice."""

from pathlib import Path

import pytest

from lmcore.errors import InputError
from lmcore.files import sha256
from lmcore.generating.generation import greedy_words
from lmcore.judging.context_validity import VALIDITY
from lmcore.judging.judges import judge_context
from lmcore.judging.masked_lm import MaskedLM, pseudo_logprobs
from lmcore.models.llama import new_llama, save_model
from lmcore.tables import ITEMS, read, write
from tests.lmcore.tiny_bert import save_bert
from tests.lmcore.token_tables import items_of

TEXTS = {
    str(n): [(f"She gave him a letter. {'The old ' * n}man looked at the", word)]
    for n, word in enumerate((" sea", " ships", " man", " letter"))
}
SHAPE = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "max_position_embeddings": 128,
}
PARAMS = {
    "seed": 0,
    "suffix": ".",
    "window": 40,
    "pooling": "mean",
    "accept_quantile": 0.25,
    "batch_size": 4,
    "threads": 1,
    "digits": 6,
}


@pytest.fixture
def inputs(tokenizer: Path, tmp_path: Path) -> dict:
    for seed, name in enumerate(("llama", "other")):
        save_model(new_llama(SHAPE, tokenizer, seed), tokenizer, tmp_path / name)
    write(items_of(TEXTS), ITEMS, tmp_path / "lambada_flat.parquet")
    judges = {
        "masked_lm": save_bert(tmp_path / "bert", 1),
        "encoder": save_bert(tmp_path / "encoder", 2),
    }
    paths = {
        "models": ["other", "llama"],
        "model_folder": tmp_path,
        "items": tmp_path / "lambada_flat.parquet",
        "out": tmp_path / "v.parquet",
    }
    return {**paths, **judges, "metrics": tmp_path / "v.json", "limit": None, **PARAMS}


def test_judge_context_says_what_each_judge_says(inputs: dict) -> None:
    judge_context(**inputs)
    rows = read(inputs["out"], VALIDITY).to_pylist()
    expected = [("llama", item) for item in TEXTS] + [("other", item) for item in TEXTS]
    assert [(row["model"], row["item"]) for row in rows] == expected
    for model in ("llama", "other"):
        words = greedy_words(
            inputs["model_folder"] / model, [row["context"] for row in rows[:4]], bos="prefix"
        )
        assert [row["prediction"] for row in rows if row["model"] == model] == words
    judge = MaskedLM(inputs["masked_lm"])
    whole, end = (
        pseudo_logprobs(judge, [(left, rows[2]["target"], ".")], window=40, batch_size=1)[0]
        for left in (rows[2]["context"], rows[2]["context"].split(". ")[1])
    )
    assert rows[2]["target_logprob"] == pytest.approx(whole, abs=1e-5)
    assert rows[2]["target_gain"] == pytest.approx(whole - end, abs=1e-5)
    swapped = pseudo_logprobs(
        judge, [(rows[3]["context"], rows[0]["target"], ".")], window=40, batch_size=1
    )[0]
    assert rows[3]["swapped_logprob"] == pytest.approx(swapped, abs=1e-5)


def test_judge_context_twice_is_the_same_bytes(inputs: dict) -> None:
    judge_context(**inputs)
    before = sha256(inputs["out"]), sha256(inputs["metrics"])
    judge_context(**inputs)
    assert (sha256(inputs["out"]), sha256(inputs["metrics"])) == before


def test_judge_context_of_fewer_items_takes_some_of_them(inputs: dict) -> None:
    judge_context(**{**inputs, "limit": 2})
    found = {row["item"] for row in read(inputs["out"], VALIDITY).to_pylist()}
    judge_context(**{**inputs, "limit": 3})
    assert len(found) == 2 and found < {
        row["item"] for row in read(inputs["out"], VALIDITY).to_pylist()
    }


def test_judge_context_without_models_is_an_empty_table(inputs: dict) -> None:
    judge_context(**{**inputs, "models": [], "items": inputs["items"] / "absent"})
    assert read(inputs["out"], VALIDITY).num_rows == 0 and inputs["metrics"].read_text() == "{}\n"


@pytest.mark.parametrize(
    ("change", "message"),
    [({"accept_quantile": 1.5}, "between 0 and 1"), ({"limit": 0}, "limit must be")],
)
def test_judge_context_bad_params_are_named(inputs: dict, change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        judge_context(**{**inputs, **change})
    assert not inputs["out"].exists()


def test_judge_context_refuses_items_with_options(inputs: dict) -> None:
    write(items_of({"0": [("a", " b"), ("a", " c")]}), ITEMS, inputs["items"])
    with pytest.raises(InputError, match="several options; expected a suite of kind completion"):
        judge_context(**inputs)
