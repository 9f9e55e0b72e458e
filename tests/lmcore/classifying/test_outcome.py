import json

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import f1_score

from lmcore.classifying import outcome
from lmcore.classifying.outcome import classify, predictions, summary
from lmcore.errors import InputError
from lmcore.statistics.stats import wilson
from lmcore.tables import CLASSIFIED, read
from tests.lmcore.classifying.toy import N_VALID, rows, save_model, settings, write_splits


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_model("gpt2", tmp_path_factory.mktemp("model") / "tiny")


def run(model, folder, work=None, seeds=(42,), items=N_VALID, **changes):
    """The predictions and metrics of the toy."""
    work = work or folder / "work"
    classify(
        model=model,
        task="rte",
        data=write_splits(folder / "data"),
        seeds=list(seeds),
        items=items,
        settings=settings(epochs=2, **changes),
        work_of=lambda seed: work / str(seed),
        out=folder / "out",
        metrics=folder / "metrics.json",
        confidence=0.95,
        digits=4,
    )
    found = read(folder / "out" / "predictions.parquet", CLASSIFIED)
    return found, json.loads((folder / "metrics.json").read_text())


def test_predictions_have_the_order_of_the_file_and_agree_with_the_metrics(model, tmp_path):
    found, metrics = run(model, tmp_path, seeds=(7, 3), max_length=128)
    assert found["seed"].to_pylist() == [3] * N_VALID + [7] * N_VALID
    assert found["id"].to_pylist() == [*range(N_VALID)] * 2
    gold = [row["label"] for row in rows(N_VALID, 1)]
    assert found["gold"].to_pylist() == gold * 2
    logprobs = np.array(found["logprobs"].to_pylist())
    assert found["predicted"].to_pylist() == logprobs.argmax(1).tolist()
    right = (np.array(gold * 2) == found["predicted"].to_numpy()).reshape(2, -1).mean(1)
    assert metrics["accuracy"]["value"] == pytest.approx(right.mean(), abs=1e-4)
    assert [metrics["seeds"][seed]["accuracy"] for seed in "37"] == pytest.approx(right, abs=1e-4)
    assert metrics["accuracy"]["low"] < metrics["accuracy"]["value"] <= metrics["accuracy"]["high"]
    assert metrics["majority"] == max(sum(gold), N_VALID - sum(gold)) / N_VALID
    assert metrics["subset"] == "20 items, published 139"
    assert (metrics["padding_side"], metrics["token"]) == ("right", "last")
    assert metrics["truncated"] == {"train": 0, "valid": 0} and metrics["max_length"] == 128


def test_same_bytes_again_and_a_new_seed_trains_alone(model, tmp_path, monkeypatch):
    run(model, tmp_path / "a")
    first = (tmp_path / "a/out/predictions.parquet").read_bytes()
    run(model, tmp_path / "b")
    assert (tmp_path / "b/out/predictions.parquet").read_bytes() == first
    trained = []

    def counted(*arguments):
        trained.append(arguments[-2])
        return finetune(*arguments)

    finetune = outcome.finetune
    monkeypatch.setattr(outcome, "finetune", counted)
    found, _ = run(model, tmp_path / "a", seeds=(42, 43))
    assert trained == [43] and len(found) == 2 * N_VALID
    assert not list((tmp_path / "a/work/42").glob("st*"))  # weights are not kept


def test_texts_longer_than_max_length_are_cut_and_counted(model, tmp_path):
    _, metrics = run(model, tmp_path, max_length=16)
    assert metrics["max_length"] == 16
    assert 0 < metrics["truncated"]["valid"] <= N_VALID


def test_nothing_is_written_where_the_valid_split_has_another_size(model, tmp_path):
    with pytest.raises(InputError, match="expected the 139 published"):
        run(model, tmp_path, items=None)
    assert not (tmp_path / "out").exists() and not (tmp_path / "metrics.json").exists()


def table_of(gold, given):
    logprobs = np.log(np.where(np.eye(2)[given] == 1, 0.75, 0.25))
    return predictions(logprobs, np.array(gold), 0)


def test_summary_of_one_seed_by_hand():
    gold, given = [0, 0, 0, 1, 1], [0, 1, 0, 1, 0]
    rows_of_curve = [
        {"epoch": 1, "accuracy": 0.6, "f1": 0.5, "mcc": 0.1},
        {"epoch": 2, "accuracy": 0.4, "f1": 0.2, "mcc": 0.0},
    ]
    values = summary(table_of(gold, given), "rte", {0: rows_of_curve}, 0.95)
    low, high = wilson(3, 5, 0.95)
    assert values["accuracy"] == {"value": 0.6, "low": low, "high": high}
    assert values["f1"]["value"] == pytest.approx(f1_score(gold, given))
    assert values["majority"] == 0.6 and values["accuracy_of_last_epoch"] == 0.4
    assert values["seeds"]["0"]["best_epoch"] == 1
    assert values["seeds"]["0"]["last_epoch"] == {"accuracy": 0.4, "f1": 0.2, "mcc": 0.0}


def test_summary_of_items_all_right_has_an_interval_of_accuracy_alone():
    curve = [{"epoch": 1, "accuracy": 1.0, "f1": 1.0, "mcc": 1.0}]
    table = pa.concat_tables([table_of([0, 1, 1, 0], [0, 1, 1, 0])] * 2)
    values = summary(table, "rte", {0: curve, 1: curve}, 0.95)
    assert values["accuracy"] == {"value": 1, "low": wilson(4, 4, 0.95)[0], "high": 1}
    assert values["f1"] == values["mcc"] == {"value": 1}


def test_of_equal_log_probs_the_first_label_is_given():
    table = predictions(np.log(np.full((2, 2), 0.5)), np.array([0, 1]), 0)
    assert table["predicted"].to_pylist() == [0, 0]
