"""How the `lmcore` command ends: every expected error in one line on the standard error.

The exit status is

- 1 for bad input, and for errors of files and what they hold, of git, of the hub and of memory;
- 2 for options and arguments that a command does not take;
- 130 for an interrupt.

A mistake of ours shows its traceback.
"""

import io
import os
import sys
from typing import Any, NoReturn

import typer

from lmcore.errors import error_line
from lmcore.shown import for_terminal


class OneLineErrors(typer.core.TyperGroup):
    """A group of commands whose errors end as this module says."""

    def main(self, *arguments, **options) -> NoReturn:
        """Run the command of the command line, and exit with its status."""
        _open_streams()
        try:
            status = super().main(*arguments, **options | {"standalone_mode": False})
            sys.stdout.flush()
        except (Exception, KeyboardInterrupt) as error:
            status = _status(error)
        sys.exit(status)

    def invoke(self, ctx):
        """Run a command; what typer itself would handle differently is caught before it sees it."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:  # typer would say nothing
            typer.echo("error: interrupted", err=True)
            raise typer.Exit(130) from None
        except BrokenPipeError:  # typer would take it for a failure
            _drop_output()


def _open_streams() -> None:
    """Set the standard streams to UTF-8 whatever the locale, and replace those that are closed.

    A stream that the caller closed becomes an empty one in memory.
    """
    sys.stdin = sys.stdin or io.StringIO()
    sys.stdout = sys.stdout or io.TextIOWrapper(io.BytesIO())
    sys.stderr = sys.stderr or io.TextIOWrapper(io.BytesIO())
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8")


def _status(error: Any) -> int:
    """Say what was wrong, and return the exit status; a mistake of ours is raised again."""
    if isinstance(error, BrokenPipeError):
        _drop_output()
        return 0
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        return error.exit_code
    if hasattr(error, "format_message"):  # typer's own errors, about options and arguments
        message = " ".join(error.format_message().split())
        typer.echo(f"error: {for_terminal(message)}", err=True)
        return error.exit_code
    line = error_line(error)
    if line is None:
        raise error
    typer.echo(f"error: {line}", err=True)
    return 1


def _drop_output() -> None:
    """Send the rest of the output nowhere: its reader, such as `| head`, has seen enough."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
