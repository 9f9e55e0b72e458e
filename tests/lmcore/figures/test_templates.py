"""The templates of `dvc plots`: they are made of the figures, and DVC can draw with them."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from lmcore.figures.files import FORMATS
from lmcore.figures.templates import FOLDER, templates
from tests.yaml_files import read_yaml, write_yaml

ROOT = Path(__file__).parents[3]
TABLES = {
    "curve.csv": "step,train_loss,dev_loss\n1,8.0,8.5\n2,5.0,\n3,4.0,4.25\n",
    "bins.csv": "bin,accuracy,accuracy_low,accuracy_high\nunseen,0.2,0.1,0.4\n1-9,0.5,0.3,0.7\n",
    "tokens.csv": 'label,value\n"a <b>",7.5\n"b",6\n',
}


def test_templates_are_what_the_figures_make() -> None:
    files = {path.stem: json.loads(path.read_text()) for path in (ROOT / FOLDER).glob("*.json")}
    assert files == templates(), "run `python -m lmcore.figures.templates`"


def named_templates(value: object) -> set[str]:
    """The values of the key `template` in YAML, however deep."""
    if isinstance(value, list):
        return set().union(*map(named_templates, value))
    if not isinstance(value, dict):
        return set()
    found = {value["template"]} if isinstance(value.get("template"), str) else set()
    return found.union(*map(named_templates, value.values()))


def test_pipeline_plots_with_these_templates() -> None:
    assert named_templates(read_yaml(ROOT / "dvc.yaml")) == set(templates())


def test_dvc_draws_each_template(tmp_path: Path) -> None:
    """`dvc plots show --json` gives specifications that hold the rows and that Vega-Lite draws."""

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout

    run("git", "init", "--quiet")
    run(sys.executable, "-m", "dvc", "init", "--quiet")
    shutil.copytree(ROOT / FOLDER, tmp_path / FOLDER)
    for name, text in TABLES.items():
        (tmp_path / name).write_text(text)
    losses = {"x": "step", "y": {"curve.csv": ["train_loss", "dev_loss"]}, "template": "lines"}
    shares = {"x": "bin", "y": {"bins.csv": "accuracy"}, "template": "intervals"}
    ends = {"x": {"tokens.csv": "value"}, "y": {"tokens.csv": "label"}, "template": "bars"}
    plots = [{"losses": losses}, {"shares": shares}, {"ends": ends}]
    write_yaml({"plots": plots}, tmp_path / "dvc.yaml")
    shown = json.loads(run(sys.executable, "-m", "dvc", "plots", "show", "--json"))
    drawn = {}
    for name, (plot,) in shown["data"].items():
        content = plot["content"]
        chart = json.loads(content) if isinstance(content, str) else content
        assert "<DVC_METRIC" not in json.dumps(chart), name
        drawn[name.rpartition("::")[2]] = FORMATS["svg"](chart, 1).decode()
    assert set(drawn) == {"losses", "shares", "ends"}
    assert ">unseen<" in drawn["shares"] and "a &lt;b&gt;" in drawn["ends"]
    assert "dev_loss" in drawn["losses"] and "NaN" not in "".join(drawn.values())
