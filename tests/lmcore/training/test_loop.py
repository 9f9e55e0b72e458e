import resource

import numpy as np
import pytest
import torch

from lmcore.errors import InputError
from lmcore.kept_files import find
from lmcore.models.llama import new_llama, save_model
from lmcore.training import loop
from lmcore.training.batches import IGNORED, Examples, Splits
from lmcore.training.checkpoints import step_path
from lmcore.training.loop import evaluate, train
from lmcore.training.objective import Teachers
from lmcore.training.schedule import schedule
from lmcore.training.settings import Settings

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
    "steps": None,
    "batch_size": 4,
    "micro_batch_size": None,
    "random_offset": False,
    "seq_len_warmup": None,
    "optimizer": "adamw",
    "muon": {"lr": 0.01, "momentum": 0.95, "weight_decay": 0.1},
    "schedule": "cosine",
    "lr": 0.01,
    "warmup_steps": 3,
    "weight_decay": 0.1,
    "betas": [0.9, 0.95],
    "clip_norm": 1.0,
    "eval_every": 5,
    "dev_limit": None,
    "keep": "last",
    "precision": "fp32",
    "compile": False,
    "sharded": False,
    "threads": 1,
    "seed": 0,
}

MUON = {"optimizer": "muon"}
GROWTH = {"start": 4, "steps": 11}  # 4 tokens until step 4, 8 until step 11, then 16


def splits_of(chunks) -> Splits:
    return Splits(training=Examples(chunks[:21]), dev=Examples(chunks[21:]))


def run(tokenizer, chunks, work, keep_steps=(), teachers=None, **options):
    """The trained model and its curve; `options` are settings other than OPTIONS."""
    model = new_llama(SHAPE, tokenizer, 0)
    settings = Settings(**{**OPTIONS, **options})
    return model, train(model, splits_of(chunks), work, settings, keep_steps, teachers)


def same(one, two) -> bool:
    return all(torch.equal(p, q) for p, q in zip(one.parameters(), two.parameters(), strict=True))


def test_train_lowers_the_loss_and_repeats_bit_for_bit(tokenizer, chunks, tmp_path):
    one, curve = run(tokenizer, chunks, tmp_path / "a")
    two, again = run(tokenizer, chunks, tmp_path / "b")
    assert curve == again and same(one, two)
    # ceil(21 / 4) steps an epoch, three epochs
    assert [row["step"] for row in curve] == [5, 10, 15, 18]
    assert curve[0]["train_loss"] > curve[-1]["train_loss"] and curve[-1]["lr"] == 0


@pytest.mark.parametrize("died_at", range(1, 16, 4))
@pytest.mark.parametrize(
    "options",
    [
        {"keep": "best"},
        {"keep": "last", "precision": "bf16", "random_offset": True},
        {**MUON, "schedule": "linear", "seq_len_warmup": GROWTH},
        {**MUON, "precision": "bf16", "random_offset": True, "seq_len_warmup": GROWTH},
    ],
)
def test_train_killed_and_resumed_ends_in_the_same_weights(
    tokenizer, chunks, tmp_path, monkeypatch, options, died_at
):
    undisturbed, curve = run(tokenizer, chunks, tmp_path / "a", keep_steps=[7], **options)
    steps = iter(range(1, 100))

    def dies(*arguments):
        if next(steps) == died_at:
            raise KeyboardInterrupt
        return schedule(*arguments)

    monkeypatch.setattr(loop, "schedule", dies)
    with pytest.raises(KeyboardInterrupt):
        run(tokenizer, chunks, tmp_path / "b", keep_steps=[7], **options)
    monkeypatch.undo()
    resumed, again = run(tokenizer, chunks, tmp_path / "b", keep_steps=[7], **options)
    assert curve == again and same(undisturbed, resumed)
    kept, kept_again = (find(step_path(tmp_path / name, 7)) for name in "ab")
    assert kept.read_bytes() == kept_again.read_bytes()


