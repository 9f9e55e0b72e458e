"""Processes that must not outlive the one that started them, and whether one is alive."""

import ctypes
import os
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


def is_alive(pid: int) -> bool:
    """Whether there is a process of this number on this machine."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
