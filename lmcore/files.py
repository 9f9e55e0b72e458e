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
from pathlib import Path
from typing import Any

from lmcore.errors import InputError
from lmcore.machine.processes import is_alive

MOST_BYTES = 2**28  # of one file that is read whole; the largest tokenizer.json in use have 40 MB
TEMPORARY = re.compile(r"\..+\.(?P<pid>\d+)\.tmp")
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
GIT_LFS = b"version https://git-lfs.github.com/spec/"


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that becomes `path` when the block ends well, and vanishes when it does not.

    Works for a file and for a folder (make the folder yourself); an existing `path` is replaced only
    at the very end. Raises OSError that names `path`, not the temporary one.
    """
    path = Path(path)
    with temporary_path(path) as temporary:
        yield temporary
        if temporary.is_dir():
            remove(path)  # renaming cannot put a folder in the place of one that holds files
        temporary.replace(path)


@contextmanager
def temporary_path(path: Path, part: str = "") -> Iterator[Path]:
    """A path beside `path` for what is not finished: gone when the block ends, whatever is there.

    Its name, `.NAME.PID.tmp`, is ignored by git and DVC (.gitignore, .dvcignore); `part` is added
    to NAME where one `path` needs several. What a killed process left for the same `path` is removed
    first. Raises OSError that names `path`.
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
        if (named := _naming(error, temporary, path)) is None:
            raise
        raise named from error
    finally:
        remove(temporary)


def is_temporary(path: Path) -> bool:
    """Whether this is the name of something unfinished."""
    return TEMPORARY.fullmatch(path.name) is not None


def is_litter(path: Path) -> bool:
    """Whether this is something unfinished whose process has ended (on this machine)."""
    parts = TEMPORARY.fullmatch(path.name)
    return parts is not None and not is_alive(int(parts["pid"]))


def _naming(error: Exception, temporary: Path, path: Path) -> OSError | None:
    """The error of writing `temporary` as one of writing `path`; None for an error of another kind."""
    if isinstance(error, OSError):
        number, name = (
            error.errno,
            error.filename2 or error.filename,
        )  # of a copy, the second is written
        if name is None and number not in NO_ROOM:
            return None
    else:
        # tokenizers and safetensors tell of the system's errors in words alone
        said = re.search(r"\(os error (\d+)\)", str(error))
        number, name = (int(said[1]) if said else None), None
    if number is None or not str(name or temporary).startswith(str(temporary)):
        return None
    real = str(name or temporary).replace(str(temporary), str(path))
    return OSError(number, os.strerror(number), real)


def remove(path: Path) -> None:
    """Remove a file or a folder; nothing happens where there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def leftovers(folder: Path, named: set[Path]) -> list[Path]:
    """What lies in `folder` and is none of `named` nor in one of them, of each the topmost.

    Folders without a file do not count, nor does what is not finished.
    """
    found = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path in named or is_temporary(path):
            continue
        if any(path in one.parents for one in named):
            found += leftovers(path, named)
        elif not path.is_dir() or any(file.is_file() for file in path.rglob("*")):
            found.append(path)
    return found


def write_json(value: object, path: Path) -> None:
    """Write JSON that diffs well: sorted keys, two spaces, a final newline, and never NaN (a ValueError)."""
    with whole(path) as temporary:
        temporary.write_text(
            json.dumps(value, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n",
            "utf-8",
        )


def rounded(value: Any, digits: int) -> Any:
    """`value` with every float in it rounded to `digits` significant digits.

    A whole number becomes an int, so that 1 and 1.0 are written alike.
    """
    if isinstance(value, dict):
        return {key: rounded(part, digits) for key, part in value.items()}
    if isinstance(value, list):
        return [rounded(part, digits) for part in value]
    if isinstance(value, float):
        value = float(f"{value:.{digits}g}")
        return int(value) if value.is_integer() else value
    return value


def write_csv(rows: list[dict], path: Path) -> None:
    """Write rows as CSV under the keys of the longest row, whole or not at all; empty without rows."""
    with whole(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, max(rows, key=len, default={}), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def sha256(path: Path) -> str:
    """The sha256 of a file, or of a folder: of the sorted lines `relative/path sha256` of the files in it.

    What is not finished does not count, as for DVC.
    """
    if path.is_dir():
        lines = []
        for inner in sorted(path.rglob("*")):
            inside = inner.relative_to(path)
            if inner.is_file() and not any(is_temporary(Path(part)) for part in inside.parts):
                lines.append(f"{inside.as_posix()} {sha256(inner)}\n")
        return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(*values: object) -> str:
    """16 hexadecimal digits that stand for these JSON values: the name of what was made from them in the work folder."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def read_json_object(path: Path, expected: str, most_bytes: int = MOST_BYTES) -> dict[str, Any]:
    """The object in a JSON file that came from outside; `expected` says in messages what it should be.

    Raises InputError as `read_bounded`, and for a file that is not UTF-8, not JSON (NaN is none),
    nested without end, or no object.
    """
    try:
        text = read_bounded(path, expected, most_bytes).decode("utf-8-sig")
        value = json.loads(text, parse_constant=_refuse_constant)
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

    Raises InputError where there is none, more than `most_bytes`, or a Git LFS pointer in its place.
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
    if path.is_file():
        with path.open("rb") as file:
            if file.read(len(GIT_LFS)) == GIT_LFS:
                raise InputError(
                    f"{path}: is a Git LFS pointer, not the file itself; fetch it with `git lfs pull`"
                )


def _refuse_constant(name: str) -> float:
    if name == "NaN":
        raise ValueError("holds NaN, which is no number")
    return float(name.replace("Infinity", "inf"))