def test_train_shows_the_curve_while_it_runs_and_goes_on_showing_it(tokenizer, chunks, tmp_path):
    shown: list[list[int]] = []

    def show(curve: list[dict]) -> None:
        shown.append([row["step"] for row in curve])
        if len(shown) == 2:
            raise KeyboardInterrupt

    splits, settings = splits_of(chunks), Settings(**OPTIONS)
    with pytest.raises(KeyboardInterrupt):
        train(new_llama(SHAPE, tokenizer, 0), splits, tmp_path, settings, show=show)
    train(new_llama(SHAPE, tokenizer, 0), splits, tmp_path, settings, show=show)
    assert shown == [[5], [5, 10], [5, 10], [5, 10, 15], [5, 10, 15, 18]]


def test_train_with_another_kept_step_starts_anew_and_keeps_it(tokenizer, chunks, tmp_path):
    one, _ = run(tokenizer, chunks, tmp_path / "a")
    two, _ = run(tokenizer, chunks, tmp_path / "a", keep_steps=[3, 18])
    assert same(one, two) and find(step_path(tmp_path / "a", 3))


def test_train_in_micro_batches_takes_the_same_steps(tokenizer, chunks, tmp_path):
    _, whole_batches = run(tokenizer, chunks, tmp_path / "a")
    _, in_parts = run(tokenizer, chunks, tmp_path / "b", micro_batch_size=3)
    for row, other in zip(whole_batches, in_parts, strict=True):
        assert other == pytest.approx(row, abs=1e-4)


def test_train_with_muon_lowers_the_loss_and_repeats_bit_for_bit(tokenizer, chunks, tmp_path):
    one, curve = run(tokenizer, chunks, tmp_path / "a", **MUON)
    two, again = run(tokenizer, chunks, tmp_path / "b", **MUON)
    assert curve == again and same(one, two)
    assert curve[0]["train_loss"] > curve[-1]["train_loss"]
    adamw, _ = run(tokenizer, chunks, tmp_path / "c")
    assert not same(one, adamw)


def test_train_with_muon_learns_from_teachers(tokenizer, chunks, tmp_path):
    teacher = new_llama(SHAPE, tokenizer, 1)
    teachers = Teachers([teacher], 0.5, 2.0, "token")
    options = {**MUON, "seq_len_warmup": GROWTH}
    taught, curve = run(tokenizer, chunks, tmp_path / "a", teachers=teachers, **options)
    again, _ = run(tokenizer, chunks, tmp_path / "b", teachers=teachers, **options)
    alone, _ = run(tokenizer, chunks, tmp_path / "c", **options)
    assert same(taught, again) and not same(taught, alone)
    assert curve[0]["train_loss"] > curve[-1]["train_loss"]


def test_train_with_growing_sequences_reads_the_same_chunks_in_shorter_pieces(
    tokenizer, chunks, tmp_path, monkeypatch
):
    seen: list[tuple[int, int]] = []
    pass_loss = loop.pass_loss

    def watched(model, ids, *arguments):
        if model.training:
            seen.append(tuple(ids.shape))
        return pass_loss(model, ids, *arguments)

    monkeypatch.setattr(loop, "pass_loss", watched)
    _, curve = run(tokenizer, chunks, tmp_path, epochs=None, steps=12, seq_len_warmup=GROWTH)
    lengths = [length for _, length in seen]
    assert lengths == [4] * 4 + [8] * 7 + [16]
    # four chunks of 16 tokens a step; the last step of the two epochs of six has the 21st chunk
    assert [n * length for n, length in seen] == ([64] * 5 + [16]) * 2
    assert curve[0]["train_loss"] > curve[-1]["train_loss"]


def test_train_keep_best_returns_the_weights_of_the_lowest_dev_loss(tokenizer, chunks, tmp_path):
    model, curve = run(tokenizer, chunks, tmp_path / "a", keep="best", lr=0.3, epochs=8)
    assert evaluate(model, Examples(chunks[21:]), 4, "fp32") == min(
        row["dev_loss"] for row in curve
    )


