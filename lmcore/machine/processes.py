"""Processes that must not outlive the one that started them; and whether a process is alive."""

import ctypes
import os
import select
import signal
import sys

PR_SET_PDEATHSIG = 1  # an option of prctl(2)


def end_with_parent(parent: int | None = None) -> None:
    """Let the kernel kill this process when its parent ends, on Linux; elsewhere nothing happens.

    A stopped process is killed, too. `parent` is the process number that the caller expects the
    parent to have. If that process has already ended, this process ends at once.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent is not None and os.getppid() != parent:
        os._exit(1)


def end_with(ancestor: int) -> None:
    """Let a watcher kill this process when the process numbered `ancestor` ends, on Linux.

    This serves an ancestor that is not the parent. DVC starts a stage through a shell: some shells
    become the stage (bash), but others stay between DVC and the stage (dash). The watcher is a
    separate process in a separate session, so it works even while this process is stopped.

    Raises ProcessLookupError if the ancestor has already ended.
    """
    if sys.platform != "linux":
        return
    process = os.getpid()
    end_of_ancestor = os.pidfd_open(ancestor)
    if os.fork():
        os.close(end_of_ancestor)
        return
    try:
        os.setsid()
        end_with_parent(process)
        select.select([end_of_ancestor], [], [])
        os.kill(process, signal.SIGKILL)
    finally:
        os._exit(0)


def is_alive(pid: int) -> bool:
    """Whether this machine has a process with this number."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
