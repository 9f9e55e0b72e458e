"""The errors that a user can mend: an error goes in, one line that says what was wrong comes out.

These are bad input, and whatever else is expected to go wrong.
"""

import errno
import json
import shlex
import sqlite3
import subprocess

from lmcore.shown import for_terminal

# Packages whose own errors say what is wrong with the files and settings they were given. Their
# errors are recognised by the package's name, so that none is imported here or must be installed.
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
    errno.ENOMEM: (
        "run again with fewer processes (LMCORE_WORKERS=1), or on a machine with more memory"
    ),
}


class InputError(ValueError):
    """Bad input.

    The message names the file or parameter, the item, and what was expected. A stage prints it and
    exits with status 1.
    """


def error_line(error: BaseException) -> str | None:
    """One line for a terminal that says what was wrong.

    None for an error that was not to be expected: a mistake of ours.
    """
    message = _message(error)
    if message is None:
        return None
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return for_terminal(" ".join(lines))


def _message(error: BaseException) -> str | None:
    """What was wrong, in one or several lines; None for a mistake of ours."""
    if isinstance(error, InputError):
        return str(error)
    if _is_out_of_memory(error):
        return NO_MEMORY
    if isinstance(error, OSError):
        return _message_of_system(error)
    if isinstance(error, sqlite3.Error):  # only DVC has databases here
        return (
            f"DVC's database (.dvc/tmp, or the folder core.site_cache_dir): {error}; "
            "free some space there and run again"
        )
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON: {error}"
    if isinstance(error, UnicodeError):
        return f"not text in UTF-8: {error}"
    if isinstance(error, subprocess.CalledProcessError):
        return _message_of_command(error)
    # tokenizers raises bare Exceptions, which nothing else does
    if _is_of_reader(error) or type(error) is Exception:
        return str(error) or type(error).__name__
    return None


def _is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out; torch raises a RuntimeError of its own for that."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and "allocate memory" in str(error)


def _is_of_reader(error: BaseException) -> bool:
    """Whether the error, or a class that it inherits from, is defined in one of READERS."""
    packages = [kind.__module__.partition(".")[0] for kind in type(error).__mro__]
    return any(package in READERS for package in packages)


def _message_of_system(error: OSError) -> str:
    """The file's name, what the system said about it, and what to do.

    Some libraries raise an OSError with nothing but a message.
    """
    if error.strerror is None:
        return str(error) or type(error).__name__
    message = error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    remedy = REMEDIES.get(error.errno or 0)
    return f"{message}; {remedy}" if remedy else message


def _message_of_command(error: subprocess.CalledProcessError) -> str:
    """The command that failed, and what it wrote, or else its exit status."""
    command = error.cmd if isinstance(error.cmd, str) else shlex.join(map(str, error.cmd))
    output = error.stderr or error.stdout or f"exit status {error.returncode}"
    if isinstance(output, bytes):
        output = output.decode(errors="replace")
    return f"{command}: {output}"
