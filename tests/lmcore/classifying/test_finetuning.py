import math

import numpy as np
import pytest
import torch
from torch.optim.lr_scheduler import LambdaLR

from lmcore.classifying import finetuning
from lmcore.classifying.encoding import Encoded, encode, padding_of
from lmcore.classifying.finetuning import (
    batches,
    best_epoch,
    finetune,
    learning_rate,
    predict,
)
from lmcore.classifying.model import new_classifier
from lmcore.classifying.tasks import TASKS, read_splits
from lmcore.errors import InputError
from lmcore.machine.progress import Progress
from tests.lmcore.classifying.toy import N_VALID, save_model, settings, write_splits


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_model("llama", tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def splits(model, tmp_path_factory):
    """The tokenised splits of the toy."""
    pairs = read_splits(write_splits(tmp_path_factory.mktemp("data")), "rte", N_VALID)
    return tuple(encode(model, part, 64) for part in pairs)


def run(model, splits, work, seed=0, **changes):
    """The fine-tuned classifier and its curve."""
    chosen = settings(**changes)
    padding = padding_of(model, chosen.padding_side)
    classifier = new_classifier(model, 2, chosen.dropout, padding, seed)
    curve = finetune(classifier, TASKS["rte"], *splits, padding, work, chosen, seed, "toy")
    return classifier, curve


def predicted(classifier, examples, padding):
    with Progress(len(examples.ids), "toy", "example", shown=False) as progress:
        return predict(classifier, examples, padding, progress)


def same(one, two) -> bool:
    return all(torch.equal(p, q) for p, q in zip(one.parameters(), two.parameters(), strict=True))


def test_learns_and_repeats_bit_for_bit(model, splits, tmp_path):
    one, curve = run(model, splits, tmp_path / "a")
    two, again = run(model, splits, tmp_path / "b")
    assert curve == again and same(one, two)
    assert [(row["epoch"], row["step"]) for row in curve] == [(1, 6), (2, 12), (3, 18), (4, 24)]
    assert curve[-1]["train_loss"] < curve[0]["train_loss"]
    assert best_epoch(curve, "accuracy")["accuracy"] >= 0.9
    assert not same(one, run(model, splits, tmp_path / "c", seed=1)[0])


@pytest.mark.parametrize("died_at", [1, 6, 7, 15, 24])
def test_killed_and_resumed_ends_in_the_same_weights(model, splits, tmp_path, monkeypatch, died_at):
    undisturbed, curve = run(model, splits, tmp_path / "a")
    monkeypatch.setattr(finetuning, "CHECKPOINT_SECONDS", -1)  # after every step
    steps = iter(range(1, 100))

    def dies(*arguments):
        if next(steps) == died_at:
            raise KeyboardInterrupt
        return pad(*arguments)

    pad = finetuning.pad
    monkeypatch.setattr(finetuning, "pad", dies)
    with pytest.raises(KeyboardInterrupt):
        run(model, splits, tmp_path / "b")
    monkeypatch.undo()
    resumed, again = run(model, splits, tmp_path / "b")
    assert curve == again and same(undisturbed, resumed)


def test_resumes_instead_of_beginning_again(model, splits, tmp_path, capsys):
    run(model, splits, tmp_path)
    run(model, splits, tmp_path)
    assert "going on after step 24" in capsys.readouterr().out


def test_keep_last_and_keep_best_are_the_weights_they_say(model, splits, tmp_path):
    padding = padding_of(model, "right")
    gold = splits[1].labels
    for keep in ("best", "last"):
        classifier, curve = run(model, splits, tmp_path / keep, keep=keep, lr=0.03)
        accuracy = (predicted(classifier, splits[1], padding).argmax(1) == gold).mean()
        row = curve[-1] if keep == "last" else best_epoch(curve, "accuracy")
        assert accuracy == row["accuracy"]


def test_micro_batches_and_the_padded_side_take_the_same_steps(model, splits, tmp_path):
    model_of_whole, whole = run(model, splits, tmp_path / "a", dropout=0.0)
    for name, changes in (("b", {"micro_batch_size": 3}), ("c", {"padding_side": "left"})):
        classifier, curve = run(model, splits, tmp_path / name, dropout=0.0, **changes)
        for row, other in zip(whole, curve, strict=True):
            assert row["train_loss"] == pytest.approx(other["train_loss"], abs=2e-3)
        assert [row["accuracy"] for row in curve] == [row["accuracy"] for row in whole]
        assert not same(classifier, model_of_whole)  # rounding


@pytest.mark.parametrize(("share", "n_steps"), [(0.06, 100), (0.0, 7), (0.5, 9), (1.0, 5)])
def test_learning_rate_is_that_of_the_official_scheduler(share, n_steps):
    chosen = settings(lr=0.002, warmup_share=share)
    n_warmup = int(share * n_steps)

    def factor(step):
        if step < n_warmup:
            return float(step) / float(max(1, n_warmup))
        progress = float(step - n_warmup) / float(max(1, n_steps - n_warmup))
        return max(0.1, 0.1 + 0.9 * 0.5 * (1.0 + math.cos(math.pi * progress)))

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.002)
    scheduler = LambdaLR(optimizer, factor)
    for step in range(1, n_steps + 1):
        expected = optimizer.param_groups[0]["lr"]
        assert learning_rate(step, n_steps, chosen) == pytest.approx(expected)
        optimizer.step()
        scheduler.step()


def test_batches_are_full_and_every_epoch_has_its_own_order():
    first, second = (np.concatenate(list(batches(23, 5, epoch, 0))) for epoch in (1, 2))
    assert len(first) == len(second) == 20
    assert len(set(first.tolist())) == 20 and first.tolist() != second.tolist()


def test_predictions_have_the_order_of_the_examples(model, splits):
    padding = padding_of(model, "right")
    classifier = new_classifier(model, 2, 0.1, padding, 0)
    found = predicted(classifier, splits[1], padding)
    for row in (0, 7, 19):
        alone = Encoded([splits[1].ids[row]], splits[1].labels[[row]], 0)
        np.testing.assert_allclose(predicted(classifier, alone, padding)[0], found[row], atol=1e-5)
    np.testing.assert_allclose(np.exp(found).sum(1), 1, rtol=1e-5)


def test_best_epoch_is_the_first_of_equal_ones():
    curve = [{"epoch": n, "f1": value} for n, value in enumerate([0.1, 0.4, 0.4, 0.2], 1)]
    assert best_epoch(curve, "f1")["epoch"] == 2


def test_fewer_examples_than_a_batch_are_refused(model, splits, tmp_path):
    with pytest.raises(InputError, match="48 examples are fewer than one batch of 64"):
        run(model, splits, tmp_path, batch_size=64)


def test_loss_that_is_not_finite_stops_the_training(model, splits, tmp_path):
    padding = padding_of(model, "right")
    classifier = new_classifier(model, 2, 0.1, padding, 0)
    with torch.no_grad():
        classifier.head[1].weight.fill_(math.inf)
    with pytest.raises(InputError, match="the loss is nan at step 1; try a lower lr than"):
        finetune(classifier, TASKS["rte"], *splits, padding, tmp_path, settings(), 0, "toy")
