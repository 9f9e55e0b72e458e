"""A project of one's own: a git and DVC repository with this pipeline and none of this history.

A folder's name goes in. The repository comes out, whole or not at all. It holds the code too, since
the pipeline runs what stands in it and fingerprints that.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML

import lmcore
from lmcore.commands.own_files import Own, model_entry, suite_entry
from lmcore.errors import InputError
from lmcore.figures.templates import FOLDER as TEMPLATES
from lmcore.figures.templates import write_templates
from lmcore.files import whole
from lmcore.history.experiments import apply
from lmcore.params import yaml_text
from lmcore.text_files import read_text

FOLDERS = ("lmcore", "stages", "experiments", "data/suites", "data/prompts")
FILES = (
    ".dvcignore",
    ".gitignore",
    "LICENSE",
    "Makefile",
    "constraints.txt",
    "dvc.yaml",
    "params.yaml",
    "pyproject.toml",
)
# Targets of the Makefile that need what is not copied
LEFT_OUT = ("test", "check", "bench", "agreement", "hosts", "torture", "setup-dev")
README = """# {name}

Made by `lmcore init`. Edit params.yaml: it names the models, the suites, the corpus and every
number. Then

```bash
make repro                  # sets up .venv first; or, where lmcore and DVC are installed:
lmcore unlock && dvc repro
```

runs what has changed. Where a model or the corpus is a folder (`provider: folder`), the variable
`LMCORE_DATA` names the folder in which that folder lies.

The report is report/index.html, and the metrics are in metrics/. Commit `dvc.lock`, `code.json` and
`metrics/` after a run. `lmcore --help` lists what else there is.
"""


class Project(NamedTuple):
    """What was made: what to set LMCORE_DATA to, if to anything, and remarks for the user."""

    data: str
    remarks: list[str]


def init_project(out: Path, model: str | None, suite: Path | None) -> Project:
    """Make the project in the folder `out`.

    `model` is a model folder or a hub id that is imported, and `suite` a data file that becomes a
    suite. Raises InputError for an `out` that holds anything, for an installation without the
    pipeline, and for a model or suite that cannot be used.
    """
    out = out.absolute()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: is not empty; name a folder that does not exist")
    if out in (Path.cwd(), *Path.cwd().parents):
        raise InputError(f"{out}: is the current folder, or above it; name one that does not exist")
    source = checkout()
    params = yaml_text.load(read_text(source / "params.yaml", "YAML"), source / "params.yaml")
    own = [model_entry(model, params)] if model is not None else []
    own += [suite_entry(suite, params)] if suite is not None else []
    with whole(out) as folder:
        _copy(source, folder)
        _write_makefile(folder)
        _add_own(folder, own)
        (folder / "README.md").write_text(README.format(name=out.name), "utf-8")
        remarks = [*(part.remark for part in own if part.remark), *_make_repository(folder)]
    return Project(next((part.data for part in own if part.data), ""), remarks)


def checkout() -> Path:
    """The folder of the checkout that this lmcore is part of.

    Raises InputError where lmcore was installed without the pipeline: a wheel has no stages.
    """
    source = Path(lmcore.__file__).resolve().parents[1]
    missing = [name for name in (*FOLDERS, *FILES) if not (source / name).exists()]
    if missing:
        raise InputError(
            f"{source}: this lmcore has no {missing[0]}; a project needs the pipeline, which no "
            "wheel holds: clone lmcore's repository, `pip install --editable .` in it, and run "
            "this again"
        )
    return source


def _copy(source: Path, folder: Path) -> None:
    """Copy what a project needs."""
    folder.mkdir()
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")
    for name in FOLDERS:
        shutil.copytree(source / name, folder / name, ignore=ignored)
    for name in FILES:
        shutil.copyfile(source / name, folder / name)


def _write_makefile(folder: Path) -> None:
    """Take the targets out of the Makefile whose files a project does not have."""
    path = folder / "Makefile"
    kept = []
    for paragraph in path.read_text("utf-8").split("\n\n"):
        is_of_tests = paragraph.startswith("$(VENV)/installed-dev:")
        if not is_of_tests and not re.match(rf"({'|'.join(LEFT_OUT)}):", paragraph):
            kept.append(paragraph)
    text = "\n\n".join(kept).rstrip("\n") + "\n"
    text = re.sub(rf"(?m)^(\.PHONY:.*?)( (?:{'|'.join(LEFT_OUT)})\b)+", r"\1", text)
    text = text.replace(" and `make test` the tests. Each sets up", ", and sets up")
    path.write_text(text.replace(" setup-dev", ""), "utf-8")


def _add_own(folder: Path, own: list[Own]) -> None:
    """Write the user's model and suite into params.yaml, and copy the suite's file."""
    for part in own:
        if part.file is not None:
            shutil.copyfile(part.file, folder / part.copy)
        changes: Any = part.params
        with tempfile.TemporaryDirectory(prefix="lmcore-init-") as temporary:
            experiment = Path(temporary) / "own.yaml"
            YAML().dump(changes, experiment)
            apply(experiment, folder / "params.yaml")


def _make_repository(folder: Path) -> list[str]:
    """Make a git and DVC repository of the folder with one commit; a remark where git has no user.

    Raises CalledProcessError, whose message is what git or DVC said.
    """
    for command in (
        ["git", "init", "--quiet", "--initial-branch=main"],
        [sys.executable, "-m", "dvc", "init", "--quiet"],
        [sys.executable, "-m", "dvc", "config", "core.analytics", "false"],
    ):
        subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    write_templates(folder / TEMPLATES)  # `dvc init` wants to make .dvc itself
    subprocess.run(["git", "add", "--all"], cwd=folder, capture_output=True, text=True, check=True)
    command = ["git", "commit", "--quiet", "--message", "Begin with the pipeline of lmcore"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        return ["git knows no user, so nothing is committed yet; `git config user.email` sets one"]
    return []
