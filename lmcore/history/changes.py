"""What changed between two revisions.

Their params.yaml and the stages of their dvc.lock go in, the differences by name come out.
"""

from typing import Any

GONE = object()  # a key that is not there, unlike one that is null


def changed_params(a: Any, b: Any, prefix: str = "") -> dict[str, tuple[Any, Any]]:
    """{a.b: (in a, in b)} of the values that differ in nested dicts.

    None stands for a value that is not there, so that a new section is one entry. A key that is
    null differs from one that is not there: a suite may have nothing to say but its name.
    """
    if not (isinstance(a, dict) and isinstance(b, dict)):
        return {} if a == b else {prefix: (None if a is GONE else a, None if b is GONE else b)}
    changed: dict[str, tuple[Any, Any]] = {}
    for key in sorted({*a, *b}, key=str):
        name = f"{prefix}.{key}" if prefix else str(key)
        changed |= changed_params(a.get(key, GONE), b.get(key, GONE), name)
    return changed


def changed_stages(a: dict[str, dict], b: dict[str, dict]) -> dict[str, list[str]]:
    """{stage: why} in the order of b's lock.

    The reasons are `new`, `removed`, `command`, `code`, `libraries`, names of params, `inputs`,
    `outputs`. The stage that makes code.json is left out: what it finds is told of the stages whose
    code it is.
    """
    reasons = {name: ["removed"] for name in a if name not in b}
    for name, stage in b.items():
        if name not in a:
            reasons[name] = ["new"]
        elif why := _reasons(a[name], stage):
            reasons[name] = why
    for name in list(reasons):
        if "code.json" in _hashes((b.get(name) or a[name]).get("outs")):
            del reasons[name]
    return reasons


def value_at(params: Any, key: str) -> Any:
    """The value of a dotted name, GONE where there is none."""
    for inner_key in key.split("."):
        if not isinstance(params, dict) or inner_key not in params:
            return GONE
        params = params[inner_key]
    return params


def _reasons(a: dict, b: dict) -> list[str]:
    """Why a stage of b's lock differs from that of a's."""
    why = ["command"] if a.get("cmd") != b.get("cmd") else []
    params_a, params_b = a.get("params") or {}, b.get("params") or {}
    for file in sorted({*params_a, *params_b}):
        changed = changed_params(params_a.get(file) or {}, params_b.get(file) or {})
        if file == "code.json":
            why += dict.fromkeys("libraries" if key == "versions" else "code" for key in changed)
        else:
            why += changed
    if _hashes(a.get("deps")) != _hashes(b.get("deps")):
        why.append("inputs")
    if _hashes(a.get("outs")) != _hashes(b.get("outs")):
        why.append("outputs")
    return why


def _hashes(entries: list[dict] | None) -> dict[str, str | None]:
    return {entry["path"]: entry.get("md5") for entry in entries or []}
