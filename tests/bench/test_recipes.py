"""The tables of docs/recipes.md hold what the metrics say."""

import json
from pathlib import Path

import pytest

from bench.recipes import PAGE, SUITES, fill, lr_table, results_tables
from lmcore.errors import InputError
from lmcore.params import yaml_text

ROOT = Path(__file__).parents[2]
PARAMS = {
    "compare_models": {
        "recipes": {"base": ["a", "b"], "muon": ["c", "d"]},
        "pairs": [{"model": "muon", "against": "base"}],
    }
}


def write(metrics: Path, name: str, values: dict) -> None:
    path = metrics / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values), "utf-8")


@pytest.fixture
def metrics(tmp_path) -> Path:
    """What a run with two recipes of two seeds leaves."""
    for name, loss in {"a": 4.0, "b": 4.2, "c": 3.9, "d": 3.9}.items():
        write(tmp_path, f"train/{name}", {"dev_loss": loss, "steps": 690, "words": 942533})
    spread = {"heldout": {"mean": 1.7, "sd": 0.001}, "minimal_pairs": {"mean": 0.6, "sd": 0.01}}
    write(tmp_path, "seeds", {"base": spread, "muon": spread})
    better = {"difference": -0.1, "low": -0.12, "high": -0.08, "p_corrected": 0.0012}
    same = {"difference": 0.004, "low": -0.01, "high": 0.018, "p_corrected": 1}
    pair = {
        "heldout": {**better, "verdict": "better"},
        "minimal_pairs": {**same, "verdict": "no evidence"},
    }
    write(tmp_path, "comparisons", {"muon_vs_base": pair})
    return tmp_path


def test_results_tables_show_seeds_and_verdicts_in_the_suites_units(metrics):
    text = results_tables(PARAMS, metrics)
    assert "690 steps, which read 942,533 words" in text
    assert "| base | 2 | 4.1000 | 1.7000 ± 0.0010 | 60.00 ± 1.00 |" in text
    assert "| -0.1000 | [-0.1200, -0.0800] | 0.0012 | **better** |" in text
    assert "| +0.40 | [-1.00, +1.80] | 1 | no evidence |" in text


def test_results_tables_of_trainings_of_different_length_are_refused(metrics):
    write(metrics, "train/d", {"dev_loss": 3.9, "steps": 100, "words": 136599})
    with pytest.raises(InputError, match=r"trainings of .*100.*690.* steps and words"):
        results_tables(PARAMS, metrics)


def test_results_tables_before_the_run_say_what_is_missing(tmp_path):
    with pytest.raises(InputError, match=r"a.json: is missing; run what docs/recipes.md says"):
        results_tables(PARAMS, tmp_path)


def test_lr_table_marks_the_lowest_dev_loss_of_each_optimiser(tmp_path):
    trained = {
        "babyllama": {"seed": 0},
        "adamw_lr_1": {"lr": 0.01},
        "adamw_lr_2": {"lr": 0.02},
        "muon_lr_1": {"optimizer": "muon", "muon": {"lr": 0.03}},
    }
    for name, loss in {"adamw_lr_1": 4.5, "adamw_lr_2": 4.25, "muon_lr_1": 4.0}.items():
        write(tmp_path, f"train/{name}", {"dev_loss": loss})
    assert lr_table({"trained": trained}, tmp_path).splitlines()[2:] == [
        "| adamw | 0.01 | 4.5000 |",
        "| adamw | 0.02 | **4.2500** |",
        "| muon | 0.03 | **4.0000** |",
    ]


def test_fill_replaces_what_stands_between_the_marks(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- lr: begin -->\nold\n<!-- lr: end -->\nafter\n", "utf-8")
    fill(page, "lr", "new \\1")
    assert page.read_text("utf-8").split("\n\n")[1] == "new \\1"
    assert "old" not in page.read_text("utf-8") and page.read_text("utf-8").endswith("after\n")
    with pytest.raises(InputError, match="has no lines '<!-- results: begin -->'"):
        fill(page, "results", "new")


def test_page_and_experiment_are_those_that_the_tables_are_made_of():
    page = (ROOT / PAGE).read_text("utf-8")
    for name in ("results", "lr"):
        assert f"<!-- {name}: begin -->" in page and f"<!-- {name}: end -->" in page
    text = (ROOT / "experiments" / "recipes.yaml").read_text("utf-8")
    experiment = yaml_text.load(text, "recipes.yaml")
    assert set(SUITES) == {name for name, entry in experiment["suites"].items() if entry}
    members = [
        model for models in experiment["compare_models"]["recipes"].values() for model in models
    ]
    assert sorted(members) == sorted(experiment["trained"])
    assert [*members, "untrained"] == experiment["models"]
