"""All models scored at once, as `dvc repro` would score them one after another.

A repository goes in. What the stages extract_tokens@MODEL read is brought up to date, the commands
of those that are out of date run side by side, and `dvc commit` writes dvc.lock. A cluster is busy
with the shards of several models so; on one machine a single model keeps all cores busy already.
"""

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from lmcore.errors import InputError
from lmcore.machine.processes import end_with_parent
from lmcore.shown import for_terminal

STAGE = "extract_tokens"


def extract_all(root: Path, models: list[str], at_once: int) -> list[str]:
    """Score `models` (no names: all) with `at_once` commands side by side.

    Returns the names of the stages that ran. Raises InputError for a model that no stage scores,
    where what the stages read cannot be made, and where one of them fails; the others then end
    first, and a later run does not score their shards again.
    """
    stages = _stages(root)
    if unknown := [name for name in models if f"{STAGE}@{name}" not in stages]:
        known = ", ".join(name.partition("@")[2] for name in stages)
        raise InputError(f"params.yaml: models: there is no '{unknown[0]}'; there are {known}")
    chosen = [name for name in stages if not models or name.partition("@")[2] in models]
    before = _before(root, chosen)
    _dvc(root, "repro", *before)
    changed = [name for name in chosen if name in _out_of_date(root, chosen)]
    with ThreadPoolExecutor(at_once) as pool:
        failed = [name for name, is_done in pool.map(partial(_score, root), changed) if not is_done]
    done = [name for name in changed if name not in failed]
    if done:
        _dvc(root, "commit", "--force", *done)
    if failed:
        raise InputError(f"{', '.join(failed)} failed; mend what the lines above say and run again")
    return done


def _stages(root: Path) -> list[str]:
    """The names of the stages that score a model."""
    names = _dvc(root, "stage", "list", "--name-only", show=False).split()
    return [name for name in names if name.partition("@")[0] == STAGE]


def _before(root: Path, chosen: list[str]) -> list[str]:
    """The names of all stages that must be up to date before the `chosen` ones run."""
    found: dict[str, None] = {}
    for name in chosen:
        graph = _dvc(root, "dag", "--dot", name, show=False)
        found |= dict.fromkeys(re.findall(r'"([^"]+)"', graph))
    return [name for name in found if name not in chosen]


def _out_of_date(root: Path, stages: list[str]) -> set[str]:
    """The names of those stages whose outputs are not those of their inputs."""
    return set(json.loads(_dvc(root, "status", "--json", *stages, show=False)))


def _score(root: Path, stage: str) -> tuple[str, bool]:
    """Run the command of one stage; its name, and whether it went well."""
    model = stage.partition("@")[2]
    print(for_terminal(f"{stage}: begins"), file=sys.stderr)
    done = subprocess.run(
        [sys.executable, "-m", f"stages.{STAGE}", model],
        cwd=root,
        env=os.environ | {"DVC_ROOT": str(root)},
        preexec_fn=partial(end_with_parent, os.getpid()),
    )
    return stage, done.returncode == 0


def _dvc(root: Path, *arguments: str, show: bool = True) -> str:
    """Run DVC in the repository; what it prints, where that is not shown.

    Raises InputError where it fails.
    """
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=root,
        stdout=None if show else subprocess.PIPE,
        text=True,
        preexec_fn=partial(end_with_parent, os.getpid()),
    )
    if done.returncode:
        raise InputError(f"`dvc {arguments[0]}` failed; the lines above say why")
    return done.stdout or ""
