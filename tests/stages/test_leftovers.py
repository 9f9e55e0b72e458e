"""What is left of a model or suite that was taken out of params.yaml.

The stages of a small pipeline run as they would in a clone that never had it.
"""

import itertools
import shutil
import subprocess
from pathlib import Path

import pytest

from lmcore.params import yaml_text
from tests.miniature import commit, run
from tests.yaml_files import read_yaml

ROOT = Path(__file__).parents[2]
PIPELINE = {
    "extract_tokens": {
        "matrix": {"model": "${models}", "suite": "${suites}"},
        "cmd": "sh extract.sh data/tokens/${item.model}/${item.suite} ${item.model} ${item.suite}",
        "params": ["suites.${item.suite}"],
        "outs": ["data/tokens/${item.model}/${item.suite}"],
    },
    "fold_scores": {
        "cmd": "python -m stages.fold",
        "deps": ["data/tokens"],
        "params": ["models", "suites"],
        "outs": ["data/scores"],
    },
}
FOLD = """from pathlib import Path
from stages.stage import clear_leftovers, run
def main() -> None:
    clear_leftovers("data/tokens")
    Path("data/scores").mkdir()
    for path in sorted(Path("data/tokens").rglob("part")):
        Path("data/scores", "-".join(path.parts[2:4])).write_bytes(path.read_bytes())
run(main)
"""
FILES = {
    "dvc.yaml": yaml_text.dump({"stages": PIPELINE}),
    "params.yaml": "models:\n  - one\n  - two\nsuites:\n  a: {n: 1}\n  b: {n: 2}\n",
    "extract.sh": "mkdir -p $1 && echo $2 $3 > $1/part\n",
    "stages/fold.py": FOLD,
    ".gitignore": "/data\n/work\n__pycache__/\n",
}
# {what is taken out: params.yaml without it}
DROPPED = {
    "suite": "models:\n  - one\n  - two\nsuites:\n  a: {n: 1}\n",
    "model": "models:\n  - two\nsuites:\n  a: {n: 1}\n  b: {n: 2}\n",
    "both, another new": "models:\n  - two\nsuites:\n  a: {n: 1}\n  c: {n: 3}\n",
}


def repro(folder: Path) -> str:
    """Run `dvc repro`, and return what it prints."""
    return run(folder, "dvc", "repro", PYTHONPATH=f"{folder}:{ROOT}").stdout


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A repository in which the pipeline has run and all is committed; tests change copies."""
    root = tmp_path_factory.mktemp("leftovers") / "made"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    shutil.copy(ROOT / "stages" / "stage.py", root / "stages")
    (root / "stages" / "__init__.py").touch()
    run(root, "git", "init", "--quiet")
    run(root, "dvc", "init", "--quiet")
    run(root, "dvc", "config", "core.analytics", "false")
    repro(root)
    commit(root, "made")
    return root


@pytest.mark.parametrize("dropped", DROPPED)
def test_what_params_drop_leaves_no_trace_and_comes_back(made, tmp_path, dropped):
    used, fresh = tmp_path / "used", tmp_path / "fresh"
    shutil.copytree(made, used)
    subprocess.run(["git", "clone", "-q", made, fresh], check=True)
    outputs = []
    for folder in (used, fresh):
        (folder / "params.yaml").write_text(DROPPED[dropped])
        outputs.append(repro(folder))
    assert (used / "dvc.lock").read_bytes() == (fresh / "dvc.lock").read_bytes()
    params = yaml_text.load(DROPPED[dropped], "params.yaml")
    pairs = itertools.product(params["models"], params["suites"])
    expected = {f"{model}-{suite}" for model, suite in pairs}
    assert {path.name for path in (used / "data/scores").iterdir()} == expected
    gone = {
        "suite": "data/tokens/one/b",
        "model": "data/tokens/one",
        "both, another new": "data/tokens/two/b",
    }[dropped]
    kept = used / "work" / "leftovers" / gone
    assert f"{gone}: params.yaml does not name it (any more); moved to {kept}\n" in outputs[0]
    assert (used / "work/leftovers" / gone).is_dir()
    assert "moved to" not in outputs[1]
    assert "didn't change" in repro(used)
    status = run(used, "dvc", "status").stdout
    assert status.startswith("Data and pipelines are up to date")
    run(used, "git", "checkout", "--quiet", "params.yaml")
    repro(used)
    again, before = locked_stages(used), locked_stages(made)
    assert {name: again[name] for name in before} == before


def locked_stages(folder: Path) -> dict:
    return read_yaml(folder / "dvc.lock")["stages"]


def test_branch_checked_out_without_its_data_clears_what_the_other_left(made, tmp_path):
    used = shutil.copytree(made, tmp_path / "used")
    run(used, "git", "checkout", "--quiet", "-b", "smaller")
    (used / "params.yaml").write_text(DROPPED["suite"])
    repro(used)
    commit(used, "smaller")
    run(used, "git", "checkout", "--quiet", "-")
    repro(used)
    run(used, "git", "checkout", "--quiet", "smaller")
    repro(used)
    assert run(used, "git", "status", "--porcelain").stdout == ""
    assert not (used / "data/tokens/one/b").exists()


def test_clear_leftovers_keeps_what_a_stage_reads_though_none_makes_it(made, tmp_path):
    used = shutil.copytree(made, tmp_path / "used")
    for name in ("theirs", "nobodys"):
        (used / "data/models" / name).mkdir(parents=True)
        (used / "data/models" / name / "weights").write_text(name)
    (used / "data/models" / "empty").mkdir()
    pipeline = read_yaml(used / "dvc.yaml")
    pipeline["stages"]["reads"] = {"cmd": "true", "deps": ["data/models/theirs"]}
    (used / "dvc.yaml").write_text(yaml_text.dump(pipeline))
    program = (
        "from stages.stage import clear_leftovers; "
        "clear_leftovers('data/models', 'data/none'); clear_leftovers('data/models')"
    )
    done = run(used, "python", "-c", program, PYTHONPATH=f"{used}:{ROOT}")
    moved = (
        "data/models/nobodys: params.yaml does not name it (any more); "
        "moved to work/leftovers/data/models/nobodys\n"
    )
    assert done.stdout == moved
    assert (used / "data/models/theirs/weights").exists()
    assert (used / "work/leftovers/data/models/nobodys/weights").exists()
