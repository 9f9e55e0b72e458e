"""The commands of `lmcore` for BabyLM: export-babylm, check-babylm and leaderboard."""

from pathlib import Path
from typing import Annotated

import typer

from lmcore.commands.options import Data
from lmcore.errors import InputError
from lmcore.shown import for_terminal

Year = Annotated[int, typer.Option(help="of the evaluation: 2025 or 2026")]
Track = Annotated[str, typer.Option(help="strict_small (10M words) or strict (100M)")]
Words = Annotated[
    int | None,
    typer.Option(help="that the training read, where it is not the track's whole budget"),
]
Draw = Annotated[int, typer.Option(help="of a random model")]


def export_babylm(
    model: Annotated[str, typer.Argument(help="of params.yaml, scored by `dvc repro`")],
    out: Annotated[
        Path,
        typer.Option(
            help="of 2024 the file to write, .json or .json.gz; of a later year the folder results"
        ),
    ],
    year: Annotated[int, typer.Option(help="of the evaluation: 2024, 2025 or 2026")] = 2024,
    track: Track = "strict_small",
    checkpoint: Annotated[
        list[str] | None,
        typer.Option(
            help="WORDS=MODEL, a model that is a checkpoint, e.g. 1000000=mine_chck_1m; repeat it"
        ),
    ] = None,
    words: Words = None,
    draw: Draw = 0,
    data: Data = Path("data"),
) -> None:
    """Write a model's predictions as BabyLM's evaluation of a year collects them."""
    from lmcore.babylm.collate import write_submission
    from lmcore.babylm.evaluations import evaluation
    from lmcore.babylm.export import required_words
    from lmcore.babylm.one_file import export_babylm as export
    from lmcore.babylm.tree import built_project
    from lmcore.babylm_year import YEARS

    if year in YEARS:
        submission = write_submission(
            built_project(data),
            evaluation(year),
            model,
            _checkpoints(checkpoint or []),
            required_words(year, track, words),
            out,
            draw=draw,
        )
        counts = submission.main.counts
    elif year == 2024:
        counts = export(data / "items", data / "tokens" / model, out, draw=draw)
    else:
        raise InputError(f"--year: must be 2024, 2025 or 2026, not {year}")
    exported = ", ".join(f"{n:,} predictions of {suite}" for suite, n in counts.items())
    typer.echo(for_terminal(f"{out}: {exported or 'no predictions: nothing was scored'}"))


def check_babylm(
    folder: Annotated[Path, typer.Argument(help="results/MODEL, or results/MODEL/REVISION")],
    year: Year = 2026,
    track: Track = "strict_small",
    words: Words = None,
) -> None:
    """Say what a folder of BabyLM predictions holds, and what is missing or does not fit."""
    from lmcore.babylm.check import check_revision, check_submission
    from lmcore.babylm.evaluations import evaluation
    from lmcore.babylm.export import required_words
    from lmcore.babylm.tree import MAIN

    chosen, required = evaluation(year), required_words(year, track, words)
    if (folder / MAIN).is_dir():
        report = check_submission(folder, chosen, required)
    else:
        report = check_revision(folder, chosen, is_fast=folder.name != MAIN)
    missing = [f"missing: {line}" for line in report.missing]
    others = [f"missing, and not scored by lmcore: {line}" for line in report.not_scored]
    for line in [*report.present, *missing, *report.wrong, *others]:
        typer.echo(for_terminal(line))
    if not report.is_complete:
        raise typer.Exit(1)


def leaderboard(
    models: Annotated[list[str], typer.Argument(help="of params.yaml, scored by `dvc repro`")],
    out: Annotated[Path, typer.Option(help="the HTML file to write")] = Path("leaderboard.html"),
    year: Year = 2026,
    track: Track = "strict_small",
    draw: Draw = 0,
    data: Data = Path("data"),
) -> None:
    """Write one page with these models beside published BabyLM baselines, by the official rule
    and without a bonus for ties.
    """
    from lmcore.babylm.export import write_leaderboard
    from lmcore.babylm.tree import built_project
    from lmcore.comparing.diff_logs import DEFAULTS

    write_leaderboard(built_project(data), models, year, track, DEFAULTS, out, draw=draw)
    typer.echo(for_terminal(f"{out}: {len(models)} models"))


def _checkpoints(given: list[str]) -> dict[int, str]:
    """The options --checkpoint. Raises InputError for one that is not WORDS=MODEL."""
    checkpoints = {}
    for text in given:
        words, _, model = text.partition("=")
        if not words.isdecimal() or not model:
            raise InputError(
                f"--checkpoint: expected WORDS=MODEL, such as 1000000=mine_chck_1m, not {text!r}"
            )
        checkpoints[int(words)] = model
    return checkpoints
