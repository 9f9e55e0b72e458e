"""`lmcore metrics` over recorded figures."""

import csv
import io
import json

import pytest
from typer.testing import CliRunner

from lmcore.commands.main import app
from lmcore.commands.metrics import WIDTH, Cell, written
from tests.miniature import commit, run
from tests.yaml_files import write_yaml

METRICS = {
    "accuracy": 0.627778,
    "convention": "lmcore",
    "n_items": 3600,
    "n_ties": 0,
    "perplexity": 17574900,
    "target_probability": 9.02574e-05,
}
INTERVALS = {
    "accuracy": {"low": 0.613629, "high": 0.641927, "n": 3600, "se": 0.00721},
    "perplexity": {"low": 8514960, "high": 36274600, "n": 3600},
}
MODELS = ["zeta", "alpha", "third", "fourth", "fifth"]


@pytest.fixture
def call(tmp_path, monkeypatch):
    """A function that runs `lmcore metrics` in a repository of five models and two suites."""
    (tmp_path / ".dvc").mkdir()
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    write_yaml(
        {"models": MODELS, "suites": {"pairs": None, "cloze": None}}, tmp_path / "params.yaml"
    )
    (tmp_path / "metrics/models").mkdir(parents=True)
    for model in MODELS:
        metrics = json.dumps({"cloze": METRICS | {"n_items": 72}, "pairs": METRICS})
        (tmp_path / f"metrics/models/{model}.json").write_text(metrics)
    intervals = {model: {"pairs": INTERVALS} for model in MODELS}
    (tmp_path / "metrics/intervals.json").write_text(json.dumps(intervals))
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(app, ["metrics", *arguments])


def test_metrics_stand_side_by_side_in_the_order_of_params_and_fit_the_width(call):
    text = call().stdout
    lines = text.splitlines()
    assert lines[0] == "pairs, 3,600 items, convention lmcore"
    heads = " ".join(line.removeprefix("metric") for line in lines if line.startswith("metric"))
    assert heads.split() == MODELS * 2
    assert "accuracy            0.6278 [0.6136, 0.6419]" in text
    assert "cloze, 72 items, convention lmcore" in text
    assert max(map(len, lines)) <= WIDTH


def test_metrics_of_named_models_and_suites(call):
    text = call("alpha", "zeta", "--suite", "cloze").stdout
    assert text.splitlines()[2].split() == ["metric", "alpha", "zeta"]
    assert "pairs" not in text
    assert "0.0000902574" in text and "17574900" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone"], f"there is no model 'gone' in metrics/models; there are {', '.join(MODELS)}"),
        (["--suite", "gone"], "there is no suite 'gone' in metrics/models; there are pairs, cloze"),
    ],
)
def test_metrics_of_an_unknown_name_say_what_there_is(call, arguments, message):
    result = call(*arguments)
    assert (result.exit_code, result.stderr) == (1, f"error: workspace: {message}\n")


def test_metrics_where_there_are_none_say_so(call, tmp_path):
    for path in (tmp_path / "metrics/models").iterdir():
        path.unlink()
    message = "error: workspace: metrics/models: there are no metrics; run `dvc repro`\n"
    assert call().stderr == message


def test_metrics_that_are_no_json_are_named(call, tmp_path):
    (tmp_path / "metrics/intervals.json").write_text("<<<<<<< HEAD\n")
    assert call().stderr.startswith("error: workspace: metrics/intervals.json: not JSON: ")


def test_metrics_in_csv_and_json_are_as_recorded(call):
    rows = list(csv.DictReader(io.StringIO(call("--format", "csv", "--suite", "pairs").stdout)))
    assert len(rows) == 5 * len(METRICS)
    assert rows[0] | {"model": ""} == {
        "suite": "pairs",
        "model": "",
        "metric": "accuracy",
        "value": "0.627778",
        "low": "0.613629",
        "high": "0.641927",
        "se": "0.00721",
        "n": "3600",
    }
    values = json.loads(call("--format", "json").stdout)
    assert values["pairs"]["zeta"]["accuracy"] == {"value": 0.627778, **INTERVALS["accuracy"]}
    assert values["cloze"]["zeta"]["n_ties"] == {"value": 0}


def test_metrics_in_markdown_have_all_models_in_one_table(call):
    lines = call("--format", "md").stdout.splitlines()
    assert lines[0] == "### pairs, 3,600 items, convention lmcore"
    assert lines[2] == f"| metric | {' | '.join(MODELS)} |"


def test_metrics_of_a_revision_are_those_that_were_committed(tmp_path_factory, monkeypatch):
    root = tmp_path_factory.mktemp("committed")
    run(root, "git", "init", "--quiet", "--initial-branch=main")
    run(root, "dvc", "init", "--quiet")
    (root / "dvc.yaml").write_text("stages: {}\n")
    (root / "metrics/models").mkdir(parents=True)
    path = root / "metrics/models/one.json"
    path.write_text('{"pairs": {"accuracy": 0.25}}')
    commit(root, "first")
    path.write_text('{"pairs": {"accuracy": 0.75}}')
    monkeypatch.chdir(root)
    for arguments, value in (([], "0.75"), (["--rev", "main"], "0.25")):
        result = CliRunner().invoke(app, ["metrics", *arguments])
        assert result.stdout.splitlines()[-1].split() == ["accuracy", value]


@pytest.mark.parametrize(
    ("value", "interval", "rounded"),
    [
        (0.4125, {"low": 0.298367, "high": 0.526633, "se": 0.0569}, "0.412 [0.298, 0.527]"),
        (0, {"low": 0, "high": 0.00951231, "se": 0}, "0.00000 [0.00000, 0.00951]"),
        (1208.59, {"low": 720.717, "high": 2026.71}, "1209 [721, 2027]"),
        (8.29137, {"low": 8.29125, "high": 8.29148, "se": 6e-5}, "8.29137 [8.29125, 8.29148]"),
        (2, {"low": 2, "high": 2, "se": 0}, "2 [2, 2]"),
        (9.02574e-05, {}, "0.0000902574"),
    ],
)
def test_figure_is_rounded_to_what_its_interval_supports(value, interval, rounded):
    assert written(Cell(value, interval), full=False) == rounded


def test_figure_in_full_has_all_digits():
    interval = {"low": 0.298367, "high": 0.526633, "se": 0.0569}
    assert written(Cell(0.4125, interval), full=True) == "0.4125 [0.298367, 0.526633]"
