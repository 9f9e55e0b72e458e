import csv
import json

import pytest
import torch

from lmcore.errors import InputError
from lmcore.models.load import load_model
from lmcore.text.chunks import chunk_corpus
from lmcore.training.outcome import (
    Places,
    chunk_examples,
    save_curve,
    save_steps,
    save_trained,
    train_on_chunks,
)
from lmcore.training.settings import Settings
from tests.lmcore.training.test_loop import OPTIONS, SHAPE, run, same

CURVE = [
    {"step": 5, "tokens": 80, "lr": 0.01, "train_loss": 4.5, "dev_loss": 4.123456789},
    {"step": 8, "tokens": 128, "lr": 0.0, "train_loss": 4.25, "dev_loss": 4.2},
]


def test_chunk_examples_are_the_chunks_of_train_and_dev(corpus, tokenizer, tmp_path):
    chunk_corpus(
        corpus, tokenizer, tmp_path / "chunks", seq_len=8, boundaries="<s>", on_lost="fail"
    )
    splits = chunk_examples(tmp_path / "chunks")
    assert all(examples.ids.shape[1] == 8 for examples in splits)
    assert len(splits.training.ids) > len(splits.dev.ids) > 0


def test_save_trained_writes_model_curve_and_where_the_dev_loss_was_lowest(
    tokenizer, chunks, tmp_path
):
    model, _ = run(tokenizer, chunks, tmp_path / "work", epochs=1)
    save_trained(
        "one", model, tokenizer, CURVE, tmp_path / "model", tmp_path / "plots", tmp_path / "metrics"
    )
    assert same(model, load_model(tmp_path / "model"))
    rows = list(csv.DictReader((tmp_path / "plots/one.csv").read_text().splitlines()))
    assert rows[0] == {"step": "5", "lr": "0.01", "train_loss": "4.5", "dev_loss": "4.1235"}
    assert len(rows) == 2
    expected = {
        "best_step": 5,
        "dev_loss": 4.1235,
        "parameters": model.num_parameters(),
        "steps": 8,
    }
    assert json.loads((tmp_path / "metrics/one.json").read_text()) == expected


def test_save_steps_writes_a_model_for_every_kept_step(tokenizer, chunks, tmp_path):
    model, _ = run(tokenizer, chunks, tmp_path / "work", keep_steps=[3, 18])
    steps = {"step_000003": 3, "words_0000000900": 18, "words_0000001000": 18}
    save_steps(model, tokenizer, tmp_path / "work", steps, tmp_path / "out")
    third, last, same_step = (load_model(tmp_path / "out" / name) for name in steps)
    assert same(last, same_step)
    assert same(model, last) and not same(third, last)
    assert torch.isfinite(third.lm_head.weight).all()


def test_save_curve_has_words_read_in_the_place_of_tokens(tmp_path):
    save_curve("one", 7, CURVE, tmp_path / "plots", tmp_path, lambda tokens: tokens // 10)
    header, first, *_ = (tmp_path / "plots/one.csv").read_text().splitlines()
    assert header == "step,words,lr,train_loss,dev_loss"
    assert first == "5,8,0.01,4.5,4.1235"
    assert json.loads((tmp_path / "one.json").read_text())["words"] == 12


def trained(corpus, tokenizer, folder, kept, rules=None, **options):
    """Train on chunks of 8 tokens; returns the rows of the curve."""
    chunks = folder / "chunks"
    chunk_corpus(corpus, tokenizer, chunks, seq_len=8, boundaries="<s>", on_lost="fail")
    settings = Settings(**{**OPTIONS, "eval_every": 1, **options})
    places = Places(folder / "work", folder / "model", folder, folder, folder / "steps")
    train_on_chunks("m", SHAPE, tokenizer, chunks, settings, places, kept, rules=rules)
    return list(csv.DictReader((folder / "m.csv").read_text().splitlines()))


@pytest.mark.parametrize("random_offset", [False, True])
def test_train_on_chunks_keeps_the_first_step_that_has_read_the_words(
    corpus, tokenizer, tmp_path, capsys, random_offset
):
    kept = {
        "step_000001": {"model": "m", "step": 1},
        "words_0000000010": {"model": "m", "words": 10},
        "words_0000000100": {"model": "m", "words": 100},
    }
    rules = "babylm2026_strict_small"
    options = {"epochs": 2, "random_offset": random_offset, "warmup_steps": 0}
    rows = trained(corpus, tokenizer, tmp_path, kept, rules, **options)
    words = json.loads((tmp_path / "chunks/counts.json").read_text())["train"]["words"]
    assert int(rows[-1]["words"]) == 2 * words
    assert f"m: {rules}: {words:,} of at most 10,000,000 words" in capsys.readouterr().out
    step = next(int(row["step"]) for row in rows if int(row["words"]) >= 100)
    assert 1 < step < len(rows)
    # the same step kept by its number has the same weights
    again = {"step": {"model": "m", "step": step}}
    trained(corpus, tokenizer, tmp_path / "again", again, **options)
    by_words, by_step = tmp_path / "steps/words_0000000100", tmp_path / "again/steps/step"
    assert same(load_model(by_words), load_model(by_step))


def test_train_on_chunks_refuses_words_beyond_the_end_and_broken_rules(corpus, tokenizer, tmp_path):
    kept = {"words": {"model": "m", "words": 10**9}}
    with pytest.raises(InputError, match="no step has read 1,000,000,000 words"):
        trained(corpus, tokenizer, tmp_path, kept)
    with pytest.raises(InputError, match="11 of at most 10 epochs"):
        trained(corpus, tokenizer, tmp_path, {}, "babylm2025_strict_small", epochs=11)
    assert not (tmp_path / "work").exists() and not (tmp_path / "model").exists()
