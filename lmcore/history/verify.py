"""Whether the pipeline gives the same bytes again: a repository goes in, every output of its dvc.lock with what differs comes out.

The commit that HEAD names is cloned into a folder of its own and rebuilt there by force, with no run cache and an empty work folder; only
downloads are shared, since each is checked against its pinned hash. What stages outside of the selection made comes from the DVC cache.
"""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lmcore.errors import InputError
from lmcore.history.changes import changed_params
from lmcore.history.revisions import Revision
from lmcore.shown import for_terminal

MAX_NAMED = 5  # files, and values of a JSON file, that are named


class Output(NamedTuple):
    """One output of a stage; `difference` is empty where its bytes are those of dvc.lock."""

    stage: str
    path: str
    difference: str


def verify(root: Path, folder: Path, stages: list[str]) -> list[Output]:
    """Rebuild `stages` (none: all; a name takes all of its matrix) of `root`'s HEAD in `folder`, which is made, and compare the outputs.

    Raises InputError for an unknown stage, for a dependency that is not in the cache, and where a stage fails.
    """
    head = Revision(root, "HEAD")
    chosen = selected(head.stages, stages)
    _clone(root, folder)
    if needed := [
        path for path in inputs(head.stages, chosen) if not (folder / path).exists()
    ]:  # those in git are there
        _run(folder, "dvc", "pull", "--quiet", *needed)
    targets = ["--single-item", *chosen] if stages else []
    _run(folder, "dvc", "repro", "--force", "--no-run-cache", "--no-commit", *targets)
    rebuilt = Revision(folder, None)
    again = {
        out["path"]: out.get("md5")
        for stage in rebuilt.stages.values()
        for out in stage.get("outs", [])
    }
    return [
        Output(
            name,
            out["path"],
            "" if again.get(out["path"]) == out["md5"] else difference(head, rebuilt, out["path"]),
        )
        for name in chosen
        for out in head.stages[name].get("outs", [])
    ]


def uncommitted(root: Path) -> list[str]:
    """Tracked files whose changes HEAD does not have, and which therefore are not verified."""
    return [
        line[3:]
        for line in _run(
            root, "git", "status", "--porcelain", "--untracked-files=no", show=False
        ).splitlines()
    ]


def as_text(outputs: list[Output]) -> str:
    """One line an output, a second one for what differs, and how many are the same."""
    width, lines = max((len(output.stage) for output in outputs), default=0), []
    for output in outputs:
        lines.append(
            f"{'DIFFERS  ' if output.difference else 'identical'}  {output.stage:{width}}  {output.path}"
        )
        lines += [f"           {output.difference}"] if output.difference else []
    n_same = sum(not output.difference for output in outputs)
    return (
        "\n".join(
            [
                *map(for_terminal, lines),
                f"{n_same} of {len(outputs)} outputs are byte-identical to dvc.lock",
            ]
        )
        + "\n"
    )


def selected(stages: dict[str, dict], names: list[str]) -> list[str]:
    """The stages of a dvc.lock of these names, or all, each behind those whose outputs it reads."""
    for name in names:
        if not any(name in (stage, stage.partition("@")[0]) for stage in stages):
            raise InputError(
                f"dvc.lock has no stage '{name}'; it has {', '.join(dict.fromkeys(stage.partition('@')[0] for stage in stages))}"
            )
    left = [
        stage for stage in stages if not names or stage in names or stage.partition("@")[0] in names
    ]
    order: list[str] = []
    while left:
        ready = [
            stage
            for stage in left
            if not any(_reads(stages[stage], stages[other]) for other in left if other != stage)
        ]
        order += ready or left  # dvc.lock of another dvc.yaml may hold a circle
        left = [stage for stage in left if stage not in order]
    return order


def inputs(stages: dict[str, dict], chosen: list[str]) -> list[str]:
    """The outputs of other stages that the chosen ones read."""
    others = [
        stage
        for name, stage in stages.items()
        if name not in chosen and any(_reads(stages[reader], stage) for reader in chosen)
    ]
    return [out["path"] for stage in others for out in stage.get("outs", [])]


