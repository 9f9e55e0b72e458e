"""Files that appear whole or not at all, and their content hashes."""

import csv
import errno
import glob
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from lmcore.errors import InputError
from lmcore.machine.processes import is_alive

# The most bytes of one file that is read whole. The largest tokenizer.json in use have 40 MB.
MOST_BYTES = 2**28
TEMPORARY = re.compile(r"\..+\.(?P<pid>\d+)\.tmp")
# a number with an exponent in JSON that is written with an indent; inside a string, a quote follows
EXPONENT = re.compile(r"(?<=[ \n])-?\d+(\.\d+)?e[+-]\d+(?=,?\n)", re.ASCII)
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
GIT_LFS = b"version https://git-lfs.github.com/spec/"


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that becomes `path` when the block ends well.

    When the block fails, the temporary path vanishes. This works for a file and for a folder (make
    the folder yourself). An existing `path` is replaced only at the very end.

    Raises OSError that names `path`, not the temporary path.
    """
    path = Path(path)
    with temporary_path(path) as temporary:
        yield temporary
        if temporary.is_dir():
            remove(path)  # a folder cannot be renamed to one that holds files
        temporary.replace(path)


@contextmanager
def temporary_path(path: Path, part: str = "") -> Iterator[Path]:
    """A path beside `path` for what is not finished.

    When the block ends, whatever lies at the path is removed. The path's name is `.NAME.PID.tmp`,
    which git and DVC ignore (.gitignore, .dvcignore). `part` is added to NAME where one `path`
    needs several temporary paths. What a killed process left for the same `path` is removed first.

    Raises OSError that names `path`.
    """
    temporary = path.with_name(f".{path.name}{part and '.'}{part}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for litter in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
            if is_litter(litter):
                remove(litter)
        remove(temporary)
        yield temporary
    except Exception as error:
        error_of_path = _error_of_path(error, temporary, path)
        if error_of_path is None:
            raise
        raise error_of_path from error
    finally:
        remove(temporary)


def is_temporary(path: Path) -> bool:
    """Whether this is the name of something unfinished."""
    return TEMPORARY.fullmatch(path.name) is not None


def is_litter(path: Path) -> bool:
    """Whether this is something unfinished whose process, on this machine, has ended."""
    match = TEMPORARY.fullmatch(path.name)
    return match is not None and not is_alive(int(match["pid"]))


def _error_of_path(error: Exception, temporary: Path, path: Path) -> OSError | None:
    """The error of writing `temporary` as an error of writing `path`.

    None for an error of another kind.
    """
    number: int | None
    if isinstance(error, OSError):
        number = error.errno
        name = error.filename2 or error.filename  # a copy names two files and writes the second
        if name is None and number not in NO_ROOM:
            return None
    else:
        # tokenizers and safetensors report an error of the system only in their message
        match = re.search(r"\(os error (\d+)\)", str(error))
        number, name = (int(match[1]) if match else None), None
    failed = str(name or temporary)
    if number is None or not failed.startswith(str(temporary)):
        return None
    return OSError(number, os.strerror(number), failed.replace(str(temporary), str(path)))


def remove(path: Path) -> None:
    """Remove a file or a folder; nothing happens where there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def leftovers(folder: Path, named: set[Path]) -> list[Path]:
    """The topmost files and folders in `folder` that are not `named` and not inside a named one.

    Folders without a file do not count, what is not finished does not either, and neither does a
    .gitkeep, which keeps a folder that git would not have without it.
    """
    if not folder.is_dir():
        return []
    topmost = []
    for path in sorted(folder.iterdir()):
        if path in named or is_temporary(path) or path.name == ".gitkeep":
            continue
        holds_named = any(path in named_path.parents for named_path in named)
        if holds_named:
            topmost += leftovers(path, named)
        elif not path.is_dir() or any(file.is_file() for file in path.rglob("*")):
            topmost.append(path)
    return topmost


