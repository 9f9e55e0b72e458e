"""The public Python API, on a project of a few small files.

The tests of `score` are those of the engine.
"""

import numpy as np
import pytest

from lmcore.api import compare, load_log, load_metrics, load_scores, load_tokens
from lmcore.errors import InputError
from lmcore.files import write_json
from lmcore.tables import SCORES, write
from tests.lmcore.logs import written
from tests.lmcore.score_tables import scores


@pytest.fixture
def project(tmp_path):
    """Two models on one suite of eight items; the second is right more often."""
    for model, right in (("a", [0, 0, 1, 0, 0, 1, 0, 0]), ("b", [1, 1, 1, 0, 1, 1, 0, 1])):
        table = scores({"all": np.array(right, float)}, suite="pairs")
        write(table, SCORES, tmp_path / f"data/scores/{model}/pairs.parquet")
        values = {"accuracy": sum(right) / 8, "n_items": 8, "convention": "lmcore"}
        write_json({"pairs": values}, tmp_path / f"metrics/models/{model}.json")
    bounds = {"accuracy": {"low": 0.1, "high": 0.5, "n": 8}}
    write_json({"a": {"pairs": bounds}, "b": {"pairs": {}}}, tmp_path / "metrics/intervals.json")
    return tmp_path


def test_load_scores_has_a_row_an_item(project):
    table = load_scores("b", "pairs", project=project)
    accuracy = table[table["metric"] == "accuracy"]
    assert accuracy["value"].tolist() == [1, 1, 1, 0, 1, 1, 0, 1]


def test_load_metrics_has_intervals_where_there_are_some(project):
    table = load_metrics(project=project).set_index(["model", "metric"])
    assert table.loc[("a", "accuracy"), ["value", "low", "high"]].tolist() == [0.25, 0.1, 0.5]
    assert table.loc[("b", "accuracy"), "low"] != table.loc[("b", "accuracy"), "low"]
    assert "convention" not in table.index.get_level_values("metric")


def test_compare_is_paired_and_of_b_against_a(project):
    found = compare("a", "b", "pairs", project=project)
    assert found["difference"] == 0.5 and found["n_better"] == 4 and found["n_worse"] == 0
    assert found["low"] < 0.5 < found["high"] and 0 < found["p"] <= 1
    assert compare("b", "a", "pairs", project=project)["difference"] == -0.5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda project: load_tokens("a", "pairs", project=project), "no such table"),
        (lambda project: load_scores("c", "pairs", project=project), "no such table"),
        (lambda project: load_metrics(project=project / "data"), "there are no metrics"),
        (lambda project: compare("a", "b", "pairs", "rank", project=project), "no metric rank"),
    ],
)
def test_what_is_not_there_is_named(project, call, message):
    with pytest.raises(InputError, match=message):
        call(project)


def test_load_log_has_a_row_an_item_and_metric(tmp_path):
    written.lm_eval(tmp_path / "gpt2", [[-1.0, -2.0], [-1.5, -1.5]])
    log = load_log(tmp_path / "gpt2")
    assert set(log["model"]) == {"gpt2"}
    assert set(log["suite"]) == {"task"}
    assert log.groupby("metric")["value"].mean().to_dict() == {
        "acc": 1,
        "accuracy": 0.75,
        "tie": 0.5,
    }
