"""Entries of params.yaml for a model or a data file of one's own.

A model folder, a hub id or a data file goes in. What params.yaml must say for it comes out.
"""

import os
import re
from pathlib import Path
from typing import Any, NamedTuple

from lmcore.errors import InputError
from lmcore.models.folder import read_config
from lmcore.suites.build import build_suite
from lmcore.suites.records import SUFFIXES, read_records

# By which columns the kind of a data file is known; the first that fits
KINDS: dict[str, dict[str, Any]] = {
    "good bad": {"kind": "pairs"},
    "context options gold": {"kind": "choices"},
    "context target": {"kind": "completion"},
    "prompt correct incorrect": {"task": "cloze"},
    "text": {"kind": "text"},
}
# Of the files of a model
SUFFIXES_OF_MODELS = (".json", ".safetensors", ".gguf", ".model", ".txt")


class Own(NamedTuple):
    """What to merge into params.yaml, and what else the user's file or folder needs.

    `file` is copied to `copy` in the project. `data` is what LMCORE_DATA must be.
    """

    params: dict[str, Any]
    file: Path | None = None
    copy: str = ""
    data: str = ""
    remark: str = ""


def model_entry(model: str, params: dict[str, Any]) -> Own:
    """The entry of import_model for a model folder or a hub id, which `models` names then.

    Raises InputError for what is neither, and for a folder that holds no model.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        read_config(folder.resolve())
        entry, data, remark = _folder_entry(folder.resolve())
    elif re.fullmatch(r"[\w.-]+/[\w.-]+", model) and not model.startswith("."):
        entry, data, remark = _hub_entry(model)
    else:
        raise InputError(f"{model}: expected a model folder, or a hub id like ORG/NAME")
    name = _name(folder.name if folder.name else model, params["models"])
    changes = {"import_model": {name: entry}, "models": [*params["models"], name]}
    return Own(changes, data=data, remark=remark)


def suite_entry(file: Path, params: dict[str, Any]) -> Own:
    """The entry of suites for a data file, whose columns say of which kind it is.

    Raises InputError for a file that makes no suite, naming the line.
    """
    columns = set(read_records(file)[0])
    fitting = [entry for needed, entry in KINDS.items() if set(needed.split()) <= columns]
    if not fitting:
        expected = "; or ".join(needed.replace(" ", ", ") for needed in KINDS)
        raise InputError(f"{file}: columns are {', '.join(sorted(columns))}; expected {expected}")
    suffix = next(suffix for suffix in SUFFIXES if file.name.endswith(suffix))
    name = _name(file.name.removesuffix(suffix), params["suites"])
    build_suite(name, {**fitting[0], "path": str(file)}, file.parent, file.parent)
    copy = f"data/suites/{name}{suffix}"
    return Own({"suites": {name: {**fitting[0], "path": copy}}}, file=file, copy=copy)


def _name(text: str, taken: Any) -> str:
    """The text as a name of params.yaml. Raises InputError for one that is taken already."""
    name = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_") or "own"
    if name in taken:
        raise InputError(f"{text}: params.yaml has '{name}' already; call yours otherwise")
    return name


def _folder_entry(folder: Path) -> tuple[dict[str, Any], str, str]:
    """The entry for a folder, which has no sha256; what LMCORE_DATA must be; and a remark."""
    root = Path(os.environ.get("LMCORE_DATA") or folder.parent).resolve()
    if not folder.is_relative_to(root) or folder == root:
        root = folder.parent
    suffixes = {path.suffix for path in folder.iterdir() if path.is_file()}
    members = [f"*{suffix}" for suffix in SUFFIXES_OF_MODELS if suffix in suffixes]
    location = folder.relative_to(root).as_posix()
    return {"provider": "folder", "location": location, "members": members}, str(root), ""


def _hub_entry(repo: str) -> tuple[dict[str, Any], str, str]:
    """The entry for a repository of the hub, pinned to what its main branch is now.

    Where the hub does not answer the entry is without a revision, and the remark says so.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    entry = {"provider": "hub", "location": repo, "members": ["*.json", "*.safetensors"]}
    try:
        commit = HfApi(endpoint=os.environ.get("HF_ENDPOINT")).model_info(repo).sha
    except (HfHubHTTPError, OfflineModeIsEnabled, OSError) as error:
        reason = " ".join(str(error).split())
        return entry, "", f"{repo} is not pinned, since the hub does not answer ({reason})"
    return {**entry, "revision": commit}, "", ""
