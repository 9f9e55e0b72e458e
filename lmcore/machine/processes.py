"""Processes that must not outlive the one that started them, and whether one is alive."""

import ctypes
import os
import select
import signal
import sys

PR_SET_PDEATHSIG = 1  # of prctl(2)


def end_with_parent(parent: int | None = None) -> None:
    """Let the kernel kill this process when its parent ends, on Linux; elsewhere nothing happens.

    A stopped process is killed, too. `parent` is the process number that the caller expects: where
    it has ended before, this process ends at once.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent is not None and os.getppid() != parent:
        os._exit(1)


def end_with(ancestor: int) -> None:
    """Let a watcher kill this process when the process of this number ends, on Linux.

    For an ancestor that is not the parent: DVC starts a stage through a shell, and some shells stay
    between the two (dash), where others become the stage (bash). The watcher is a process of its
    own, in a session of its own, so that it works while this process is stopped.

    Raises:
        ProcessLookupError: the ancestor has ended.
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
    """Whether there is a process of this number on this machine."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
