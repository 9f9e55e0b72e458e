"""The commands of `lmcore` for what was scored: diff of revisions or logs, audit of a score."""

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lmcore.commands.options import Data, Json
from lmcore.errors import InputError

if TYPE_CHECKING:
    from lmcore.comparing.diff_results import Diff
    from lmcore.history.revisions import Revision

RevA = Annotated[
    str,
    typer.Argument(
        metavar="A", help="a branch, tag, commit or experiment; or a log, a file or a folder"
    ),
]
RevB = Annotated[str | None, typer.Argument(metavar="B", help="likewise; without it the workspace")]
Answers = Annotated[
    Path | None,
    typer.Option(help="the folder evaluation_data, which BabyLM predictions answer"),
]
Suites = Annotated[list[str] | None, typer.Option(help="only this suite; repeat it for several")]
ModelsOrRecipes = Annotated[
    list[str] | None, typer.Option(help="only this model or recipe; repeat it for several")
]
Metric = Annotated[
    str | None, typer.Option(help="of suites that all have it, instead of the headline metric")
]
Margin = Annotated[
    float | None,
    typer.Option(help="differences within this count as equal, in the metric's unit"),
]
Common = Annotated[
    bool, typer.Option("--common", help="where the items differ, compare those that both have")
]
ByGroup = Annotated[bool, typer.Option("--by-group", help="also group by group: paradigm, book")]
Items = Annotated[
    int,
    typer.Option(
        min=0, help="so many examples that became worse, and better, with texts and log-probs"
    ),
]
Markdown = Annotated[bool, typer.Option("--md", help="Markdown, for a pull request")]
Html = Annotated[
    Path | None,
    typer.Option(help="also write this page: the differences, and the items under both revisions"),
]
FailOn = Annotated[
    str | None,
    typer.Option(
        help="`worse`: exit status 1 where something got worse, is stale or was not compared"
    ),
]
# what was asked for and the settings go in
Compare = Callable[[dict[str, Any], dict[str, Any]], "Diff"]


def diff(
    rev_a: RevA = "HEAD",
    rev_b: RevB = None,
    suite: Suites = None,
    model: ModelsOrRecipes = None,
    metric: Metric = None,
    margin: Margin = None,
    common: Common = False,
    by_group: ByGroup = False,
    items: Items = 0,
    md: Markdown = False,
    as_json: Json = False,
    html: Html = None,
    fail_on: FailOn = None,
    answers: Answers = None,
) -> None:
    """Whether the difference between two revisions, or two logs of lm-eval, lighteval, Inspect or
    BabyLM, is real: paired on the same items, with intervals and corrected p values.
    """
    if fail_on not in (None, "worse"):
        raise InputError(f"--fail-on: there is no verdict '{fail_on}' to fail on; expected worse")
    if margin is not None and not 0 <= margin < float("inf"):
        raise InputError(f"--margin: must be a number of at least 0, not {margin}")
    asked = {"suites": suite or [], "models": model or [], "common": common}
    asked |= {"groups": by_group, "n_items": items}
    compare_them: Compare
    if logs := _logs(rev_a, rev_b):
        if html:
            raise InputError("--html: logs hold no tokens to show; name two revisions")
        settings = _settings_of_logs(metric)
        compare_them = partial(_diff_of_logs, logs, answers, margin)
    else:
        settings, compare_them = _revisions(rev_a, rev_b, metric, margin, html)
    if fail_on:
        _refuse_neutral(settings["metrics"])
    difference = compare_them(asked, settings)
    from lmcore.comparing import diff_text

    if md:
        text = diff_text.as_markdown(difference)
    elif as_json:
        text = diff_text.as_data(difference)
    else:
        text = diff_text.as_text(difference, colour=sys.stdout.isatty())
    typer.echo(text, nl=False)
    if fail_on:
        got_worse = any(row.comparison.verdict == fail_on for row in difference.rows)
        if got_worse or difference.refused or diff_text.doubts(difference):
            raise typer.Exit(1)


