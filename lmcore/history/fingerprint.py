"""What source code each stage runs: a hash of the syntax trees of a script's import closure inside the repository.

Comments, docstrings and layout do not count; every statement does. Dynamic imports are invisible, so there are none.
"""

import ast
import hashlib
import re
from importlib.metadata import version
from pathlib import Path

from lmcore.files import sha256

LIBRARIES = ("tokenizers", "torch", "transformers")  # the ones whose upgrade may change a number


def fingerprints(root: Path, stages: str = "stages") -> dict[str, str]:
    """The fingerprint of each script `stages/*.py` below `root` by its name, and under `versions` that of the libraries."""
    scripts = [
        path
        for path in sorted((root / stages).glob("*.py"))
        if path.stem not in ("__init__", "stage")
    ]
    found = {script.stem: closure_hash(script, root) for script in scripts}
    # without the local part: 2.13.0+cpu and 2.13.0 are one release
    found["versions"] = " ".join(
        f"{name}=={re.sub(r'[+].*', '', version(name))}" for name in LIBRARIES
    )
    return found


def closure_hash(script: Path, root: Path) -> str:
    """16 hexadecimal digits over the names and trees of `script` and all modules below `root` that it imports, however deep."""
    lines = [
        f"{path.relative_to(root).as_posix()} {tree_hash(path)}\n"
        for path in sorted(closure(script, root))
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:16]


def closure(script: Path, root: Path) -> set[Path]:
    """`script` and every file below `root` that importing it can load: modules, packages' __init__.py, and data named after a module
    (a.py, a.yaml).
    """
    seen: set[Path] = set()
    todo = [script]
    while todo:
        path = todo.pop()
        if path in seen:
            continue
        seen.add(path)
        if path.suffix != ".py":
            continue
        todo += [
            file
            for file in path.parent.glob(f"{path.stem}.*")
            if file.suffix not in (".py", ".pyc")
        ]
        for module in _imports(path, root):
            parts = module.split(".")
            for length in range(1, len(parts) + 1):
                stem = root.joinpath(*parts[:length])
                todo += [
                    file
                    for file in (stem.with_suffix(".py"), stem / "__init__.py")
                    if file.is_file()
                ]
    return seen


def tree_hash(path: Path) -> str:
    """The sha256 of a module's syntax tree without docstrings, the same on every Python from 3.11 on (`ast.dump` is not); of data, of its
    bytes.
    """
    if path.suffix != ".py":
        return sha256(path)
    tree = ast.parse(path.read_text("utf-8"), str(path))
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and ast.get_docstring(node, clean=False) is not None
        ):
            node.body = node.body[1:]
    return hashlib.sha256(_text(tree).encode()).hexdigest()


def _text(node: object) -> str:
    """A tree as text. Fields that are empty are left out, for newer versions of Python add such fields."""
    if isinstance(node, ast.AST):
        fields = [
            f"{name}={_text(value)}"
            for name, value in ast.iter_fields(node)
            if value is not None and value != []
        ]
        return f"{type(node).__name__}({','.join(fields)})"
    if isinstance(node, list):
        return f"[{','.join(map(_text, node))}]"
    return repr(node)


def _imports(path: Path, root: Path) -> list[str]:
    """The dotted names a module imports, relative ones resolved; of `from a import b` both `a` and `a.b`, since b may be a module."""
    package = path.relative_to(root).with_suffix("").parts[:-1]
    found = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"), str(path))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            found += [module, *(f"{module}.{alias.name}" for alias in node.names)]
    return [name for name in found if name]
