"""Whether the pipeline gives the same bytes again.

A repository goes in; every output of its dvc.lock with what differs comes out.

The commit that HEAD names is cloned into a folder of its own and rebuilt there by force, with no
run cache and an empty work folder. Only downloads are shared, since each is checked against its
pinned hash. What stages outside of the selection made comes from the DVC cache.
"""

import io
import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lmcore.errors import InputError
from lmcore.history.changes import changed_params
from lmcore.history.revisions import Revision
from lmcore.machine.processes import end_with_parent
from lmcore.shown import for_terminal

MAX_NAMED = 5  # files, and values of a JSON file, that are named
SAME_VALUES = "the same values, written otherwise"


class Output(NamedTuple):
    """One output of a stage; `difference` is empty where its bytes are those of dvc.lock."""

    stage: str
    path: str
    difference: str


def verify(root: Path, folder: Path, stages: list[str]) -> list[Output]:
    """Rebuild `stages` of `root`'s HEAD in `folder`, which is made, and compare the outputs.

    No names stand for all stages; the name of a matrix stands for all stages of the matrix.

    Raises InputError for an unknown stage, for a dependency that is not in the cache, and where a
    stage fails.
    """
    head = Revision(root, "HEAD")
    chosen = selected(head.stages, stages)
    _clone(root, folder)
    # what is in git is there already
    needed = [path for path in inputs(head.stages, chosen) if not (folder / path).exists()]
    if needed:
        _run(folder, "dvc", "pull", "--quiet", *needed)
    targets = ["--single-item", *chosen] if stages else []
    _run(folder, "dvc", "repro", "--force", "--no-run-cache", "--no-commit", *targets)
    rebuilt = Revision(folder, None)
    hashes: dict[str, str | None] = {}
    for stage in rebuilt.stages.values():
        hashes |= {out["path"]: out.get("md5") for out in stage.get("outs", [])}
    outputs = []
    for name in chosen:
        for out in head.stages[name].get("outs", []):
            path = out["path"]
            is_same = hashes.get(path) == out["md5"]
            differs = "" if is_same else difference(head, rebuilt, path)
            outputs.append(Output(name, path, differs))
    return outputs


def uncommitted(root: Path) -> list[str]:
    """Tracked files whose changes HEAD does not have, and which therefore are not verified."""
    status = _run(root, "git", "status", "--porcelain", "--untracked-files=no", show=False)
    return [line[3:] for line in status.splitlines()]


def as_text(outputs: list[Output]) -> str:
    """One line for each output, a second one for what differs, and how many are the same."""
    width = max((len(output.stage) for output in outputs), default=0)
    lines = []
    for output in outputs:
        verdict = "DIFFERS  " if output.difference else "identical"
        lines.append(f"{verdict}  {output.stage:{width}}  {output.path}")
        if output.difference:
            lines.append(f"           {output.difference}")
    lines = [for_terminal(line) for line in lines]
    n_same = sum(not output.difference for output in outputs)
    lines.append(f"{n_same} of {len(outputs)} outputs are byte-identical to dvc.lock")
    return "\n".join(lines) + "\n"


def selected(stages: dict[str, dict], names: list[str]) -> list[str]:
    """The stages of a dvc.lock with these names, or all, each behind those whose outputs it reads.

    Raises InputError for a name that no stage has.
    """
    for name in names:
        if not any(_is_called(stage, name) for stage in stages):
            known = dict.fromkeys(stage.partition("@")[0] for stage in stages)
            raise InputError(f"dvc.lock has no stage '{name}'; it has {', '.join(known)}")
    left = list(stages)
    if names:
        left = [stage for stage in stages if stage in names or stage.partition("@")[0] in names]
    order: list[str] = []
    while left:
        ready = [stage for stage in left if not _waits(stage, left, stages)]
        order += ready or left  # the dvc.lock of another dvc.yaml may hold a circle
        left = [stage for stage in left if stage not in order]
    return order


def _is_called(stage: str, name: str) -> bool:
    """Whether a stage, or its matrix, has this name."""
    return name in (stage, stage.partition("@")[0])


def _waits(stage: str, left: list[str], stages: dict[str, dict]) -> bool:
    """Whether a stage reads the outputs of another one that is left."""
    return any(_reads(stages[stage], stages[other]) for other in left if other != stage)


def inputs(stages: dict[str, dict], chosen: list[str]) -> list[str]:
    """The outputs of other stages that the chosen ones read."""
    paths = []
    for name, stage in stages.items():
        if name not in chosen and any(_reads(stages[reader], stage) for reader in chosen):
            paths += [out["path"] for out in stage.get("outs", [])]
    return paths


def _reads(stage: dict, other: dict) -> bool:
    """Whether a dependency of `stage` is an output of `other`, lies in one, or holds one."""
    outs = [Path(out["path"]) for out in other.get("outs") or []]
    for entry in stage.get("deps") or []:
        dep = Path(entry["path"])
        if any(dep == out or dep in out.parents or out in dep.parents for out in outs):
            return True
    return False


