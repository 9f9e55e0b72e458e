import csv
import json

import torch

from lmcore.models.load import load_model
from lmcore.text.chunks import chunk_corpus
from lmcore.training.outcome import chunk_examples, save_steps, save_trained
from tests.lmcore.training.test_loop import run, same

CURVE = [
    {"step": 5, "lr": 0.01, "train_loss": 4.5, "dev_loss": 4.123456789},
    {"step": 8, "lr": 0.0, "train_loss": 4.25, "dev_loss": 4.2},
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
    save_steps(model, tokenizer, tmp_path / "work", [3, 18], tmp_path / "out")
    third, last = (load_model(tmp_path / f"out/step_{step:06d}") for step in (3, 18))
    assert same(model, last) and not same(third, last)
    assert torch.isfinite(third.lm_head.weight).all()