def write_json(value: object, path: Path) -> None:
    """Write JSON that diffs well: sorted keys, an indent of two spaces, and a final newline.

    Numbers are plain decimals, 0.00012 and not 1.2e-04. Raises ValueError for NaN.
    """
    with whole(path) as temporary:
        text = json.dumps(value, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
        text = EXPONENT.sub(lambda number: f"{Decimal(number[0]):f}", text)
        temporary.write_text(text + "\n", "utf-8")


def rounded(value: Any, digits: int) -> Any:
    """`value` with every float in it rounded to `digits` significant digits.

    A whole number becomes an int, so that 1 and 1.0 are written alike.
    """
    if isinstance(value, dict):
        return {key: rounded(entry, digits) for key, entry in value.items()}
    if isinstance(value, list):
        return [rounded(entry, digits) for entry in value]
    if isinstance(value, float):
        value = float(f"{value:.{digits}g}")
        return int(value) if value.is_integer() else value
    return value


def write_csv(rows: list[dict], path: Path) -> None:
    """Write rows as CSV under the keys of the longest row, whole or not at all.

    Without rows the header is empty.
    """
    with whole(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, max(rows, key=len, default={}), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def sha256(path: Path) -> str:
    """The sha256 of a file, or of a folder.

    That of a folder is the sha256 of the sorted lines `relative/path sha256` of the files in it.
    As for DVC, what is not finished does not count.
    """
    if path.is_dir():
        lines = []
        for inner in sorted(path.rglob("*")):
            relative = inner.relative_to(path)
            is_finished = not any(is_temporary(Path(name)) for name in relative.parts)
            if inner.is_file() and is_finished:
                lines.append(f"{relative.as_posix()} {sha256(inner)}\n")
        return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(*values: object) -> str:
    """16 hexadecimal digits that stand for these JSON values.

    They name what was made from the values in the work folder.
    """
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def read_json_object(
    path: Path, expected: str, most_bytes: int = MOST_BYTES, *, may_hold_nan: bool = False
) -> dict[str, Any]:
    """The object in a JSON file that came from outside.

    `expected` says in messages what the file should be. With `may_hold_nan`, `NaN` is a number, as
    Python's json writes it. Raises InputError as `read_bounded` does, and for a file that is not
    UTF-8, is not JSON (NaN is not JSON), is nested too deeply, or holds no object.
    """
    try:
        text = read_bounded(path, expected, most_bytes).decode("utf-8-sig")
        value = json.loads(text, parse_constant=None if may_hold_nan else _refuse_nan)
    except InputError:
        raise
    except RecursionError as error:
        raise InputError(
            f"{path}: expected a JSON object, {expected}; it is nested too deeply"
        ) from error
    except ValueError as error:
        raise InputError(
            f"{path}: expected a JSON object, {expected}; it cannot be read as JSON: {error}"
        ) from error
    if not isinstance(value, dict):
        raise InputError(f"{path}: expected a JSON object, {expected}, not {type(value).__name__}")
    return value


def read_bounded(path: Path, expected: str, most_bytes: int = MOST_BYTES) -> bytes:
    """The content of a file that came from outside.

    `expected` says in messages what the file should be. Raises InputError where there is no file,
    where it has more than `most_bytes`, and where a Git LFS pointer stands in its place.
    """
    refuse_lfs_pointer(path)
    try:
        if (size := path.stat().st_size) > most_bytes:
            raise InputError(
                f"{path}: has {size:,} bytes; expected at most {most_bytes:,} for {expected}"
            )
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; expected {expected}") from error


def refuse_lfs_pointer(path: Path) -> None:
    """Raises InputError where a Git LFS pointer stands in the place of the file."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        is_pointer = file.read(len(GIT_LFS)) == GIT_LFS
    if is_pointer:
        raise InputError(
            f"{path}: is a Git LFS pointer, not the file itself; fetch it with `git lfs pull`"
        )


def _refuse_nan(name: str) -> float:
    """What Python's JSON reader takes for `Infinity` or `-Infinity`. Raises ValueError for NaN."""
    if name == "NaN":
        raise ValueError("holds NaN, which is no number")
    return float(name.replace("Infinity", "inf"))
