"""The `lmcore` command: here the commands, which other modules of this package hold, get names.

See lmcore.commands.one_line_errors for how a command ends.
"""

import inspect
from collections.abc import Callable
from typing import Annotated

import typer

from lmcore.commands import (
    babylm,
    checkpoints,
    comparing,
    differences,
    explore,
    figures,
    history,
    project,
    racing,
    sharing,
    suites,
    view,
)
from lmcore.commands.one_line_errors import OneLineErrors

HELP = (
    "The `lmcore` command, for people: each command calls one function of a module.\n\n"
    "What is expected to go wrong ends in one line on the standard error: bad input, files and "
    "what they hold, git, the hub, memory with exit\n"
    "status 1; options and arguments that the command does not take with 2; an interrupt with "
    "130. A mistake of ours shows its traceback."
)
# In the order in which the help lists them
COMMANDS: dict[str, Callable[..., None]] = {
    "init": project.init,
    "validate": suites.validate,
    "tokens": suites.tokens,
    "compare": comparing.compare,
    "export-babylm": babylm.export_babylm,
    "check-babylm": babylm.check_babylm,
    "leaderboard": babylm.leaderboard,
    "export": sharing.export,
    "push": sharing.push,
    "figure": figures.figure,
    "results": history.results,
    "metrics": history.metrics,
    "use": history.use,
    "ladder": checkpoints.ladder,
    "diff": differences.diff,
    "audit": differences.audit,
    "view": view.view,
    "race": racing.race,
    "extract": history.extract,
    "verify": history.verify,
    "unlock": history.unlock,
    "next": explore.next_,
    "surprisal": explore.surprisal,
    "sample": explore.sample,
    "blend": explore.blend,
}

app = typer.Typer(
    cls=OneLineErrors,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help=HELP,
)


def _help(command: Callable[..., None]) -> str:
    """The docstring of a command, each paragraph in one line.

    typer would keep the line ends of the docstring in its list of commands.
    """
    paragraphs = (inspect.getdoc(command) or "").split("\n\n")
    return "\n\n".join(paragraph.replace("\n", " ") for paragraph in paragraphs)


for name, command in COMMANDS.items():
    app.command(name, help=_help(command))(command)


def _show_version(wanted: bool) -> None:
    """Print the version and end, if that is wanted."""
    if wanted:
        from importlib.metadata import version

        typer.echo(f"lmcore {version('lmcore')}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="say which version this is"
        ),
    ] = False,
) -> None:
    """Train and compare small language models."""


if __name__ == "__main__":
    app()
