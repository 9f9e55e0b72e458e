"""What every stage script shares: params.yaml checked, one function called with one section of it, errors in one line."""

import errno
import json
import os
import shutil
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import typer

from lmcore.errors import InputError, error_line
from lmcore.files import leftovers, remove
from lmcore.params import yaml_text
from lmcore.params.ranges import Entries, SomeEntries, SomeNames
from lmcore.params.schema import check, check_mapping, kinds_of, shown
from lmcore.text_files import read_text

OF_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS, errno.ENOENT)
# whose keys are names: checked whole in every stage, since DVC makes stages of them
NAMED: dict[str, Any] = {
    "models": SomeNames,
    "suites": SomeEntries,
    "fetch_sources": SomeEntries,
    "fetch_judges": Entries,
    "from_config": Entries,
    "import_model": Entries,
    "trained": Entries,
    "keep_checkpoint": Entries,
    "train_teacher": Entries,
    "distill_model": Entries,
    "finetune_model": Entries,
}


def params() -> dict[str, Any]:
    """All of params.yaml.

    Raises InputError for a file that is no YAML mapping, and for a name in it that would break DVC.
    """
    return _read(read_text(Path("params.yaml"), "YAML"))


@lru_cache(maxsize=1)
def _read(text: str) -> dict[str, Any]:
    values = yaml_text.load(text, "params.yaml")
    values = {} if values is None else values
    if not isinstance(values, dict):
        raise InputError(f"params.yaml: expected a mapping of sections, not {shown(values)}")
    for name, kind in NAMED.items():
        if name in values:
            check(values[name], kind, f"params.yaml: {name}")
    return values


def section(name: str, kind: Any) -> Any:
    """One section of params.yaml, which is of this kind (see lmcore.params.ranges); `a.b` is b in a.

    Raises InputError where there is none, or one of another kind.
    """
    value: Any = params()
    for key in name.split("."):
        if not isinstance(value, dict) or key not in value:
            known = ", ".join(map(str, params()))
            raise InputError(f"params.yaml: there is no '{name}'; sections are {known}")
        value = value[key]
    check(value, kind, f"params.yaml: {name}")
    return value


def recipe(shared: str, own: str, *schemas: Any, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """The section `shared`, with what the section `own` says otherwise or besides.

    Both together are checked as `schemas` say (see lmcore.params.schema); `without` names keys of `own` that are no part of the recipe.
    """
    given, changes = section(shared, dict), section(own, dict | None) or {}
    values = {**given, **changes}
    where = f"params.yaml: {shared}, {own}"
    origins = {key: f"params.yaml: {own if key in changes else shared}" for key in values}
    check_mapping(values, where, *schemas, origins=origins)
    kinds = {key: kind for schema in schemas for key, (kind, _) in kinds_of(schema).items()}
    for key in given.keys() & changes.keys() & kinds.keys():  # what no entry uses, all the same
        check(given[key], kinds[key], f"params.yaml: {shared}.{key}")
    return {key: value for key, value in values.items() if key not in without}


def call(
    function: Callable,
    name: str,
    values: dict | None = None,
    /,
    *,
    without: tuple[str, ...] = (),
    **given: Any,
) -> Any:
    """`function` with the keys of the params.yaml section `name` (or `values` that come from it) and with `given` as arguments.

    `without` names keys the caller uses itself. The signature is the schema, of its arguments that are keywords alone: raises InputError
    for a key it does not take, one without default that is missing, and a value that is not as its annotation says.
    """
    values = section(name, dict) if values is None else values
    values = {key: value for key, value in values.items() if key not in without}
    check_mapping(values, f"params.yaml: {name}", function, without=given)
    return function(**values, **given)


def work_folder() -> Path:
    """The untracked folder for what must outlive a killed stage (DVC deletes outputs before it runs): downloads, shards, checkpoints."""
    return Path(os.environ.get("LMCORE_WORK") or Path(os.environ.get("DVC_ROOT", ".")) / "work")


def fingerprint(stage: str) -> str:
    """The hash of the code that `stage` runs, from code.json: part of every key in the work folder."""
    return json.loads(Path("code.json").read_text("utf-8"))[stage]


def clear_leftovers(*folders: str) -> None:
    """Move what no stage of dvc.yaml makes or reads (any more) out of `folders`, into the work folder.

    A stage that reads a folder of other stages' outputs calls this before it reads. DVC hashes all that lies there: what is left of a
    model or suite that params.yaml has dropped would make the stage run on, and record, what no fresh clone has.
    """
    from dvc.exceptions import NotDvcRepoError
    from dvc.repo import Repo

    try:
        opened = Repo()
    except NotDvcRepoError:  # run by hand elsewhere: nobody hashes these folders
        return
    with opened as repo:
        entries = [
            entry.fs_path for stage in repo.index.stages for entry in (*stage.outs, *stage.deps)
        ]
        named = {
            Path(entry).relative_to(repo.root_dir)
            for entry in entries
            if Path(entry).is_relative_to(repo.root_dir)
        }
    for folder in map(Path, folders):
        for leftover in leftovers(folder, {path for path in named if folder in path.parents}):
            kept = work_folder() / "leftovers" / leftover
            remove(kept)
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(leftover, kept)
            print(f"{leftover}: params.yaml does not name it (any more); moved to {kept}")


def run(main: Callable) -> None:
    """Run a stage's `main` as a command: bad input, a full disk and whatever else is to be expected end in one line on stderr and exit
    status 1; a mistake of ours shows where it was made.
    """
    try:
        typer.run(main)
    except Exception as error:
        if (line := error_line(error)) is None:
            raise
        of_writing = isinstance(error, OSError) and error.errno in OF_WRITING
        sys.exit(f"error: {line}{'; nothing was written' * of_writing}")
