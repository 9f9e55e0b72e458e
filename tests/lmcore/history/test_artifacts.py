import shutil

import pytest
from typer.testing import CliRunner

from lmcore.commands.main import app
from lmcore.history.artifacts import artifacts_of, bring_in_step, in_step
from tests.miniature import ROOT, commit, run
from tests.yaml_files import read_yaml, write_yaml


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The repository's pipeline and params, in the current folder."""
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def use(*arguments: object) -> str:
    done = CliRunner().invoke(app, ["use", *map(str, arguments)])
    assert done.exit_code == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("experiment", ["finetuned", "checkpoints", "seeds", "babylm_10m"])
def test_use_names_every_trained_model_and_leaves_the_pipeline_as_it_is(folder, experiment):
    use(ROOT / f"experiments/{experiment}.yaml")
    params = read_yaml(folder / "params.yaml")
    assert in_step(params, folder / "dvc.yaml")
    before, _, _ = (ROOT / "dvc.yaml").read_text().partition("\nartifacts:")
    after, _, _ = (folder / "dvc.yaml").read_text().partition("\nartifacts:")
    assert after == before
    shutil.copyfile(ROOT / "params.yaml", folder / "params.yaml")
    use()
    assert (folder / "dvc.yaml").read_bytes() == (ROOT / "dvc.yaml").read_bytes()
    assert use() == ""


def test_artifacts_name_files_of_metrics_and_the_folder_of_a_teacher(folder):
    use(ROOT / "experiments/babylm_10m.yaml")
    use(ROOT / "experiments/babylm_10m_distilled.yaml")
    artifacts = read_yaml(folder / "dvc.yaml")["artifacts"]
    teacher, student = artifacts["gpt2_705m"], artifacts["babyllama_distilled"]
    assert teacher["path"] == "data/teachers/babyllama_distilled/gpt2_705m"
    assert teacher["meta"] == {"metrics": ["metrics/train/gpt2_705m.json"]}
    assert student["labels"] == ["distill_model"]
    assert student["meta"]["metrics"] == [
        "metrics/train/babyllama_distilled.json",
        "metrics/models/babyllama_distilled.json",
    ]


def test_bring_in_step_leaves_the_sections_behind_as_they_are(tmp_path):
    write_yaml({"trained": {"tiny": None}}, tmp_path / "params.yaml")
    pipeline = tmp_path / "dvc.yaml"
    pipeline.write_text("stages: {}\n\nartifacts:\n  old: {path: a}\n\nplots:\n  - a: {x: b}\n")
    assert bring_in_step(tmp_path / "params.yaml", pipeline) == ["tiny"]
    values = read_yaml(pipeline)
    assert list(values) == ["stages", "artifacts", "plots"]
    assert list(values["artifacts"]) == ["tiny"] and values["plots"] == [{"a": {"x": "b"}}]


def test_unlock_says_when_an_artifact_is_missing(tmp_path, monkeypatch):
    write_yaml({"trained": {"tiny": None}}, tmp_path / "params.yaml")
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    run(tmp_path, "git", "init", "--quiet")
    run(tmp_path, "dvc", "init", "--quiet")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["unlock"])
    assert done.exit_code == 0 and "`lmcore use` without a file writes them" in done.stderr
    use()
    assert CliRunner().invoke(app, ["unlock"]).stderr == ""


def test_dvc_gets_an_artifact_of_a_tag(tmp_path):
    root = tmp_path / "repository"
    (root / "data/models/tiny_llama").mkdir(parents=True)
    (root / "data/models/tiny_llama/config.json").write_text("{}")
    params = {"trained": {"tiny_llama": None}, "models": ["tiny_llama"]}
    write_yaml(params, root / "params.yaml")
    stage = {"cmd": "true", "outs": ["data/models/tiny_llama"]}
    write_yaml({"stages": {"train_model": stage}}, root / "dvc.yaml")
    assert bring_in_step(root / "params.yaml", root / "dvc.yaml") == list(artifacts_of(params))
    run(root, "git", "init", "--quiet")
    run(root, "dvc", "init", "--quiet")
    run(root, "dvc", "commit", "--quiet", "--force")
    commit(root, "start")
    run(root, "git", "tag", "-a", "tiny_llama@v1.0.0", "-m", "first")
    run(root, "dvc", "artifacts", "get", ".", "tiny_llama", "--rev", "v1.0.0", "-o", "copy")
    assert (root / "copy/config.json").read_text() == "{}"