def difference(old: Revision, new: Revision, path: str) -> str:
    """In which files of an output two revisions differ, and by how much."""
    try:
        before = {name: old.md5(name) for name in old.files(path)}
    except InputError:
        return "differs; what it was is not in the cache, so by how much cannot be said"
    after = {name: new.md5(name) for name in new.files(path)}
    differences = []
    for name in sorted({*before} ^ {*after}):
        differences.append(f"{name}: {'missing' if name in before else 'not there before'}")
    for name in sorted({*before} & {*after}):
        if before[name] != after[name]:
            of_content = content_difference(name, old.read(name), new.read(name))
            differences.append(f"{name}: {of_content}")
    text = "; ".join(differences[:MAX_NAMED])
    n_more = len(differences) - MAX_NAMED
    return f"{text}; and {n_more} more files" if n_more > 0 else text


def content_difference(name: str, old: bytes, new: bytes) -> str:
    """How two contents of a file differ.

    Tables are compared by column, JSON by key, weights by tensor, other files by size.
    """
    if name.endswith(".parquet"):
        return table_difference(pq.read_table(io.BytesIO(old)), pq.read_table(io.BytesIO(new)))
    if name.endswith(".json"):
        return _json_difference(old, new)
    if name.endswith(".safetensors"):
        return _weights_difference(old, new)
    if len(old) != len(new):
        return f"{len(old):,} bytes → {len(new):,} bytes"
    return f"other content of {len(old):,} bytes"


def table_difference(old: pa.Table, new: pa.Table) -> str:
    """How two tables differ.

    Either their columns or their numbers of rows differ, or it is said which columns differ in how
    many rows, numbers by how much at most.
    """
    if old.schema != new.schema:
        before, after = (", ".join(map(str, schema)) for schema in (old.schema, new.schema))
        return f"other columns: {before} → {after}"
    if len(old) != len(new):
        return f"{len(old):,} rows → {len(new):,} rows"
    differences = []
    for name in old.column_names:
        if difference := _column_difference(old[name], new[name]):
            differences.append(f"{name} {difference}")
    if not differences:
        return SAME_VALUES
    return f"of {len(old):,} rows {', '.join(differences)}"


def _column_difference(old: pa.ChunkedArray, new: pa.ChunkedArray) -> str:
    """In how many rows two columns differ, numbers by how much at most; NaN equals NaN.

    Empty where no row differs.
    """
    if old.equals(new):
        return ""
    if pa.types.is_floating(old.type) or pa.types.is_integer(old.type):
        a, b = old.to_numpy(), new.to_numpy()
        differs = (a != b) & ~(np.isnan(a) & np.isnan(b))
        if not differs.any():
            return ""
        most = np.abs(a[differs].astype(np.float64) - b[differs].astype(np.float64)).max()
        return f"differs in {differs.sum():,} rows by up to {most:.3g}"
    n = sum(a != b for a, b in zip(old.to_pylist(), new.to_pylist()))
    return f"differs in {n:,} rows" if n else ""


def _json_difference(old: bytes, new: bytes) -> str:
    changed = changed_params(json.loads(old), json.loads(new))
    if not changed:
        return SAME_VALUES
    named = [f"{key} {a} → {b}" for key, (a, b) in list(changed.items())[:MAX_NAMED]]
    return f"{len(changed)} values differ: {', '.join(named)}"


def _weights_difference(old: bytes, new: bytes) -> str:
    from safetensors.torch import load

    a, b = load(old), load(new)
    shapes_a = {name: tensor.shape for name, tensor in a.items()}
    shapes_b = {name: tensor.shape for name, tensor in b.items()}
    if shapes_a != shapes_b:
        return "other tensors"
    greatest = []  # the greatest difference in each tensor
    for name in a:
        distances = (a[name].double() - b[name].double()).abs()
        greatest.append(float(distances.max()) if distances.numel() else 0.0)
    n_changed = sum(value != 0 for value in greatest)
    if not n_changed:
        return "the same tensors, written otherwise"
    return f"{n_changed} of {len(a)} tensors differ, by up to {max(greatest):.3g}"


def _clone(root: Path, folder: Path) -> None:
    """Clone HEAD of `root` into `folder`.

    The clone has the cache of `root` as its remote, and an empty cache of its own.
    """
    _run(root, "git", "clone", "--quiet", "--no-local", ".", str(folder))
    cache = _run(root, "dvc", "cache", "dir", show=False).strip()
    (folder / ".dvc" / "config.local").write_text(
        f"[core]\n    remote = rebuilt\n['remote \"rebuilt\"']\n    url = {cache}\n"
    )
    downloads = Path(os.environ.get("LMCORE_WORK") or root / "work") / "downloads"
    if downloads.is_dir():
        (folder / "work").mkdir()
        (folder / "work" / "downloads").symlink_to(downloads)


def _run(folder: Path, *command: str, show: bool = True) -> str:
    """Run a command in a folder.

    With `show`, its output goes to stderr (2) as it comes, otherwise it is returned. The command
    ends when this process ends, however it ends. Raises InputError where the command fails.
    """
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("DVC_") and name != "LMCORE_WORK"
    }
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', '')}"
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdout=2 if show else subprocess.PIPE,
        text=True,
        preexec_fn=partial(end_with_parent, os.getpid()),
    )
    if done.returncode:
        raise InputError(f"`{' '.join(command[:3])}` failed in {folder}")
    return done.stdout or ""