def _reads(stage: dict, other: dict) -> bool:
    """Whether a dependency of `stage` is an output of `other`, lies in one, or holds one."""
    deps, outs = (
        [Path(entry["path"]) for entry in one.get(key) or []]
        for one, key in ((stage, "deps"), (other, "outs"))
    )
    return any(
        dep == out or dep in out.parents or out in dep.parents for dep in deps for out in outs
    )


def difference(old: Revision, new: Revision, path: str) -> str:
    """In which files of an output two revisions differ, and by how much."""
    try:
        before = {name: old.md5(name) for name in old.files(path)}
    except InputError:
        return "differs; what it was is not in the cache, so by how much cannot be said"
    after = {name: new.md5(name) for name in new.files(path)}
    found = [
        f"{name}: {'missing' if name in before else 'not there before'}"
        for name in sorted({*before} ^ {*after})
    ]
    for name in sorted({*before} & {*after}):
        if before[name] != after[name]:
            found.append(f"{name}: {content_difference(name, old.read(name), new.read(name))}")
    return "; ".join(found[:MAX_NAMED]) + (
        f"; and {len(found) - MAX_NAMED} more files" if len(found) > MAX_NAMED else ""
    )


def content_difference(name: str, old: bytes, new: bytes) -> str:
    """How two contents of a file differ: tables by column, JSON by key, weights by tensor, others by size."""
    if name.endswith(".parquet"):
        return table_difference(*(pq.read_table(io.BytesIO(content)) for content in (old, new)))
    if name.endswith(".json"):
        changed = changed_params(json.loads(old), json.loads(new))
        named = [f"{key} {a} → {b}" for key, (a, b) in list(changed.items())[:MAX_NAMED]]
        return (
            f"{len(changed)} values differ: {', '.join(named)}"
            if changed
            else "the same values, written otherwise"
        )
    if name.endswith(".safetensors"):
        return _weights_difference(old, new)
    return (
        f"{len(old):,} bytes → {len(new):,} bytes"
        if len(old) != len(new)
        else f"other content of {len(old):,} bytes"
    )


def table_difference(old: pa.Table, new: pa.Table) -> str:
    """Which columns differ in how many rows, numbers by how much at most; or that the rows or columns are others."""
    if old.schema != new.schema:
        return (
            f"other columns: {', '.join(map(str, old.schema))} → {', '.join(map(str, new.schema))}"
        )
    if len(old) != len(new):
        return f"{len(old):,} rows → {len(new):,} rows"
    found = []
    for name in old.column_names:
        if old[name].equals(new[name]):
            continue
        if pa.types.is_floating(old[name].type) or pa.types.is_integer(old[name].type):
            a, b = (table[name].to_numpy().astype(np.float64) for table in (old, new))
            differs = (a != b) & ~(np.isnan(a) & np.isnan(b))
            found.append(
                f"{name} differs in {differs.sum():,} rows by up to {np.abs(a - b)[differs].max():.3g}"
            )
        else:
            n = sum(a != b for a, b in zip(old[name].to_pylist(), new[name].to_pylist()))
            found.append(f"{name} differs in {n:,} rows")
    return (
        f"of {len(old):,} rows " + ", ".join(found)
        if found
        else "the same values, written otherwise"
    )


def _weights_difference(old: bytes, new: bytes) -> str:
    from safetensors.torch import load

    a, b = load(old), load(new)
    if {name: value.shape for name, value in a.items()} != {
        name: value.shape for name, value in b.items()
    }:
        return "other tensors"
    greatest = {
        name: float((a[name].double() - b[name].double()).abs().max()) if a[name].numel() else 0.0
        for name in a
    }
    changed = [name for name, value in greatest.items() if value]
    if not changed:
        return "the same tensors, written otherwise"
    return f"{len(changed)} of {len(a)} tensors differ, by up to {max(greatest.values()):.3g}"


def _clone(root: Path, folder: Path) -> None:
    """HEAD of `root` in `folder`, with the cache of `root` as its remote and an empty one of its own."""
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
    """Run a command there; with `show` its output goes to stderr (2) as it comes, else it is returned. Raises InputError where it fails."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("DVC_") and name != "LMCORE_WORK"
    }
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', '')}"
    done = subprocess.run(
        command, cwd=folder, env=environment, stdout=2 if show else subprocess.PIPE, text=True
    )
    if done.returncode:
        raise InputError(f"`{' '.join(command[:3])}` failed in {folder}")
    return done.stdout or ""
