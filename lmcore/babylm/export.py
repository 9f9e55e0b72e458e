"""One BabyLM entry: the trees of predictions, their validation, and the local leaderboard.

What the pipeline scored goes in. A folder comes out:

- results/MODEL/…, the tree of each model and its collated file;
- validation.json, {MODEL: {"present", "subsets", "missing", "wrong", "not_scored"}}, what the files
  hold, read back as the official collation reads them;
- leaderboard.html, one's models beside published baselines.

What was not scored is missing in the tree, and the validation names it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from lmcore.babylm.baselines import baselines
from lmcore.babylm.board import Board, as_metrics, make_board, scores_of
from lmcore.babylm.check import Report, check_submission, glue_key
from lmcore.babylm.collate import Submission, write_submission
from lmcore.babylm.evaluations import Evaluation, evaluation, sizes
from lmcore.babylm.leaderboard import leaderboard_page
from lmcore.babylm.tree import Project, stem
from lmcore.babylm_year import Track, ladder, revision_name
from lmcore.comparing.settings import Settings
from lmcore.errors import InputError
from lmcore.files import read_json_object, rounded, whole, write_json
from lmcore.machine.progress import Progress
from lmcore.params.ranges import Count, Name, SomeNames, Whole
from lmcore.suites.declare import subset_of, task_of

LEADERBOARD = "leaderboard.html"
VALIDATION = "validation.json"
Year = Literal[2025, 2026]


def export_babylm(
    project: Project,
    kept: Mapping[str, Mapping[str, Any]],
    settings: Settings,
    digits: int,
    glue_items: Mapping[str, int],
    acquisitions: Path,
    out: Path,
    metrics: Path,
    *,
    year: Year,
    models: SomeNames,
    track: Track = "strict_small",
    checkpoints: dict[Name, dict[Name, Count]] | None = None,
    acquisition: dict[Name, Name] | None = None,
    words: Count | None = None,
    draw: Whole = 0,
    complete: bool = False,
) -> None:
    """Write the folder `out`, and `metrics`: scores by both rules, and what is missing.

    kept: the entries of keep_checkpoint in params.yaml. glue_items: {GLUE task: the number of lines
    of its validation file, where it is one's own}. acquisitions: the folder of metrics that
    analyse_acquisition wrote; acquisition: {MODEL: its entry there}. checkpoints: {MODEL: {the
    model that is its checkpoint: words read}}, by default those of `kept` that are named by words.
    words: how many the training read, where it is not the track's whole budget; later checkpoints
    are then not asked for. draw: of random models. With `complete`, a missing or wrong part is an
    error, and nothing is written; tasks that lmcore does not score may be missing.

    Raises InputError for a model that was not made, for two models with one folder, and for suites
    that were not scored as BabyLM's evaluation scores them.
    """
    _check_stems(models)
    chosen, required = evaluation(year), required_words(year, track, words)
    by_model = checkpoints_of(models, kept, checkpoints)
    aoa = _acquisition_scores(acquisitions, acquisition or {})
    subsets = subsets_by_task(project) | glue_subsets(glue_items)
    reports: dict[str, Report] = {}
    submissions: dict[str, Submission] = {}
    with whole(out) as folder, Progress(len(models), "export", "model") as progress:
        for model in models:
            submissions[model] = write_submission(
                project,
                chosen,
                model,
                by_model[model],
                required,
                folder / "results",
                draw=draw,
                aoa=aoa.get(model),
            )
            reports[model] = check_submission(
                folder / "results" / stem(model), chosen, required, subsets
            )
            progress.advance(note=model)
        if complete:
            refuse_incomplete(reports)
        own = f"own data of {', '.join(sorted(glue_items))}" if glue_items else ""
        board = _board(project, chosen, models, track, settings, draw, aoa, own)
        page = leaderboard_page(board, chosen, track, settings.confidence, reports)
        (folder / LEADERBOARD).write_text(page, "utf-8")
        write_json(
            {model: report._asdict() for model, report in reports.items()}, folder / VALIDATION
        )
        found = as_metrics(board)
        for model, report in reports.items():
            found[model] |= _counts(report, submissions[model])
        write_json(rounded({"year": year, "models": found}, digits), metrics)


def write_leaderboard(
    project: Project,
    models: list[str],
    year: int,
    track: str,
    settings: Settings,
    out: Path,
    *,
    draw: int = 0,
) -> None:
    """Write the leaderboard's page alone, from what was scored. Raises as `export_babylm`."""
    chosen = evaluation(year)
    board = _board(project, chosen, models, track, settings, draw, {})
    page = leaderboard_page(board, chosen, track, settings.confidence, {})
    with whole(out) as path:
        path.write_text(page, "utf-8")


def _board(
    project: Project,
    chosen: Evaluation,
    models: list[str],
    track: str,
    settings: Settings,
    draw: int,
    aoa: Mapping[str, float],
    glue_subset: str = "",
) -> Board:
    """The board of these models. Raises InputError for one that was scored on no task."""
    scores = {
        model: scores_of(
            project, chosen, model, draw, settings.confidence, aoa.get(model), glue_subset
        )
        for model in models
    }
    for model, of_model in scores.items():
        if not of_model:
            raise InputError(
                f"{project.data / 'scores' / model}: none of BabyLM's tasks of {chosen.year} was"
                " scored; name them in `suites` of params.yaml and run the pipeline"
            )
    return make_board(scores, baselines(track), chosen, settings)


def required_words(year: int, track: str, words: int | None) -> list[int]:
    """The words of the checkpoints that a track asks for, of a training that reads so many."""
    required = ladder(year, track)
    return [number for number in required if words is None or number <= words]


def checkpoints_of(
    models: list[str],
    kept: Mapping[str, Mapping[str, Any]],
    given: Mapping[str, Mapping[str, int]] | None,
) -> dict[str, dict[int, str]]:
    """{model: {words read: the model that is this checkpoint}}.

    Raises InputError for checkpoints of a model that is not exported, and for two checkpoints of
    one name.
    """
    pairs: list[tuple[str, str, int]] = []
    if given is None:
        pairs = [
            (entry["model"], name, entry["words"])
            for name, entry in kept.items()
            if "words" in entry and entry["model"] in models
        ]
    else:
        for model, of_model in given.items():
            if model not in models:
                raise InputError(
                    f"checkpoints: '{model}' is not among the models {', '.join(models)}"
                )
            pairs += [(model, name, words) for name, words in of_model.items()]
    found: dict[str, dict[int, str]] = {model: {} for model in models}
    for model, name, words in pairs:
        if words in found[model]:
            raise InputError(
                f"checkpoints: '{name}' and '{found[model][words]}' would both be"
                f" {revision_name(words)} of '{model}'"
            )
        found[model][words] = name
    return found


def subsets_by_task(project: Project) -> dict[str, str]:
    """{task: how its subset is called}, of suites that declare by `items` to be a part of it."""
    found: dict[str, str] = {}
    for suite, entry in project.suites.items():
        task = task_of(suite, entry)
        if task in found or not project.items(suite).exists():
            continue
        if words := project.subset(suite):
            found[task] = words
    return found


def glue_subsets(glue_items: Mapping[str, int]) -> dict[str, str]:
    """{`glue_key` of a task: how it is called}, of tasks with a declared number of lines."""
    published = sizes()["glue"]
    return {glue_key(task): subset_of(n, published[task]) for task, n in glue_items.items()}


def refuse_incomplete(reports: Mapping[str, Report]) -> None:
    """Raises InputError, naming the first things, where anything is missing or wrong."""
    for model, report in reports.items():
        problems = [f"{line} is missing" for line in report.missing] + report.wrong
        if problems:
            more = f", and {len(problems) - 3} more" if len(problems) > 3 else ""
            raise InputError(
                f"export of '{model}': complete: true, but {'; '.join(problems[:3])}{more}"
            )


def _check_stems(models: list[str]) -> None:
    folders: dict[str, str] = {}
    for model in models:
        other = folders.setdefault(stem(model), model)
        if other != model:
            raise InputError(f"models '{other}' and '{model}' would be one folder '{stem(model)}'")


def _acquisition_scores(folder: Path, entries: Mapping[str, str]) -> dict[str, float]:
    """{model: the official score of age of acquisition}, of those whose entry has one.

    entries: {model: the entry of analyse_acquisition}. Without people's ages there is no score.
    Raises InputError where there is no such file.
    """
    found = {}
    for model, entry in entries.items():
        summary = read_json_object(folder / f"{entry}.json", "what analyse_acquisition wrote")
        score = summary.get("children", {}).get("curve_fitness")
        if score is not None:
            found[model] = float(score)
    return found


def _counts(report: Report, submission: Submission) -> dict[str, Any]:
    """What the metrics say of a model's submission; DVC shows the numbers among it."""
    subsets = submission.main.subsets
    return {
        "missing": sorted(report.missing),
        "n_checkpoints": len(submission.checkpoints),
        "n_missing": len(report.missing),
        "n_wrong": len(report.wrong),
        "not_scored": sorted(report.not_scored),
        "n_predictions": sum(submission.main.counts.values()),
        "subsets": sorted(f"{suite}: {words}" for suite, words in subsets.items()),
        "wrong": sorted(report.wrong),
    }
