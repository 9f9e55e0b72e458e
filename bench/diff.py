"""How fast `lmcore diff` is.

A repository of random scores at two commits is written and compared. Seconds come out.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lmcore.tables import SCORES

METRICS = [
    "accuracy",
    "entropy",
    "length_baseline",
    "logprob",
    "probability",
    "surprisal_per_byte",
    "tie",
]
GROUPS = 67


def bench_diff(
    n_items: int, n_models: int, n_suites: int, section: dict[str, Any], folder: Path
) -> dict[str, float]:
    """What `lmcore diff` of two commits costs in a process of its own.

    `section` is the section compare_models of params.yaml.
    """
    write_repository(n_items, n_models, n_suites, section, folder)
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    run_diff(folder)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "items": float(n_items),
        "models": float(n_models),
        "suites": float(n_suites),
        "seconds": time.perf_counter() - started,
        "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
    }


def run_diff(folder: Path) -> str:
    """What `lmcore diff HEAD~1 HEAD` prints in this folder."""
    return _run(folder, "lmcore", "diff", "HEAD~1", "HEAD")


def write_repository(
    n_items: int, n_models: int, n_suites: int, section: dict[str, Any], folder: Path
) -> None:
    """Write a git and DVC repository with scores of `n_items` for every model and suite.

    It has two commits, with different random values. `section` is the section compare_models of
    params.yaml.
    """
    folder.mkdir(parents=True, exist_ok=True)
    models = [f"m{number}" for number in range(n_models)]
    suites = [f"s{number}" for number in range(n_suites)]
    params = {
        "models": models,
        "suites": {suite: {"kind": "pairs"} for suite in suites},
        "compare_models": section,
    }
    (folder / "params.yaml").write_text(json.dumps(params))  # JSON is YAML, too
    (folder / "dvc.yaml").write_text("stages: {}\n")
    _run(folder, "git", "init", "--quiet", "--initial-branch=main")
    _run(folder, "dvc", "init", "--quiet")
    for seed in (0, 1):
        scores = folder / "scores.parquet"
        pq.write_table(_scores(n_items, seed), scores)
        for model in models:
            model_scores = folder / "data" / "scores" / model
            model_scores.mkdir(parents=True, exist_ok=True)
            for suite in suites:
                shutil.copy(scores, model_scores / f"{suite}.parquet")
        scores.unlink()
        _run(folder, "dvc", "add", "--quiet", "data/scores")
        _run(folder, "git", "add", "-A")
        _run(folder, "git", "commit", "--quiet", "-m", "scores")


def _scores(n_items: int, seed: int) -> pa.Table:
    """Random SCORES of `n_items` items in GROUPS groups, by METRICS."""
    item = np.arange(n_items).repeat(len(METRICS))
    per_group = -(-n_items // GROUPS)  # rounded up
    groups = pa.array([f"paradigm_{number:02d}" for number in range(GROUPS)])
    values = (np.random.default_rng(seed).random(len(item)) < 0.7).astype(float)
    columns = {
        "item": pa.array([f"blimp/{number:06d}" for number in range(n_items)]).take(item),
        "draw": pa.array(np.zeros(len(item)), pa.int16()),
        "variant": pa.array([""]).take(item * 0),
        "group": groups.take(item // per_group),
        "metric": pa.array(METRICS).take(np.tile(np.arange(len(METRICS)), n_items)),
        "value": values,
        "weight": np.ones(len(item)),
        "content_hash": item.astype(np.uint64),
    }
    return pa.table({name: columns[name] for name in SCORES.names})


def _run(folder: Path, *command: str) -> str:
    """What a command prints in this folder.

    Its git has a user, and its programs are those of this Python's environment first.
    """
    user = {}
    for role in ("AUTHOR", "COMMITTER"):
        user[f"GIT_{role}_NAME"] = user[f"GIT_{role}_EMAIL"] = "bench@localhost"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, **user, "PATH": path},
    )
    return done.stdout
