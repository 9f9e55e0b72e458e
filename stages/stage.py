"""What every stage script shares.

It checks params.yaml, calls one function with one section of it, and shows errors in one line.
"""

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
from lmcore.files import digest, leftovers, remove
from lmcore.params import yaml_text
from lmcore.params.ranges import Entries, SomeEntries, SomeNames
from lmcore.params.schema import check, check_mapping, kinds_of
from lmcore.text_files import read_text

# The numbers of errors that writing a file may raise
OF_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS, errno.ENOENT)
# The sections that hold names. Every stage checks them as a whole, since DVC makes a stage of each
# name.
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
    "import_logs": Entries,
    "analyse_acquisition": Entries,
    "export_babylm": Entries,
}


def params() -> dict[str, Any]:
    """All of params.yaml.

    Raises InputError for a file that is not a YAML mapping, and for a name in it that would break
    DVC.
    """
    return _read(read_text(Path("params.yaml"), "YAML"))


@lru_cache(maxsize=1)
def _read(text: str) -> dict[str, Any]:
    """The values in the text of params.yaml; its names are checked. Raises as `params`."""
    values = yaml_text.load_mapping(text, "params.yaml", may_be_empty=True)
    for name, kind in NAMED.items():
        if name in values:
            check(values[name], kind, f"params.yaml: {name}")
    return values


def section(name: str, kind: Any) -> Any:
    """One section of params.yaml, which is of this kind (see lmcore.params.ranges).

    The name `a.b` stands for b in a. Raises InputError where there is no such section, or one of
    another kind.
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
    """The section `shared`, with the keys that the section `own` changes or adds.

    `shared` and `own` are names of sections. Both together are checked against `schemas` (see
    lmcore.params.schema). `without` names keys of `own` that are not part of the recipe.
    """
    defaults, changes = section(shared, dict), section(own, dict | None) or {}
    values = {**defaults, **changes}
    where = f"params.yaml: {shared}, {own}"
    origins = {key: f"params.yaml: {own if key in changes else shared}" for key in values}
    check_mapping(values, where, *schemas, origins=origins)
    kinds: dict[str, Any] = {}
    for schema in schemas:
        kinds |= {key: kind for key, (kind, _) in kinds_of(schema).items()}
    # A default that `own` replaces is checked all the same
    for key in defaults.keys() & changes.keys() & kinds.keys():
        check(defaults[key], kinds[key], f"params.yaml: {shared}.{key}")
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
    """Call `function` with the keys of the section `name` of params.yaml and with `given`.

    `values`, if they are given, stand in the place of the section, from which they come. `without`
    names keys that the caller uses itself.

    The keyword-only parameters of the function are the schema of the section. Raises InputError for
    a key that the function does not take, for a missing key without a default, and for a value that
    is not of the kind that its annotation says.
    """
    values = section(name, dict) if values is None else values
    values = {key: value for key, value in values.items() if key not in without}
    check_mapping(values, f"params.yaml: {name}", function, without=given)
    return function(**values, **given)


def work_folder() -> Path:
    """The untracked folder for what must outlive a killed stage: downloads, shards, checkpoints.

    DVC deletes the outputs of a stage before it runs the stage.
    """
    return Path(os.environ.get("LMCORE_WORK") or Path(os.environ.get("DVC_ROOT", ".")) / "work")


def fingerprint(stage: str) -> str:
    """The hash of the code that `stage` runs, from code.json.

    It is part of every key in the work folder.
    """
    return json.loads(Path("code.json").read_text("utf-8"))[stage]


def work_key(stage: str, *inputs: object) -> str:
    """What names the work of `stage` on these inputs (JSON values) in the work folder.

    The code and the libraries have a part in it.
    """
    return digest(*inputs, fingerprint(stage), fingerprint("versions"))


def clear_leftovers(*folders: str) -> None:
    """Move what no stage of dvc.yaml makes or reads any more from `folders` to the work folder.

    A stage that reads a folder with the outputs of other stages calls this before it reads. DVC
    hashes everything in such a folder. What is left of a model or suite that was dropped from
    params.yaml would make the stage run on data, and record data, that no fresh clone has.
    """
    named = _paths_in_dvc()
    if named is None:
        return
    for folder in map(Path, folders):
        named_inside = {path for path in named if folder in path.parents}
        for leftover in leftovers(folder, named_inside):
            kept = work_folder() / "leftovers" / leftover
            remove(kept)
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(leftover, kept)
            print(f"{leftover}: params.yaml does not name it (any more); moved to {kept}")


def _paths_in_dvc() -> set[Path] | None:
    """The outputs and dependencies of all stages, as paths relative to the repository.

    None outside a DVC repository: there the stage is run by hand, and nobody hashes the folders.
    """
    from dvc.exceptions import NotDvcRepoError
    from dvc.repo import Repo

    try:
        opened = Repo()
    except NotDvcRepoError:
        return None
    paths = set()
    with opened as repo:
        for stage in repo.index.stages:
            for entry in (*stage.outs, *stage.deps):
                path = Path(entry.fs_path)
                if path.is_relative_to(repo.root_dir):
                    paths.add(path.relative_to(repo.root_dir))
    return paths


def run(main: Callable) -> None:
    """Run a stage's `main` as a command.

    Bad input, a full disk and whatever else is to be expected end in one line on the standard error
    and exit status 1. A mistake of ours shows where it was made.
    """
    try:
        typer.run(main)
    except Exception as error:
        if (line := error_line(error)) is None:
            raise
        is_of_writing = isinstance(error, OSError) and error.errno in OF_WRITING
        consequence = "; nothing was written" if is_of_writing else ""
        sys.exit(f"error: {line}{consequence}")
