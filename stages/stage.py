"""What every stage script shares: params.yaml checked, one function called with one section of it, errors in one line."""

import ctypes
import errno
import inspect
import json
import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer
import yaml

from lmcore.errors import InputError, error_line


class Numbers(yaml.SafeLoader):
    """YAML as DVC reads and writes it, where 1e-05 is a number (YAML 1.2); to PyYAML alone it is a text."""


Numbers.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789"))
NAME = re.compile(r"[a-z0-9_]+")
NAMED = ("models", "suites", "import_model", "trained", "keep_checkpoint", "train_teacher", "distill_model", "finetune_model")


def params() -> dict[str, Any]:
    """All of params.yaml.

    Raises InputError for a model or suite whose name would break DVC: a dash makes two matrix stages one, a dot breaks `params:`.
    """
    values = yaml.load(Path("params.yaml").read_text("utf-8"), Numbers)
    for section in NAMED:
        for name in values.get(section) or []:
            if not NAME.fullmatch(str(name)):
                raise InputError(f"params.yaml: {section}: the name '{name}' must consist of a-z, 0-9 and _ alone")
    return values


def section(name: str) -> Any:
    """One section of params.yaml; `a.b` is b in a. Raises InputError where there is none."""
    value: Any = params()
    for key in name.split("."):
        if not isinstance(value, dict) or key not in value:
            raise InputError(f"params.yaml: there is no '{name}'; sections are {', '.join(params())}")
        value = value[key]
    return value


def recipe(shared: str, own: str, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """The section `shared`, with what the section `own` says otherwise or besides; `without` names keys of `own` that are no part of it."""
    return {**section(shared), **{key: value for key, value in (section(own) or {}).items() if key not in without}}


def call(function: Callable, name: str, values: dict | None = None, /, *, without: tuple[str, ...] = (), **paths: Any) -> Any:
    """`function` with the keys of the params.yaml section `name` (or `values` that come from it) and with `paths` as keyword arguments;
    `without` names keys the caller uses itself.

    The signature is the schema: raises InputError for a key it does not take, and for one without default that is missing.
    """
    values = {key: value for key, value in (values or section(name) or {}).items() if key not in without}
    expected = {key: p for key, p in inspect.signature(function).parameters.items() if key not in paths}
    for key in values:
        if key not in expected:
            raise InputError(f"params.yaml: {name}: unknown key '{key}'; expected {', '.join(expected)}")
    for key, parameter in expected.items():
        if parameter.default is parameter.empty and key not in values:
            raise InputError(f"params.yaml: {name}: the key '{key}' is missing")
    return function(**values, **paths)


def work_folder() -> Path:
    """The untracked folder for what must outlive a killed stage (DVC deletes outputs before it runs): downloads, shards, checkpoints."""
    return Path(os.environ.get("LMCORE_WORK") or Path(os.environ.get("DVC_ROOT", ".")) / "work")


def fingerprint(stage: str) -> str:
    """The hash of the code that `stage` runs, from code.json: part of every key in the work folder."""
    return json.loads(Path("code.json").read_text("utf-8"))[stage]


def run(main: Callable) -> None:
    """Run a stage's `main` as a command: bad input, a full disk and whatever else is to be expected end in one line on stderr and exit
    status 1; a mistake of ours shows where it was made.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG: a killed dvc must not leave a second writer behind
    try:
        typer.run(main)
    except Exception as error:
        if (line := error_line(error)) is None:
            raise
        of_writing = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.ENOENT)
        sys.exit(f"error: {line}{'; nothing was written' * of_writing}")
