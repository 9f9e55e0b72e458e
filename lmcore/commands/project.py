"""The command of `lmcore` that makes a project of one's own: init."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from lmcore.shown import for_terminal


def init(
    folder: Annotated[Path, typer.Argument(help="to make; it must not exist, or be empty")],
    model: Annotated[
        str | None, typer.Option(help="a model folder or a hub id, which is imported and scored")
    ] = None,
    suite: Annotated[
        Path | None,
        typer.Option(help="a .csv, .jsonl or .parquet file of items, whose columns say their kind"),
    ] = None,
) -> None:
    """Make a project of your own: a git and DVC repository with the pipeline, and none of this
    repository's history.
    """
    from lmcore.commands.new_project import init_project

    project = init_project(folder, model, suite)
    for remark in project.remarks:
        typer.echo(for_terminal(f"note: {remark}"), err=True)
    typer.echo(for_terminal(f"cd {shlex.quote(str(folder))}"))
    if project.data:
        typer.echo(for_terminal(f"export LMCORE_DATA={shlex.quote(project.data)}"))
    typer.echo("make repro    # or, where lmcore and DVC are installed: lmcore unlock && dvc repro")
