"""The commands of `lmcore` about the repository: its results and experiments, and its pipeline.

They are results, metrics, use, verify and unlock.
"""

import tempfile
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lmcore.commands.options import Data
from lmcore.errors import InputError
from lmcore.shown import for_terminal


class Form(StrEnum):
    """The forms in which `metrics` writes."""

    text = "text"
    csv = "csv"
    md = "md"
    json = "json"


class Digits(StrEnum):
    """How many digits `metrics` writes."""

    auto = "auto"
    full = "full"


def results(
    out: Annotated[Path, typer.Option(help="the page to write")] = Path("docs/results.md"),
    data: Data = Path("data"),
    metrics: Annotated[Path, typer.Option(help="the folder of the pipeline's metrics")] = Path(
        "metrics"
    ),
) -> None:
    """Write the page that sets the models beside published ones on filtered BLiMP and the
    supplement.
    """
    import datetime
    import subprocess

    from lmcore.commands.results import write_results

    command = ["git", "rev-parse", "--short", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    models = write_results(
        metrics=metrics / "models",
        intervals=metrics / "intervals.json",
        scores=data / "scores",
        model_folder=data / "models",
        out=out,
        date=datetime.date.today().isoformat(),
        commit=done.stdout.strip(),
    )
    typer.echo(for_terminal(f"{out}: {', '.join(models)}"))


def metrics(
    model: Annotated[
        list[str] | None, typer.Argument(help="models; without any, all of them")
    ] = None,
    suite: Annotated[
        list[str] | None, typer.Option(help="only this suite; repeat it for several")
    ] = None,
    rev: Annotated[
        str | None,
        typer.Option(help="a branch, tag, commit or experiment; without it the workspace"),
    ] = None,
    form: Annotated[
        Form, typer.Option("--format", help="csv and json have all digits")
    ] = Form.text,
    digits: Annotated[
        Digits, typer.Option(help="auto: as many as the interval supports; full: all of them")
    ] = Digits.auto,
) -> None:
    """The metrics of the models with their intervals, side by side, in a table for each suite."""
    from lmcore.commands import metrics as tables_of
    from lmcore.history.revisions import Revision, repository

    tables = tables_of.read_tables(Revision(repository(), rev), model or [], suite or [])
    is_full = digits is Digits.full
    if form is Form.csv:
        text = tables_of.as_csv(tables)
    elif form is Form.json:
        text = tables_of.as_data(tables)
    elif form is Form.md:
        text = tables_of.as_markdown(tables, full=is_full)
    else:
        text = tables_of.as_text(tables, full=is_full)
    typer.echo(text, nl=False)


def use(
    experiment: Annotated[
        Path | None,
        typer.Argument(
            help="A YAML file of what differs, e.g. experiments/real.yaml; without it only the "
            "artifacts are written."
        ),
    ] = None,
) -> None:
    """Merge an experiment into params.yaml, comments kept, and name the models that it trains in
    the artifacts of dvc.yaml; `git diff params.yaml dvc.yaml` shows it, `git checkout params.yaml
    dvc.yaml` undoes it.
    """
    from lmcore.history.artifacts import bring_in_step
    from lmcore.history.experiments import apply

    params, pipeline = Path("params.yaml"), Path("dvc.yaml")
    for name in apply(experiment, params) if experiment is not None else []:
        typer.echo(for_terminal(name))
    if pipeline.exists() and (names := bring_in_step(params, pipeline)):
        typer.echo(for_terminal(f"dvc.yaml: artifacts: {', '.join(names)}"))


def verify(
    stages: Annotated[
        list[str] | None, typer.Argument(help="stages of dvc.yaml; without any, all of them")
    ] = None,
    keep: Annotated[
        Path | None, typer.Option(help="rebuild in this folder, which must not exist, and keep it")
    ] = None,
) -> None:
    """Whether the committed pipeline gives the same bytes again: rebuilds it in a clean clone and
    compares every output with dvc.lock.
    """
    from lmcore.history.revisions import repository
    from lmcore.history.verify import as_text, uncommitted
    from lmcore.history.verify import verify as rebuild

    if keep is not None and keep.exists():
        raise InputError(f"{keep}: exists already; name a folder that does not")
    root = repository()
    if changed := uncommitted(root):
        note = f"note: HEAD is verified, without what is not committed: {', '.join(changed)}"
        typer.echo(for_terminal(note), err=True)
    with tempfile.TemporaryDirectory(prefix="lmcore-verify-") as temporary:
        clone = keep or Path(temporary) / "clone"
        outputs = rebuild(root, clone.absolute(), stages or [])
    typer.echo(as_text(outputs), nl=False)
    if any(output.difference for output in outputs):
        raise typer.Exit(1)


def extract(
    models: Annotated[
        list[str] | None, typer.Argument(help="models of params.yaml; without any, all of them")
    ] = None,
    jobs: Annotated[
        int, typer.Option(min=1, help="models scored side by side; more than 1 is for a cluster")
    ] = 1,
) -> None:
    """Score all models at once, so that a cluster is busy with the whole matrix; `dvc repro` then
    finds the stages extract_tokens done.
    """
    from lmcore.history.extraction import extract_all
    from lmcore.history.revisions import repository

    done = extract_all(repository(), models or [], jobs)
    scored = f"{len(done)} scored: {', '.join(done)}"
    typer.echo(scored if done else "all models were scored before")


def unlock() -> None:
    """Mend what a killed DVC left behind and stops every later `dvc repro`; `make repro` begins
    with it. Says nothing where all is well.
    """
    from lmcore.history.revisions import Revision, repository
    from lmcore.history.unlock import unlock as mend

    root = repository()
    if message := mend(root):
        typer.echo(message)
    try:
        _ = Revision(root, None).stages  # reads dvc.lock, which may be broken, too
    except InputError as error:
        raise InputError(
            f"{error}; `git checkout dvc.lock` brings back the committed one, "
            "and DVC's run cache what ran since"
        ) from error
    _refuse_changed_folders(root)
    _note_artifacts(root)


def _note_artifacts(root: Path) -> None:
    """Say where the artifacts of dvc.yaml are not the models that params.yaml trains."""
    from lmcore.history.artifacts import in_step
    from lmcore.history.revisions import Revision

    if not in_step(Revision(root, None).params, root / "dvc.yaml"):
        note = "note: the artifacts of dvc.yaml are not the models that params.yaml trains; "
        typer.echo(f"{note}`lmcore use` without a file writes them", err=True)


def _refuse_changed_folders(root: Path) -> None:
    """Raises InputError for an imported model whose folder has changed, which DVC does not see."""
    from lmcore.history.revisions import Revision
    from lmcore.models.imported_folders import changed_folders

    imports = Revision(root, None).params.get("import_model")
    imports = imports if isinstance(imports, dict) else {}
    if changed := changed_folders(imports, root / "data" / "models"):
        stages = " ".join(f"import_model@{name}" for name in changed)
        raise InputError(
            f"import_model: {', '.join(changed)}: the folder is not what was imported, which DVC "
            f"does not see; run `dvc repro --force --single-item {stages}` and then go on"
        )
