"""Whether a revision's scores, or its metrics, are those of its own code, params and data.

A `Revision` goes in, a line for each thing that is not so comes out. `dvc.lock` says on what each
stage ran. This is compared with what the revision has now: the commands and params of its dvc.yaml
and params.yaml, the fingerprint of its code, and the hashes of its data. Only the stages that they
come from count.
"""

import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lmcore.errors import InputError
from lmcore.history.changes import GONE, changed_params, value_at
from lmcore.history.fingerprint import closure_hash
from lmcore.history.revisions import SCORES, Declared, Revision

# folders of code: the fingerprints count, not the bytes, so that a comment changes nothing
CODE = ("lmcore", "stages")
FINGERPRINTS = "code.json"


def stale(
    revision: Revision, made: Sequence[str] = (SCORES,), *, without_unknown: bool = False
) -> list[str]:
    """A line for each thing that changed since a stage ran, and for what cannot be said.

    With `without_unknown`, there is none for data that cannot be checked, since they are nowhere.

    The stages are those that the paths `made` come from. There is no line where all is up to date.
    Stages of a matrix share a line.

    Raises InputError where dvc.yaml or the code cannot be read.
    """
    stages = feeding(revision.pipeline, made)
    if not stages:
        unknown = "of which params and code they are cannot be said"
        return [f"no stage of its dvc.yaml makes {' or '.join(made)}: {unknown}"]
    remedy = "run `dvc repro`" + (", commit" if revision.rev is not None else "")
    codes = _codes(revision, stages)
    changes = []
    for name, stage in stages.items():
        reasons, unsure, foreign = _reasons(revision, name, stage, codes, made)
        for reason in [*reasons, *([] if without_unknown else unsure), *foreign]:
            changes.append((name.partition("@")[0], name, reason))
    counts = Counter((group, reason) for group, _, reason in changes)
    lines = []
    for group, name, reason in changes:
        n = counts.pop((group, reason), 0)  # 0 for the later stages of a matrix
        if n > 1:
            lines.append(f"{group} ×{n} {_plural(reason)}; {remedy}")
        elif n:
            lines.append(f"{name} {reason}; {remedy}")
    return lines


def feeding(pipeline: dict[str, Declared], made: Sequence[str] = (SCORES,)) -> dict[str, Declared]:
    """The stages that the paths `made` come from, directly or not, in the order of dvc.yaml."""
    wanted, chosen = list(made), set()
    while wanted:
        path = wanted.pop()
        for name, stage in pipeline.items():
            if name not in chosen and any(_overlap(path, out) for out in stage.outs):
                chosen.add(name)
                wanted += [*stage.deps, *stage.params]
    return {name: stage for name, stage in pipeline.items() if name in chosen}


def _plural(reason: str) -> str:
    """A reason, which begins with a verb, for several stages."""
    verb, _, rest = reason.partition(" ")
    return f"{ {'was': 'were', 'has': 'have'}.get(verb, verb) } {rest}"


def _overlap(one: str, other: str) -> bool:
    """Whether two paths are the same, or one lies in the other."""
    a, b = Path(one), Path(other)
    return a == b or a in b.parents or b in a.parents


def _reasons(
    revision: Revision, name: str, stage: Declared, codes: dict[str, Any], made: Sequence[str]
) -> tuple[list[str], list[str], list[str]]:
    """What is not as it was when this stage ran, what cannot be said, and what it did not make.

    All are sentences that lack their subject, the name of the stage.
    """
    locked = revision.stages.get(name)
    if locked is None:
        return ["has never run, says dvc.lock"], [], []
    changed = ["its command"] if locked.get("cmd") != stage.command else []
    for file, keys in stage.params.items():
        now = codes if file == FINGERPRINTS else revision.values(file)
        changed += _changed(file, (locked.get("params") or {}).get(file) or {}, keys, now)
    hashes = {dep["path"]: dep.get("md5") for dep in locked.get("deps") or []}
    unknown = []
    for path in stage.deps:
        if FINGERPRINTS in stage.outs and path in CODE:
            continue
        try:
            changed += [path] if hashes.get(path) != revision.dvc_hash(path) else []
        except InputError as error:
            why = str(error).removeprefix(f"{revision.name}: ").partition(";")[0]
            unknown.append(f"may have run on another {path}: {why}")
    reasons = [f"was not rerun since {thing} changed" for thing in changed]
    return reasons, unknown, _foreign(revision, locked, made)


def _changed(file: str, then: dict, keys: list[str], now: dict) -> list[str]:
    """The names of the values in a file of parameters that are not those with which a stage ran."""
    if file == FINGERPRINTS:
        differing = [key for key in keys if then.get(key) != now.get(key)]
        of_libraries = "the version of a library"
        return [of_libraries if key == "versions" else "its code" for key in differing]
    changed = []
    for key in keys or sorted({*then, *now}):
        value = value_at(now, key)
        if value is GONE or key not in then:
            changed.append(key)
        else:
            changed += changed_params(then[key], value, key)
    return changed


def _foreign(revision: Revision, locked: dict, made: Sequence[str]) -> list[str]:
    """What lies at the paths `made` and is not what this stage made, as in `_reasons`."""
    outs = {out["path"]: out.get("md5") for out in locked.get("outs") or []}
    foreign = []
    try:
        for path, md5 in outs.items():
            is_asked = any(_overlap(path, other) for other in made)
            if is_asked and revision.dvc_hash(path) != md5:
                foreign.append(path)
    except InputError:
        return []  # reading them says more
    return [f"made another {path} than lies there" for path in foreign]


def _codes(revision: Revision, stages: dict[str, Declared]) -> dict[str, Any]:
    """The fingerprints of this revision's code, by the keys of its code.json.

    Where code.json belongs to the code, its own fingerprints count: an earlier version of the rules
    in lmcore.history.fingerprint may have made them. Otherwise they are computed anew.
    """
    codes = revision.values(FINGERPRINTS)
    for name, stage in stages.items():
        locked = revision.stages.get(name)
        if FINGERPRINTS in stage.outs and locked and _is_as_locked(revision, stage, locked):
            return codes
    keys: set[str] = set()
    for stage in stages.values():
        keys.update(stage.params.get(FINGERPRINTS, []))
    if revision.rev is None:
        return codes | _fingerprints(revision.root, keys, revision.name)
    with tempfile.TemporaryDirectory(prefix="lmcore-code-") as folder:
        revision.export(list(CODE), Path(folder))
        return codes | _fingerprints(Path(folder), keys, revision.name)


def _is_as_locked(revision: Revision, stage: Declared, locked: dict) -> bool:
    """Whether the inputs and outputs of a stage are those in dvc.lock."""
    entries = [*(locked.get("deps") or []), *(locked.get("outs") or [])]
    hashes = {entry["path"]: entry.get("md5") for entry in entries}
    try:
        paths = [*stage.deps, *stage.outs]
        return all(hashes.get(path) == revision.dvc_hash(path) for path in paths)
    except InputError:
        return False


def _fingerprints(root: Path, keys: set[str], name: str) -> dict[str, str]:
    """The fingerprints of the scripts `keys` below `root`, empty where there is no such script.

    Raises InputError, naming the revision `name`, for code that cannot be read.
    """
    hashes = {}
    try:
        for key in sorted(keys - {"versions"}):
            script = root / "stages" / f"{key}.py"
            hashes[key] = closure_hash(script, root) if script.is_file() else ""
    except (SyntaxError, UnicodeDecodeError) as error:
        raise InputError(f"{name}: its code cannot be read: {error}") from error
    return hashes
