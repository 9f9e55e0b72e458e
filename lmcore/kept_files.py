"""Files in the work folder that outlive a killed run, so that a later run can go on from them.

Only one run at a time writes to a kept folder (see `locked`). The name of a kept file has the
beginning of the file's sha256 in it (`part-00000.9f86d081884c7d65.parquet`), so that a single
rename makes the file whole and verifiable. A file that no longer matches its name, after a bad disk
or a power cut, is removed and made again.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from lmcore.files import remove, sha256, temporary_path
from lmcore.shown import for_terminal

DIGITS = 16  # the hexadecimal digits of a sha256 that a name holds


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a kept folder: the file `FOLDER.lock` beside it.

    Where another run holds the lock, this is said on the standard error, and the call waits. The
    kernel frees the lock when its process ends, however it ends.
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


def remove_unlocked(folder: Path) -> None:
    """Remove a kept folder, unless a run holds its lock."""
    lock = FileLock(folder.with_name(f"{folder.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return
    try:
        remove(folder)
    finally:
        lock.release()


def keep(path: Path, write: Callable[[Path], object]) -> Path:
    """Let `write` make a file, and keep it as `path` with the hash in its name.

    Returns the full path of the file. Before the file gets that name, it is on the disk, not only
    in the system's memory.
    """
    with temporary_path(path) as temporary:
        write(temporary)
        _to_disk(temporary)
        kept = _named(path, sha256(temporary))
        temporary.replace(kept)
    _to_disk(path.parent)
    return kept


def find(path: Path) -> Path | None:
    """The full path of the file that was kept as `path`.

    None where there is no file that matches its hash. A file that does not match is removed, and
    this is said on the standard error.
    """
    good = None
    for kept in sorted(path.parent.glob(_named(path, "?" * DIGITS).name)):
        try:
            is_good = _named(path, sha256(kept)) == kept
        except FileNotFoundError:  # another rank has removed it
            continue
        if is_good:
            good = kept
        else:
            message = f"{kept}: is not what was written (its sha256 is another); it is made again"
            print(for_terminal(message), file=sys.stderr, flush=True)
            remove(kept)
    return good


def drop(path: Path) -> None:
    """Remove the files that were kept as `path`."""
    for kept in path.parent.glob(_named(path, "?" * DIGITS).name):
        remove(kept)


def kept_paths(folder: Path, pattern: str) -> list[Path]:
    """The sorted paths, as they were given to `keep`, of the files kept in `folder`.

    Only paths whose names match `pattern` count.
    """
    paths = set()
    for kept in folder.glob(f"{Path(pattern).stem}.{'?' * DIGITS}{Path(pattern).suffix}"):
        paths.add(kept.with_name(Path(kept.stem).stem + kept.suffix))
    return sorted(paths)


def _named(path: Path, digest: str) -> Path:
    """`path` with the first digits of a sha256 in its name."""
    return path.with_name(f"{path.stem}.{digest[:DIGITS]}{path.suffix}")


def _to_disk(path: Path) -> None:
    """Write the file or folder from the system's memory to the disk, and wait until it is there."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
