"""Logs become scores tables, metrics and comparisons."""

import json

import pytest

from lmcore.comparing.diff_logs import DEFAULTS
from lmcore.comparing.logged import import_logs
from lmcore.errors import InputError
from lmcore.tables import SCORES, read
from tests.lmcore.logs import written

RIGHT, WRONG = [-1.0, -2.0], [-2.0, -1.0]
SETTINGS = DEFAULTS._replace(margin={"accuracy": 0.005}, resamples=1000)
DIGITS = 4


@pytest.fixture
def logs(tmp_path):
    """Logs of two models on two tasks of twenty items."""
    for model, answers in (("base", [RIGHT, WRONG] * 10), ("new", [RIGHT, RIGHT] * 10)):
        for task in ("one", "two"):
            written.lm_eval(tmp_path / "logs" / model, answers, task=task)
    return tmp_path / "logs"


def test_logs_are_written_as_scores_with_metrics_and_comparisons(logs, tmp_path):
    metrics = tmp_path / "metrics.json"
    import_logs(tmp_path / "out", metrics, SETTINGS, DIGITS, path=str(logs), against="base")
    table = read(tmp_path / "out" / "new" / "two.parquet", SCORES)
    assert set(table["metric"].to_pylist()) == {"acc", "accuracy", "tie"}
    content = json.loads(metrics.read_text())
    accuracy = content["models"]["base"]["one"]["accuracy"]
    assert (accuracy["value"], accuracy["n"]) == (0.5, 20)
    assert accuracy["low"] < 0.5 < accuracy["high"]
    assert set(content["comparisons"]) == {"new_vs_base"}
    comparison = content["comparisons"]["new_vs_base"]["one"]
    assert (comparison["verdict"], comparison["difference"]) == ("better", 0.5)


def test_names_with_a_slash_are_one_folder(tmp_path):
    written.inspect(tmp_path / "logs" / "a.json", [["C"], ["I"]], task="evals/arc")
    import_logs(
        tmp_path / "out", tmp_path / "m.json", SETTINGS, DIGITS, path=str(tmp_path / "logs")
    )
    assert (tmp_path / "out" / "org--a" / "evals--arc.parquet").is_file()
    assert json.loads((tmp_path / "m.json").read_text())["comparisons"] == {}


def test_model_metric_and_items_that_do_not_fit_are_named(logs, tmp_path):
    def imported(**entry):
        import_logs(
            tmp_path / "out", tmp_path / "m.json", SETTINGS, DIGITS, path=str(logs), **entry
        )

    with pytest.raises(InputError, match="there is no model 'gone'; there are base, new"):
        imported(against="gone")
    with pytest.raises(InputError, match="have no metric f1 in common"):
        imported(metric="f1")
    written.lm_eval(logs / "new", [RIGHT] * 3, task="one", time="2027-01-02T03-04-05.678901")
    with pytest.raises(InputError, match="base and new on one: not the same items: 17 only in A"):
        imported()
    assert not (tmp_path / "m.json").exists()


@pytest.mark.parametrize("name", ["..", ".", "a\\b", "a\nb", "x" * 300])
def test_name_that_would_leave_the_folder_is_refused(tmp_path, name):
    written.inspect(tmp_path / "logs" / "a.json", [["C"]], model=name)
    with pytest.raises(InputError, match="cannot be the name of a file"):
        import_logs(
            tmp_path / "out", tmp_path / "m.json", SETTINGS, DIGITS, path=str(tmp_path / "logs")
        )
    assert not (tmp_path / "out").exists()


def test_two_names_of_one_file_are_refused(tmp_path):
    written.inspect(tmp_path / "logs" / "a.json", [["C"]], model="org/a")
    written.inspect(tmp_path / "logs" / "b.json", [["C"]], model="org--a")
    with pytest.raises(InputError, match="would be the same file as"):
        import_logs(
            tmp_path / "out", tmp_path / "m.json", SETTINGS, DIGITS, path=str(tmp_path / "logs")
        )
