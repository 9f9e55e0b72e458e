import math

import numpy as np
import pytest
import torch

from lmcore import training
from lmcore.errors import InputError
from lmcore.models.llama import new_llama, save_model
from lmcore.training import evaluate, mean_loss, schedule, train

SHAPE = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 16,
    "rms_norm_eps": 1e-6,
    "initializer_range": 0.02,
    "tie_word_embeddings": False,
}
OPTIONS = {
    "epochs": 3,
    "batch_size": 4,
    "lr": 0.01,
    "warmup_steps": 3,
    "weight_decay": 0.1,
    "betas": [0.9, 0.95],
    "clip_norm": 1.0,
    "eval_every": 5,
    "keep": "last",
    "precision": "fp32",
    "threads": 1,
    "seed": 0,
}


@pytest.fixture
def chunks():
    """A bigram language: the next id is the last one plus 0 or 1."""
    rng = np.random.default_rng(0)
    return ((rng.integers(0, 50, (25, 1)) + rng.integers(0, 2, (25, 16)).cumsum(1)) % 300).astype(np.int32)


def run(tokenizer, chunks, checkpoint, **options):
    model = new_llama(SHAPE, tokenizer, 0)
    return model, train(model, chunks[:21], chunks[21:], checkpoint, **{**OPTIONS, **options})


def test_train_lowers_the_loss_and_repeats_bit_for_bit(tokenizer, chunks, tmp_path):
    one, curve = run(tokenizer, chunks, tmp_path / "a")
    two, again = run(tokenizer, chunks, tmp_path / "b")
    assert curve == again and all(torch.equal(p, q) for p, q in zip(one.parameters(), two.parameters(), strict=True))
    assert [row["step"] for row in curve] == [5, 10, 15, 18]  # ceil(21 / 4) steps an epoch, three epochs
    assert curve[0]["train_loss"] > curve[-1]["train_loss"] and curve[-1]["lr"] == 0


@pytest.mark.parametrize("keep", ["best", "last"])
def test_train_killed_and_resumed_ends_in_the_same_weights(tokenizer, chunks, tmp_path, monkeypatch, keep):
    undisturbed, curve = run(tokenizer, chunks, tmp_path / "a", keep=keep)
    calls = iter(range(100))

    def dies(*arguments):
        if next(calls) == 12:
            raise KeyboardInterrupt
        return mean_loss(*arguments)

    monkeypatch.setattr(training, "mean_loss", dies)
    with pytest.raises(KeyboardInterrupt):
        run(tokenizer, chunks, tmp_path / "b", keep=keep)
    monkeypatch.undo()
    resumed, again = run(tokenizer, chunks, tmp_path / "b", keep=keep)
    assert curve == again and all(torch.equal(p, q) for p, q in zip(undisturbed.parameters(), resumed.parameters(), strict=True))


def test_train_keep_best_returns_the_weights_of_the_lowest_dev_loss(tokenizer, chunks, tmp_path):
    model, curve = run(tokenizer, chunks, tmp_path / "a", keep="best", lr=0.3, epochs=8)
    assert evaluate(model, chunks[21:], 4, "fp32") == min(row["dev_loss"] for row in curve)


def test_mean_loss_equals_transformers(tokenizer, chunks, monkeypatch):
    monkeypatch.setattr(training, "LOSS_ROWS", 7)  # chunks of rows that divide nothing
    model = new_llama(SHAPE, tokenizer, 0)
    ids = torch.from_numpy(chunks[:5].astype(np.int64))
    theirs = model(input_ids=ids, labels=ids).loss
    torch.testing.assert_close(mean_loss(model, ids, "fp32"), theirs, rtol=1e-6, atol=1e-6)


def test_schedule_warms_up_then_halves_a_cosine():
    values = [schedule(step, 10, 110) for step in (1, 10, 60, 110)]
    assert values == pytest.approx([0.1, 1, 0.5, 0])
    assert schedule(1, 0, 10) == 0.5 * (1 + math.cos(math.pi / 10))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": 1e30, "clip_norm": 1e30}, "the loss is nan at step"),
        ({"keep": "both"}, "keep 'both'"),
        ({"precision": "fp8"}, "precision 'fp8'"),
    ],
)
def test_train_bad_input_or_nan_loss_stops_with_a_clear_line(tokenizer, chunks, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        run(tokenizer, chunks, tmp_path / "a", **options)


def test_new_llama_unknown_key_is_named(tokenizer):
    with pytest.raises(InputError, match="unknown key 'layers'"):
        new_llama({**SHAPE, "layers": 2}, tokenizer, 0)


def test_save_model_nan_weights_are_refused_by_name(tokenizer, tmp_path):
    model = new_llama(SHAPE, tokenizer, 0)
    model.lm_head.weight.data[3, 3] = torch.nan
    with pytest.raises(InputError, match=r"'lm_head.weight' hold NaN"):
        save_model(model, tokenizer, tmp_path / "m")
    assert not list(tmp_path.iterdir())
