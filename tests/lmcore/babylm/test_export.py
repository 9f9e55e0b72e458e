"""The stage's function: an entry is written whole, with its validation, page and metrics."""

import json
from pathlib import Path

import pytest

from lmcore.babylm import export
from lmcore.babylm.evaluations import GLUE
from lmcore.babylm.export import checkpoints_of, export_babylm, required_words, write_leaderboard
from lmcore.babylm.tree import Project
from lmcore.errors import InputError
from lmcore.files import sha256, write_json
from tests.lmcore.babylm.entries import CHECKPOINTS, SETTINGS

KEPT = {name: {"model": "mine", "words": words} for name, words in CHECKPOINTS.items()}
MODELS = ["mine", "longer", "flat"]


def run(project: Project, out: Path, **options) -> dict:
    """The metrics of an export."""
    metrics = out.with_suffix(".json")
    given = {"year": 2026, "models": MODELS, "words": 2_000_000} | options
    export_babylm(
        *(project, KEPT, SETTINGS, 6, {"rte": 10}, project.data / "acquisition", out, metrics),
        **given,
    )
    return json.loads(metrics.read_text())


def test_entry_is_written_whole_and_its_bytes_repeat(project, tmp_path):
    metrics = run(project, tmp_path / "a")
    again = run(project, tmp_path / "b")
    assert metrics == again and sha256(tmp_path / "a") == sha256(tmp_path / "b")
    assert {path.name for path in (tmp_path / "a").iterdir()} == {
        "results",
        "validation.json",
        "leaderboard.html",
    }
    assert {path.name for path in (tmp_path / "a/results").iterdir()} == set(MODELS)
    mine = metrics["models"]["mine"]
    assert mine["n_checkpoints"] == 2
    # 4 + 4 + 3 + 3 + 2 of sentences, 5 words read, 8 learned, 7 tasks of 10 labels
    assert mine["n_predictions"] == 99
    assert "comps: subset: 2 of 91,028 items" in mine["subsets"]
    assert mine["tasks"]["comps"]["subset"] == "subset: 2 of 91,028 items"
    assert metrics["models"]["longer"]["n_checkpoints"] == 0
    assert "chck_1M: the whole checkpoint" in metrics["models"]["longer"]["missing"]
    validation = json.loads((tmp_path / "a/validation.json").read_text())
    rte = "main/finetune/rte: 10 predictions of 1 task; subset: 10 of 139 items"
    assert rte in validation["mine"]["subsets"]
    assert not any("rte" in line for line in mine["wrong"])
    assert sorted(validation["mine"]["missing"]) == mine["missing"]
    assert mine["tasks"]["glue"]["subset"] == "own data of rte"


def test_missing_parts_are_recorded_and_an_error_where_completeness_is_asked_for(project, tmp_path):
    project.scores("mine", "reading").unlink()
    missing = run(project, tmp_path / "kept")["models"]["mine"]["missing"]
    assert "main/reading/predictions.json" in missing
    before = sha256(tmp_path / "kept")
    with pytest.raises(InputError, match=r"export of 'mine': complete: true, but .* is missing;"):
        run(project, tmp_path / "kept", complete=True)
    # what was there before stays, and nothing unfinished is left
    assert sha256(tmp_path / "kept") == before
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".tmp")]


def test_killed_while_writing_leaves_nothing(project, tmp_path, monkeypatch):
    def fail(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(export, "leaderboard_page", fail)
    with pytest.raises(KeyboardInterrupt):
        run(project, tmp_path / "out")
    assert not (tmp_path / "out").exists() and not (tmp_path / "out.json").exists()
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".tmp")]


def test_acquisition_is_read_from_its_entry(project, tmp_path):
    folder = project.data / "acquisition"
    write_json({"children": {"curve_fitness": 0.31}}, folder / "words.json")
    write_json({}, folder / "no_ages.json")
    metrics = run(project, tmp_path / "out", acquisition={"mine": "words", "longer": "no_ages"})
    assert metrics["models"]["mine"]["tasks"]["aoa"]["official"] == 31
    assert "aoa" not in metrics["models"]["longer"]["tasks"]
    # all of the year's tasks but Global PIQA are there
    assert "mean_official" in metrics["models"]["mine"]
    assert "mean_official" not in metrics["models"]["longer"]
    with pytest.raises(InputError, match=r"none\.json: No such file"):
        run(project, tmp_path / "out", acquisition={"mine": "none"})


def test_checkpoints_are_those_kept_by_words_or_those_given():
    kept = KEPT | {"by_step": {"model": "mine", "step": 5}}
    assert checkpoints_of(["mine", "other"], kept, None) == {
        "mine": {1_000_000: "my_chck_1m", 2_000_000: "my_chck_2m"},
        "other": {},
    }
    given = {"other": {"x": 3_000_000}}
    assert checkpoints_of(["mine", "other"], kept, given)["other"] == {3_000_000: "x"}
    with pytest.raises(InputError, match="checkpoints: 'third' is not among the models"):
        checkpoints_of(["mine"], kept, {"third": {}})
    with pytest.raises(InputError, match="'b' and 'a' would both be chck_1M of 'mine'"):
        checkpoints_of(["mine"], {}, {"mine": {"a": 1_000_000, "b": 1_000_000}})


def test_required_checkpoints_end_with_the_training():
    assert len(required_words(2026, "strict_small", None)) == 19
    assert len(required_words(2025, "strict", None)) == 28
    assert required_words(2026, "strict_small", 20_000_000)[-2:] == [10_000_000, 20_000_000]


def test_models_of_one_folder_are_refused(project, tmp_path):
    with pytest.raises(InputError, match=r"'a\.1' and 'a\.2' would be one folder 'a'"):
        run(project, tmp_path / "out", models=["a.1", "a.2"])


def test_page_alone_names_a_model_that_was_not_scored(project, tmp_path):
    write_leaderboard(project, MODELS, 2026, "strict_small", SETTINGS, tmp_path / "page.html")
    assert "GPT-2 strict-small (2026)" in (tmp_path / "page.html").read_text()
    with pytest.raises(InputError, match=r"scores/nobody: none of BabyLM's tasks of 2026"):
        write_leaderboard(
            project, ["nobody"], 2026, "strict_small", SETTINGS, tmp_path / "page.html"
        )


def test_entry_without_the_tasks_that_we_do_not_score_is_complete(project, tmp_path):
    """Global PIQA of 2026. AoA has a score, and all GLUE tasks are declared one's own."""
    write_json({"children": {"curve_fitness": 0.3}}, project.data / "acquisition/words.json")
    out, metrics = tmp_path / "out", tmp_path / "out.json"
    export_babylm(
        *(project, KEPT, SETTINGS, 6, dict.fromkeys(GLUE, 10), project.data / "acquisition"),
        out,
        metrics,
        year=2026,
        models=["mine"],
        acquisition={"mine": "words"},
        words=2_000_000,
        complete=True,
    )
    mine = json.loads(metrics.read_text())["models"]["mine"]
    assert mine["missing"] == mine["wrong"] == [] and len(mine["not_scored"]) == 6
    assert mine["mean_official"] > 0
