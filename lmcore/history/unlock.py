"""What a killed DVC leaves that stops every later one.

A repository goes in; it is mended, or a line says why not. DVC notes in `.dvc/tmp/rwlock` (JSON)
who reads and writes which path, and rewrites the file in place: a kill in between leaves it empty
or cut off, and DVC refuses it from then on. It also refuses where the noted process number has
since gone to another process. Its other lock files, `lock` and `rwlock.lock`, are held by the
kernel (flock) and free when their process ends, whatever they hold.
"""

import fcntl
import json
import os
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
    """Remove the `rwlock` of the repository `root` where it is broken or names another process.

    Returns a line that says so, empty where nothing was wrong. Raises InputError where a DVC
    process lives in this repository.
    """
    path = root / ".dvc" / "tmp" / "rwlock"
    if not path.exists() or not _problem(path):
        return ""
    with _guard(path):  # no DVC reads or writes it meanwhile; the one that did may have ended well
        if not path.exists() or not (problem := _problem(path)):
            return ""
        if living := living_dvc(root):
            who = f"DVC is running here (PID {', '.join(map(str, living))})"
            raise InputError(f"{path}: {problem}, and {who}; when it has ended, run this again")
        path.unlink()
    done = "left by a DVC that was killed; no DVC is running here, so it was removed"
    return f"{path}: {problem}, {done}"


def living_dvc(root: Path) -> list[int]:
    """The process numbers of DVC in this repository, and of the stages that it runs.

    A DVC of another user whose folder may not be looked at counts, too.
    """
    numbers = []
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        try:
            if process.status() != psutil.STATUS_ZOMBIE and _belongs(process, root):
                numbers.append(process.pid)
        except psutil.NoSuchProcess:
            continue
    return numbers


def _belongs(process: psutil.Process, root: Path) -> bool:
    """Whether a process is a DVC in the repository `root`, or a stage that such a DVC runs."""
    try:
        stage_of = process.environ().get("DVC_ROOT")
        if stage_of and Path(stage_of).resolve() == root.resolve():
            return True  # a stage: DVC waits for it
    except psutil.AccessDenied:
        pass
    try:
        words = process.cmdline()
    except psutil.AccessDenied:
        return False
    if not _is_dvc(words) or any("daemon" in child.cmdline() for child in process.children()):
        return False  # DVC leaves a copy of itself behind, as the parent of its daemon
    try:
        folder = Path(process.cwd())
    except psutil.AccessDenied:
        return True
    repositories = [parent for parent in (folder, *folder.parents) if (parent / ".dvc").is_dir()]
    return bool(repositories) and repositories[0].resolve() == root.resolve()


def _is_dvc(words: list[str]) -> bool:
    """Whether a command line is that of DVC, however started, and not of its daemon."""
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
    """Who reads and writes, of a rwlock {write: {path: WHO}, read: {path: [WHO]}}.

    Raises one of Python's own errors for a rwlock of another form.
    """
    if not lock.keys() <= {"read", "write"}:
        raise ValueError
    entries = [*lock.get("write", {}).values()]
    for readers in lock.get("read", {}).values():
        entries += readers
    return [{"pid": int(entry["pid"]), "cmd": str(entry["cmd"])} for entry in entries]


@contextmanager
def _guard(path: Path) -> Iterator[None]:
    """Hold what DVC holds while it edits a rwlock. Raises InputError where another keeps it."""
    with path.with_name("rwlock.lock").open("a") as file:
        end = time.monotonic() + WAIT
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if time.monotonic() > end:
                    held = f"{file.name}: another process holds it"
                    raise InputError(f"{held}; when it has ended, run this again") from error
                time.sleep(0.1)
        yield
