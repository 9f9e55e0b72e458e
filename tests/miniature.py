"""A miniature of the repository, with a git origin and a DVC remote.

Its pipeline has two stages: the real fingerprint_code, and a fold_scores that makes up scores.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.lmcore.comparing.test_model_pairs import SECTION
from tests.yaml_files import read_yaml, write_yaml

ROOT = Path(__file__).parents[1]
MARKS = ("installed", "installed-dev")  # files by which make knows what .venv holds
PIPELINE = {
    "fingerprint_code": {
        "cmd": "python -m stages.fingerprint_code",
        "deps": ["constraints.txt", "stages"],
        "outs": [{"code.json": {"cache": False}}],
    },
    "fold_scores": {
        "cmd": "python -m stages.fold_scores",
        "params": ["models", "suites", "levels", {"code.json": ["fold_scores"]}],
        "outs": ["data/scores"],
        "metrics": [{"metrics/models": {"cache": False}}],
    },
}
PARAMS = {
    "models": ["good", "untrained"],
    "suites": {"pairs": {"kind": "pairs"}, "heldout": {"kind": "text"}},
    "levels": {"good": {"accuracy": 0.7, "bits": 2.0}, "untrained": {"accuracy": 0.5, "bits": 3.0}},
    "compare_models": SECTION,
}
FOLD_SCORES = '''"""Stage: scores of made-up models, from their levels in params.yaml."""

import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lmcore.params import yaml_text


def main() -> None:
    params = yaml_text.load(Path("params.yaml").read_text(), "params.yaml")
    rng = np.random.default_rng(0)
    noise, bits = rng.random(300), rng.normal(0, 0.3, 40)
    for model, level in params["levels"].items():
        correct = (noise < level["accuracy"]).astype(float)
        values = {"pairs": correct, "heldout": bits + level["bits"]}
        for suite, metric in (("pairs", "accuracy"), ("heldout", "surprisal_per_byte")):
            n = len(values[suite])
            columns = {
                "item": [f"{suite}/{i:04d}" for i in range(n)],
                "draw": pa.array([0] * n, pa.int16()),
                "variant": [""] * n,
                "group": ["all"] * n,
                "metric": [metric] * n,
                "value": values[suite] + float(os.environ.get("HIDDEN_NOISE", 0)),
                "weight": [1.0] * n,
                "content_hash": pa.array(range(n), pa.uint64()),
            }
            path = Path("data/scores") / model / f"{suite}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.table(columns), path)
        means = {suite: round(float(column.mean()), 6) for suite, column in values.items()}
        metrics = {suite: {"value": mean} for suite, mean in means.items()}
        Path("metrics/models").mkdir(parents=True, exist_ok=True)
        Path(f"metrics/models/{model}.json").write_text(json.dumps(metrics))


if __name__ == "__main__":
    main()
'''


def run(
    folder: Path, *command: str, check: bool = True, **environment: str
) -> subprocess.CompletedProcess:
    """Run a command in `folder`, with this Python's commands first on the path.

    Git works there as a user of its own. With `check` the command must succeed.
    """
    user_settings = ("AUTHOR_NAME", "AUTHOR_EMAIL", "COMMITTER_NAME", "COMMITTER_EMAIL")
    user = {f"GIT_{name}": "t@t" for name in user_settings}
    settings = {
        **os.environ,
        **user,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        **environment,
    }
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env=settings, timeout=300
    )
    assert not check or done.returncode == 0, (
        f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    )
    return done


def set_levels(folder: Path, **levels: float) -> None:
    """Change the levels of the model `good` in params.yaml."""
    params = read_yaml(folder / "params.yaml")
    params["levels"]["good"] |= levels
    write_yaml(params, folder / "params.yaml")


def commit(folder: Path, message: str) -> None:
    """Commit everything that git does not ignore in the folder."""
    run(folder, "git", "add", "-A")
    run(folder, "git", "commit", "--quiet", "-m", message)


def make(root: Path) -> Path:
    """Make the repository `root`/first, which has the tag v1 and three branches, and return it.

    The results of `main` are in the DVC remote. `better` has no results yet. The results of
    `worse` are only in the DVC cache of the repository.
    """
    first = root / "first"
    _write_files(first)
    run(root, "git", "init", "--quiet", "--bare", "--initial-branch=main", "origin")
    run(first, "git", "init", "--quiet", "--initial-branch=main")
    run(first, "git", "remote", "add", "origin", str(root / "origin"))
    run(first, "dvc", "init", "--quiet")
    run(first, "dvc", "config", "core.analytics", "false")
    run(first, "dvc", "remote", "add", "--quiet", "--default", "store", str(root / "store"))
    run(first, "dvc", "repro", "--quiet")
    commit(first, "main")
    run(first, "git", "tag", "v1")
    run(first, "dvc", "push", "--quiet", "--run-cache")
    run(first, "git", "checkout", "--quiet", "-b", "better")
    set_levels(first, accuracy=0.8, bits=1.9)
    commit(first, "better")
    run(first, "git", "checkout", "--quiet", "-b", "worse", "main")
    set_levels(first, accuracy=0.55)
    run(first, "dvc", "repro", "--quiet")
    commit(first, "worse")
    run(first, "git", "push", "--quiet", "origin", "main", "better", "worse", "v1")
    return first


def _write_files(first: Path) -> None:
    """Write the code, the settings and the params of the miniature."""
    for name in ("__init__", "stage", "fingerprint_code"):
        (first / "stages").mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / "stages" / f"{name}.py", first / "stages")
    (first / "stages" / "fold_scores.py").write_text(FOLD_SCORES)
    for name in ("Makefile", "constraints.txt", ".dvcignore"):
        shutil.copy2(ROOT / name, first)
    (first / "tests").mkdir()
    (first / "tests" / "test_nothing.py").write_text("def test_nothing():\n    assert True\n")
    settings = [
        "[tool.ruff]",
        "line-length = 100",
        'lint.select = ["E4", "E7", "F"]',
        "[tool.mypy]",
        'files = ["stages/__init__.py"]',
        "ignore_missing_imports = true",
        "[tool.pytest.ini_options]",
    ]
    (first / "pyproject.toml").write_text("\n".join(settings))
    (first / ".gitignore").write_text("__pycache__/\n*_cache/\n/.venv\n/data/scores\n/comment.md\n")
    write_yaml({"stages": PIPELINE}, first / "dvc.yaml")
    write_yaml(PARAMS, first / "params.yaml")


def clone(first: Path, name: str, branch: str) -> Path:
    """A clone of the origin that has no DVC cache yet.

    Its .venv is this Python's environment, marked as installed, so that `make setup` does nothing.
    """
    target = first.parent / name
    origin = str(first.parent / "origin")
    run(first.parent, "git", "clone", "--quiet", "--branch", branch, origin, name)
    environment = Path(sys.executable).parent.parent
    (target / ".venv").mkdir()
    for entry in environment.iterdir():
        if entry.name not in (*MARKS, "pyvenv.cfg"):
            (target / ".venv" / entry.name).symlink_to(entry)
    if (environment / "pyvenv.cfg").exists():
        shutil.copy2(environment / "pyvenv.cfg", target / ".venv")
    for mark in MARKS:
        (target / ".venv" / mark).touch()
    return target
