"""The commands of `lmcore` that give a model away: export (to a folder) and push (to the hub)."""

from pathlib import Path
from typing import Annotated

import typer

from lmcore.shown import for_terminal

Model = Annotated[str, typer.Argument(help="of params.yaml, made by `dvc repro`")]
Language = Annotated[
    str | None, typer.Option(help="of the model, for its card, e.g. en; never guessed")
]
License = Annotated[
    str | None, typer.Option(help="of the model, for its card, e.g. apache-2.0; never guessed")
]


def export(
    model: Model,
    folder: Annotated[Path, typer.Argument(help="to write; it must not exist, or be empty")],
    language: Language = None,
    license: License = None,
) -> None:
    """Write a model as a folder that transformers loads, with a model card: data, recipe, metrics
    with intervals, commit.
    """
    from lmcore.commands.model_export import export_model
    from lmcore.history.revisions import repository

    files = export_model(repository(), model, folder, language=language, license=license)
    typer.echo(for_terminal(f"{folder}: {', '.join(files)}"))


def push(
    model: Model,
    repo: Annotated[str, typer.Argument(metavar="ORG/NAME", help="on the hub; made if not there")],
    private: Annotated[
        bool, typer.Option("--private", help="make the repository a private one")
    ] = False,
    revision: Annotated[
        str | None, typer.Option(help="the branch to commit to, made if not there")
    ] = None,
    language: Language = None,
    license: License = None,
) -> None:
    """Export a model and upload it to the Hugging Face hub, with the token in HF_TOKEN or that of
    `hf auth login`.
    """
    from lmcore.commands.model_export import push_model
    from lmcore.history.revisions import repository

    address = push_model(
        repository(),
        model,
        repo,
        private=private,
        revision=revision,
        language=language,
        license=license,
    )
    typer.echo(for_terminal(address))
