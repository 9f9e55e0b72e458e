"""Which source code each stage runs: a hash of syntax trees.

They are those of all modules inside the repository that a script imports, however deep (its import
closure). Comments, docstrings and layout do not count; every statement does. Dynamic imports are
invisible, so there are none.
"""

import ast
import hashlib
import re
from functools import cache
from importlib.metadata import version
from pathlib import Path

from lmcore.files import sha256

LIBRARIES = ("tokenizers", "torch", "transformers")  # the ones whose upgrade may change a number
DRAWING = {"altair": "altair", "vl_convert": "vl-convert-python"}  # package by module; of pages
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def fingerprints(root: Path, stages: str = "stages") -> dict[str, str]:
    """The fingerprint of each script `stages/*.py` below `root`, by the script's name.

    Under `versions` stands that of the libraries.
    """
    hashes = {}
    for script in sorted((root / stages).glob("*.py")):
        if script.stem not in ("__init__", "stage"):
            hashes[script.stem] = closure_hash(script, root)
    # without the local part: 2.13.0+cpu and 2.13.0 are one release
    releases = {name: re.sub(r"[+].*", "", version(name)) for name in LIBRARIES}
    hashes["versions"] = " ".join(f"{name}=={release}" for name, release in releases.items())
    return hashes


def closure_hash(script: Path, root: Path) -> str:
    """16 hexadecimal digits over the names and trees of the files in `closure`.

    What these draw with goes in by its version.
    """
    files = sorted(closure(script, root))
    lines = [f"{path.relative_to(root).as_posix()} {tree_hash(path)}\n" for path in files]
    imported = {name for path in files if path.suffix == ".py" for name in _imports(path, root)}
    for module, package in DRAWING.items():
        if module in imported:
            lines.append(f"{package} {version(package)}\n")
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:16]


def closure(script: Path, root: Path) -> set[Path]:
    """`script` and every file below `root` that importing it can load, however deep.

    These are modules, the __init__.py of packages, and data named after a module (a.py, a.yaml).
    """
    seen: set[Path] = set()
    todo = [script]
    while todo:
        path = todo.pop()
        if path in seen:
            continue
        seen.add(path)
        if path.suffix == ".py":
            todo += _data_of(path)
            for module in _imports(path, root):
                todo += _files_of(module, root)
    return seen


def tree_hash(path: Path) -> str:
    """The sha256 of a module's syntax tree without docstrings; of data, of its bytes.

    It is the same on every Python from 3.11 on (`ast.dump` is not).
    """
    if path.suffix != ".py":
        return sha256(path)
    return _hash_of_tree(path.read_text("utf-8"), str(path))


@cache  # many stages reach the same modules
def _hash_of_tree(source: str, name: str) -> str:
    """`tree_hash` of the source of a module; `name` is what an error calls it."""
    tree = ast.parse(source, name)
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
    return hashlib.sha256(_text(tree).encode()).hexdigest()


def _text(node: object) -> str:
    """A tree as text.

    Fields that are empty are left out, for newer versions of Python add such fields.
    """
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


def _data_of(module: Path) -> list[Path]:
    """The data files that are named after a module."""
    files = module.parent.glob(f"{module.stem}.*")
    return [file for file in files if file.suffix not in (".py", ".pyc")]


def _files_of(module: str, root: Path) -> list[Path]:
    """The files of a module with this dotted name, and of the packages that it is in."""
    files = []
    names = module.split(".")
    for depth in range(1, len(names) + 1):
        stem = root.joinpath(*names[:depth])
        for file in (stem.with_suffix(".py"), stem / "__init__.py"):
            if file.is_file():
                files.append(file)
        if not stem.is_dir():  # most modules are of elsewhere
            break
    return files


def _imports(path: Path, root: Path) -> list[str]:
    """The dotted names that a module imports, relative ones resolved.

    Of `from a import b` they are both `a` and `a.b`, since b may be a module.
    """
    package = path.relative_to(root).with_suffix("").parts[:-1]
    names = []
    for node in _import_statements(path.read_text("utf-8"), str(path)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        else:
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            names += [module, *(f"{module}.{alias.name}" for alias in node.names)]
    return [name for name in names if name]


@cache
def _import_statements(source: str, name: str) -> list[ast.Import | ast.ImportFrom]:
    """The import statements in the source of a module; `name` is what an error calls it."""
    nodes = ast.walk(ast.parse(source, name))
    return [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