def _revisions(
    rev_a: str, rev_b: str | None, metric: str | None, margin: float | None, html: Path | None
) -> tuple[dict[str, Any], Compare]:
    """The settings of the workspace, and the comparison of two revisions.

    The comparison writes the page `html`, too, if that is given.
    """
    from lmcore.comparing.diff import diff as compare_revisions
    from lmcore.comparing.diff import settings_of
    from lmcore.history.revisions import Revision, repository

    root = repository()
    workspace = Revision(root, None)
    a = Revision(root, rev_a)
    b = workspace if rev_b is None else Revision(root, rev_b)
    settings = settings_of(workspace.params, metric, margin)

    def compare_them(asked: dict[str, Any], settings: dict[str, Any]) -> "Diff":
        difference = compare_revisions(a, b, **asked, **settings)
        if html:
            _write_page(difference, a, b, asked, settings, html)
        return difference

    return settings, compare_them


def _write_page(
    difference: "Diff",
    a: "Revision",
    b: "Revision",
    asked: dict[str, Any],
    settings: dict[str, Any],
    out: Path,
) -> None:
    """Write the page of a diff, with the items of all models and suites that differ."""
    from lmcore.comparing.diff import compared_scores
    from lmcore.items.revisions import revision_set
    from lmcore.report.differences import write_diff_page

    sets = []
    if difference.without_tables is None:
        named = {"suites": asked["suites"], "models": asked["models"]}
        scores = compared_scores(a, b, **named, **settings)
        for row in difference.rows:
            sets.append(revision_set(row.model, *scores[row.model, row.suite]))
    write_diff_page(difference, sets, out)


def _logs(rev_a: str, rev_b: str | None) -> tuple[Path, Path] | None:
    """Both as paths, if they are files or folders; None if they are revisions.

    A name that git knows is a revision; `./NAME` is always a path. Raises InputError where one of
    the two is a log alone.
    """
    names = [rev_a] if rev_b is None else [rev_a, rev_b]
    # an empty name is an unset variable, not this folder
    are_paths = [bool(name) and Path(name).exists() and not _is_revision(name) for name in names]
    if not any(are_paths):
        return None
    if rev_b is None:
        raise InputError(f"{rev_a}: is a file or folder; name two logs to compare, A and B")
    if not all(are_paths):
        other = names[are_paths.index(False)]
        raise InputError(
            f"{other}: no such file or folder; A and B must both be logs, or revisions"
        )
    return Path(rev_a), Path(rev_b)


def _is_revision(name: str) -> bool:
    """Whether git knows a name here."""
    command = ["git", "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}"]
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except FileNotFoundError:  # without git there are no revisions
        return False


def _settings_of_logs(metric: str | None) -> dict[str, Any]:
    """The settings with which logs are compared: the defaults of params.yaml."""
    from lmcore.comparing.diff_logs import DEFAULTS

    return DEFAULTS._asdict() | ({"metrics": [metric]} if metric else {})


def _diff_of_logs(
    logs: tuple[Path, Path],
    answers: Path | None,
    margin: float | None,
    asked: dict[str, Any],
    settings: dict[str, Any],
) -> "Diff":
    """The comparison of two logs; the margin holds for whatever metrics they have."""
    from lmcore.comparing.diff_logs import diff_logs
    from lmcore.comparing.diff_results import Asked
    from lmcore.comparing.settings import Settings
    from lmcore.logs.open import read_logs

    a, b = (read_logs(path, answers) for path in logs)
    if margin is not None:
        metrics = [metric for evaluation in b for metric in evaluation.metrics()]
        settings = settings | {"margin": dict.fromkeys(metrics, margin)}
    names = str(logs[0]), str(logs[1])
    return diff_logs(a, b, names, Asked(**asked, settings=Settings(**settings)))


def audit(
    log_or_model: Annotated[
        str, typer.Argument(help="a log, a file or a folder; or a model of params.yaml")
    ],
    md: Markdown = False,
    as_json: Json = False,
    data: Data = Path("data"),
) -> None:
    """How much of a score is not knowledge: ties, lengths, the first option, identical options,
    the standard error, dtype.
    """
    from lmcore.commands import audit as page

    audits, without = page.audits_of(log_or_model, data)
    if as_json:
        text = page.as_data(audits, without)
    elif md:
        text = page.as_markdown(audits, without)
    else:
        text = page.as_text(audits, without)
    typer.echo(text, nl=False)


def _refuse_neutral(metrics: list[str]) -> None:
    """Raises InputError for a metric that can get neither worse nor better."""
    from lmcore.comparing.comparison import NEITHER_IS_BETTER

    for metric in metrics:
        if metric in NEITHER_IS_BETTER:
            raise InputError(
                f"--fail-on: {metric} is good neither high nor low, so nothing gets worse by it; "
                "name another --metric"
            )
