"""The stage finetune_classifier, as DVC runs it on a toy of one task with a tiny model."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lmcore.params import yaml_text
from lmcore.tables import CLASSIFIED, read
from tests.lmcore.classifying.toy import N_VALID, rows, save_model, write_splits
from tests.miniature import run
from tests.yaml_files import read_yaml

ROOT = Path(__file__).parents[2]
NAME = "finetune_classifier"
OUT = Path("data/classified/tiny/rte/predictions.parquet")


def make(folder: Path, **section: list) -> Path:
    """A DVC repository with this stage of dvc.yaml alone, a tiny model and a toy of RTE.

    `section` replaces keys of the section finetune_classifier.
    """
    folder.mkdir()
    stage = read_yaml(ROOT / "dvc.yaml")["stages"][NAME]
    (folder / "dvc.yaml").write_text(yaml_text.dump({"stages": {NAME: stage}}))
    params = read_yaml(ROOT / "params.yaml")
    params = {key: params[key] for key in (NAME, "aggregate")}
    params[NAME] |= section
    params[NAME]["recipe"] |= {"lr": 0.003, "epochs": 4, "threads": 1}
    params[NAME]["by_task"]["rte"] = {"batch_size": 8, "items": N_VALID}
    (folder / "params.yaml").write_text(yaml_text.dump(params))
    shutil.copy(ROOT / "code.json", folder)
    save_model("llama", folder / "data/models/tiny")
    write_splits(folder / "data/sources/glue")
    run(folder, "dvc", "init", "--quiet", "--no-scm")
    run(folder, "dvc", "config", "core.analytics", "false")
    return folder


def stages_of(folder: Path) -> list[str]:
    return run(folder, "dvc", "stage", "list", "--name-only").stdout.split()


@pytest.mark.parametrize(
    ("models", "tasks"), [([], []), (["tiny"], []), ([], ["rte"]), (["a", "b"], ["rte", "wsc"])]
)
def test_every_model_on_every_task_is_a_stage_and_by_default_there_is_none(models, tasks, tmp_path):
    folder = make(tmp_path / "made", models=models, tasks=tasks)
    expected = [f"{NAME}@{model}-{task}" for model in models for task in tasks]
    assert stages_of(folder) == expected


def test_stage_killed_and_run_again_writes_the_bytes_of_an_undisturbed_one(tmp_path):
    one, two = (make(tmp_path / name, models=["tiny"], tasks=["rte"]) for name in ("one", "two"))
    environment = {"PYTHONPATH": str(ROOT)}
    run(one, "dvc", "repro", **environment)
    found = read(one / OUT, CLASSIFIED)
    assert found["gold"].to_pylist() == [row["label"] for row in rows(N_VALID, 1)]
    metrics = json.loads((one / "metrics/classified/tiny/rte.json").read_text())
    assert metrics["accuracy"]["value"] > 0.8 and metrics["items"] == N_VALID

    kill_after_a_checkpoint(two)
    again = run(two, "dvc", "repro", **environment)
    assert "going on after step" in again.stdout + again.stderr
    assert (two / OUT).read_bytes() == (one / OUT).read_bytes()
    assert (two / "dvc.lock").read_text() == (one / "dvc.lock").read_text()


def kill_after_a_checkpoint(folder: Path) -> None:
    """Run the stage until it has written a checkpoint, and kill it."""
    command = [sys.executable, "-m", f"stages.{NAME}", "tiny", "rte"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, cwd=folder, env=environment)
    try:
        deadline = time.monotonic() + 120
        while not list(folder.glob("work/classifiers/*/state_*.safetensors")):
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.005)
    finally:
        process.kill()
        process.wait()
    assert not (folder / OUT).exists()


def test_bad_input_is_one_line_and_leaves_nothing(tmp_path):
    folder = make(tmp_path / "made", models=["tiny"], tasks=["rte"])
    (folder / "data/sources/glue/rte.train.jsonl").unlink()
    done = run(
        folder,
        sys.executable,
        "-m",
        f"stages.{NAME}",
        "tiny",
        "rte",
        check=False,
        PYTHONPATH=str(ROOT),
    )
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr == (
        "error: data/sources/glue/rte.train.jsonl: no such file; the task rte is fine-tuned on"
        " rte.train.jsonl and judged on rte.valid.jsonl, and needs both\n"
    )
    assert not (folder / "data/classified").exists()
