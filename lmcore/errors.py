"""What a user can mend: bad input, and whatever else is expected to go wrong; an error goes in, one line comes out."""

import errno
import json
import shlex
import sqlite3
import subprocess

from lmcore.shown import for_terminal

# Packages whose own errors tell of the files and settings they were given: none of ours is imported for this, and none need be installed
READERS = (
    "dvc",
    "dvc_data",
    "huggingface_hub",
    "requests",
    "httpx",
    "ruamel",
    "safetensors",
    "safetensors_rust",
    "scmrepo",
    "yaml",
)


NO_MEMORY = (
    "not enough memory; run again with fewer processes (LMCORE_WORKERS=1), with a smaller "
    "token_budget, micro_batch_size or batch_size in params.yaml, or on a machine with more"
)
REMEDIES = {
    errno.ENOSPC: "free some space and run again",
    errno.EDQUOT: "free some of your quota and run again",
    errno.EFBIG: "the file is larger than it may be; see `ulimit -f`",
    errno.EACCES: "see `ls -ld` of it and of its folder for who may",
    errno.EPERM: "see `ls -ld` of it and of its folder for who may",
    errno.EROFS: "name another place, or make this one writable",
    errno.EMFILE: "more files are open than may be; see `ulimit -n`",
    errno.ENOMEM: "run again with fewer processes (LMCORE_WORKERS=1), or on a machine with more memory",
}


class InputError(ValueError):
    """Bad input. The message names the file or parameter, the item, and what was expected; a stage prints it and exits 1."""


def error_line(error: BaseException) -> str | None:
    """One line for a terminal that says what was wrong; None where the error is none that was to be expected, but a mistake of ours."""
    said = _said(error)
    return (
        None
        if said is None
        else for_terminal(" ".join(line.strip() for line in said.splitlines() if line.strip()))
    )


def _said(error: BaseException) -> str | None:
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and "allocate memory" in str(error)
    ):  # torch has its own
        return NO_MEMORY
    if isinstance(error, OSError):
        return _of_system(error)
    if isinstance(error, sqlite3.Error):  # nothing but DVC has databases here
        return f"DVC's database (.dvc/tmp, or the folder core.site_cache_dir): {error}; free some space there and run again"
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON: {error}"
    if isinstance(error, UnicodeError):
        return f"not text in UTF-8: {error}"
    if isinstance(error, subprocess.CalledProcessError):
        return _of_command(error)
    # tokenizers raises bare Exceptions, which nothing else does
    is_readers = any(kind.__module__.partition(".")[0] in READERS for kind in type(error).__mro__)
    return str(error) or type(error).__name__ if is_readers or type(error) is Exception else None


def _of_system(error: OSError) -> str:
    """The file's name, what the system said of it, and what to do; some libraries raise a message alone."""
    if error.strerror is None:
        return str(error) or type(error).__name__
    said = error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    remedy = REMEDIES.get(error.errno or 0)
    return f"{said}; {remedy}" if remedy else said


def _of_command(error: subprocess.CalledProcessError) -> str:
    command = error.cmd if isinstance(error.cmd, str) else shlex.join(map(str, error.cmd))
    said = error.stderr or error.stdout or f"exit status {error.returncode}"
    return f"{command}: {said.decode(errors='replace') if isinstance(said, bytes) else said}"
