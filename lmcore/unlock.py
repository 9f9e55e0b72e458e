"""What a killed DVC leaves that stops every later one: a repository goes in; it is mended, or a line says why not.

DVC notes in `.dvc/tmp/rwlock` (JSON) who reads and writes which path, and rewrites the file in place: a kill in between leaves it empty or
cut off, and DVC refuses it from then on. It also refuses where the noted process number has since gone to another process. Its other lock
files, `lock` and `rwlock.lock`, are held by the kernel (flock) and free when their process ends, whatever they hold.
"""

import fcntl
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil

from lmcore.errors import InputError

WAIT = 3  # seconds for another process to let go of the file


def unlock(root: Path) -> str:
    """Remove the `rwlock` of the repository `root` where it is broken or names processes that have nothing to do with it.

    Returns a line that says so, empty where nothing was wrong. Raises InputError where a DVC process lives in this repository.
    """
    path = root / ".dvc" / "tmp" / "rwlock"
    if not path.exists() or not _problem(path):
        return ""
    with _guard(path):  # no DVC reads or writes it meanwhile; the one that did may have ended well
        if not path.exists() or not (problem := _problem(path)):
            return ""
        if living := living_dvc(root):
            raise InputError(
                f"{path}: {problem}, and DVC is running here (PID {', '.join(map(str, living))}); when it has ended, run this again"
            )
        path.unlink()
    return f"{path}: {problem}, left by a DVC that was killed; no DVC is running here, so it was removed"


def living_dvc(root: Path) -> list[int]:
    """The process numbers of DVC, and of stages that it runs, in this repository; of processes that may not be looked at, those of DVC."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != psutil.Process().pid and process.status() != psutil.STATUS_ZOMBIE and _belongs(process, root):
                found.append(process.pid)
        except psutil.NoSuchProcess:
            continue
    return found


def _belongs(process: psutil.Process, root: Path) -> bool:
    try:
        if (stage_of := process.environ().get("DVC_ROOT")) and Path(stage_of).resolve() == root.resolve():
            return True  # a stage: DVC waits for it
    except psutil.AccessDenied:
        pass
    try:
        words = process.cmdline()
    except psutil.AccessDenied:
        return False
    if not _is_dvc(words) or any("daemon" in child.cmdline() for child in process.children()):
        return False  # of its daemon, which asks for updates, DVC leaves a copy of itself behind as the parent
    try:
        folder = Path(process.cwd())
    except psutil.AccessDenied:
        return True
    nearest = next((parent for parent in (folder, *folder.parents) if (parent / ".dvc").is_dir()), None)
    return nearest is not None and nearest.resolve() == root.resolve()


def _is_dvc(words: list[str]) -> bool:
    """Whether a command line is that of DVC: `dvc`, `python -m dvc` or `python dvc/__main__.py`, and not of its daemon."""
    started = any(Path(word).name == "dvc" or word.endswith("dvc/__main__.py") for word in words)
    return (started or ("-m", "dvc") in pairwise(words)) and "daemon" not in words


def _problem(path: Path) -> str:
    """What is wrong with a rwlock, empty where DVC can go on with it."""
    try:
        entries = _entries(json.loads(path.read_text("utf-8")))
    except (ValueError, TypeError, KeyError, AttributeError):
        return "is broken"
    written = path.stat().st_mtime
    for entry in entries:
        try:
            if psutil.Process(entry["pid"]).create_time() > written + 1:
                return f"names process {entry['pid']}, which is another one now"
        except psutil.NoSuchProcess:  # DVC sees that itself
            continue
    return ""


def _entries(lock: Any) -> list[dict]:
    """Who reads and writes. Raises one of Python's own errors where the form is not {write: {path: WHO}, read: {path: [WHO]}}."""
    if not lock.keys() <= {"read", "write"}:
        raise ValueError
    found = [*lock.get("write", {}).values()]
    for readers in lock.get("read", {}).values():
        found += readers
    return [{"pid": int(entry["pid"]), "cmd": str(entry["cmd"])} for entry in found]


@contextmanager
def _guard(path: Path) -> Iterator[None]:
    """Hold what DVC holds while it edits a rwlock. Raises InputError where another process keeps it."""
    with path.with_name("rwlock.lock").open("a") as file:
        end = time.monotonic() + WAIT
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if time.monotonic() > end:
                    raise InputError(f"{file.name}: another process holds it; when it has ended, run this again") from error
                time.sleep(0.1)
        yield
