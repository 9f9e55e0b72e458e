"""What outlives a killed run: files in the work folder, which a later run goes on from.

One run at a time writes a kept folder (`locked`). A kept file has the beginning of its sha256 in
its name (`part-00000.9f86d081884c7d65.parquet`), so that one rename makes it whole and verifiable.
A file that no longer matches its name, after a bad disk or a power cut, is removed and made again.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from lmcore.files import remove, sha256, temporary_path
from lmcore.shown import for_terminal

DIGITS = 16  # hexadecimal, of a sha256


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a kept folder, `FOLDER.lock` beside it. Where another run holds it, say so and wait.

    The kernel frees the lock when its process ends, however it ends.
    """
    path = folder.with_name(f"{folder.name}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        message = f"{folder}: another run works on the same; waiting until it has ended"
        print(for_terminal(message), file=sys.stderr, flush=True)
        lock.acquire(poll_interval=0.2)
    try:
        yield
    finally:
        lock.release()


def keep(path: Path, write: Callable[[Path], object]) -> Path:
    """Let `write` make a file, and keep it as `path` with the hash in its name; returns its full path.

    The file is on the disk, not only in the system's memory, before it has that name.
    """
    with temporary_path(path) as temporary:
        write(temporary)
        _to_disk(temporary)
        kept = _named(path, sha256(temporary))
        temporary.replace(kept)
    _to_disk(path.parent)
    return kept


def find(path: Path) -> Path | None:
    """The full path of what was kept as `path`; None where there is none that matches its hash."""
    found = None
    for kept in sorted(path.parent.glob(_named(path, "?" * DIGITS).name)):
        try:
            is_good = _named(path, sha256(kept)) == kept
        except FileNotFoundError:  # another rank has removed it
            continue
        if is_good:
            found = kept
        else:
            message = f"{kept}: is not what was written (its sha256 is another); it is made again"
            print(for_terminal(message), file=sys.stderr, flush=True)
            remove(kept)
    return found


def drop(path: Path) -> None:
    """Remove what was kept as `path`."""
    for kept in path.parent.glob(_named(path, "?" * DIGITS).name):
        remove(kept)


def kept_paths(folder: Path, pattern: str) -> list[Path]:
    """The paths, as they were given to `keep`, of all in `folder` whose names match `pattern`, sorted."""
    paths = set()
    for kept in folder.glob(f"{Path(pattern).stem}.{'?' * DIGITS}{Path(pattern).suffix}"):
        paths.add(kept.with_name(Path(kept.stem).stem + kept.suffix))
    return sorted(paths)


def _named(path: Path, digest: str) -> Path:
    return path.with_name(f"{path.stem}.{digest[:DIGITS]}{path.suffix}")


def _to_disk(path: Path) -> None:
    """Wait until the file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