def test_evaluate_equals_transformers_and_ignores_what_is_no_target(tokenizer, chunks):
    model = new_llama(SHAPE, tokenizer, 0).eval()
    ids = torch.from_numpy(chunks[:5].astype(np.int64))
    labels = ids.clone()
    labels[:, :6] = IGNORED
    labels[2] = IGNORED
    for given, theirs in ((None, ids), (labels.numpy(), labels)):
        expected = model(input_ids=ids, labels=theirs).loss.item()
        assert evaluate(model, Examples(chunks[:5], given), 2, "fp32") == pytest.approx(
            expected, rel=1e-6
        )


def test_train_on_a_full_disk_stops_with_a_clear_line_and_keeps_the_last_checkpoint(
    tokenizer, chunks, tmp_path, monkeypatch
):
    undisturbed, _ = run(tokenizer, chunks, tmp_path / "a")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fills_up(*arguments):
        if arguments[0] == 7:
            # from here on no file can grow beyond this
            resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
        return schedule(*arguments)

    monkeypatch.setattr(loop, "schedule", fills_up)
    try:
        with pytest.raises(
            InputError, match=r"b/.*File too large; .*the last good checkpoint is kept"
        ):
            run(tokenizer, chunks, tmp_path / "b")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    monkeypatch.undo()
    assert [path.name.split(".")[0] for path in sorted((tmp_path / "b").iterdir())] == [
        "state_000005",
        "step_000005",
    ]
    assert same(undisturbed, run(tokenizer, chunks, tmp_path / "b")[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": 1e30, "clip_norm": 1e30}, "the loss is nan at step"),
        ({"keep": "both"}, "keep 'both'"),
        ({"optimizer": "sgd"}, "optimizer 'sgd' must be adamw or muon"),
        ({"schedule": "step"}, "schedule 'step' cosine or linear"),
        ({"precision": "fp8"}, "precision 'fp8'"),
        ({"precision": "fp16"}, "fp16 needs a GPU"),
        ({"steps": 3}, "exactly one of epochs and steps must"),
        ({"seq_len_warmup": {"start": 5, "steps": 3}}, "start must be a divisor of seq_len 16"),
        ({"seq_len_warmup": {"start": 1, "steps": 3}}, "at least 2, not 1"),
        ({"keep_steps": [19]}, "no step 19 to keep; expected one of the 18 steps"),
        (
            {"teachers": Teachers([], 0.5, 2.0, "mean")},
            "reduction 'mean' must be one of token, batchmean",
        ),
    ],
)
def test_train_bad_input_or_nan_loss_stops_with_a_clear_line(
    tokenizer, chunks, tmp_path, options, message
):
    with pytest.raises(InputError, match=message):
        run(tokenizer, chunks, tmp_path / "a", **options)


def test_train_refuses_random_offsets_into_items(tokenizer, chunks, tmp_path):
    items = Examples(chunks, chunks)
    with pytest.raises(InputError, match="random_offset needs a stream"):
        settings = Settings(**{**OPTIONS, "random_offset": True})
        train(new_llama(SHAPE, tokenizer, 0), Splits(items, items), tmp_path, settings)


def test_train_refuses_to_cut_items(tokenizer, chunks, tmp_path):
    items = Examples(chunks, chunks)
    settings = Settings(**{**OPTIONS, "seq_len_warmup": GROWTH})
    with pytest.raises(InputError, match="seq_len_warmup cuts a stream of text, and items are"):
        train(new_llama(SHAPE, tokenizer, 0), Splits(items, items), tmp_path, settings)


def test_new_llama_of_part_of_a_shape_is_refused(tokenizer):
    with pytest.raises(InputError, match="the key 'intermediate_size' is missing"):
        new_llama(
            {
                "hidden_size": 16,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "max_position_embeddings": 16,
            },
            tokenizer,
            0,
        )


def test_new_llama_unknown_key_is_named(tokenizer):
    with pytest.raises(InputError, match="unknown key 'layers'"):
        new_llama({**SHAPE, "layers": 2}, tokenizer, 0)


def test_save_model_nan_weights_are_refused_by_name(tokenizer, tmp_path):
    model = new_llama(SHAPE, tokenizer, 0)
    model.lm_head.weight.data[3, 3] = torch.nan
    with pytest.raises(InputError, match=r"'lm_head.weight' holds NaN"):
        save_model(model, tokenizer, tmp_path / "m")
    assert not list(tmp_path.iterdir())
