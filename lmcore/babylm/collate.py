"""All of a model's files in one, as the official collation writes it and the leaderboard takes it.

A model's revisions, written by lmcore.babylm.tree, go in. In RESULTS/MODEL comes out
all_full_preds_and_fast_scores_BACKEND.json: the predictions on the full sets by task, and under
`fast_eval_results` {task: [one entry for each checkpoint that the track asks for]}, each entry the
scores by UID. UIDs stand as they are in the data. What is missing is null.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from lmcore.babylm import surprisals
from lmcore.babylm.evaluations import AOA, GLUE, READING, Evaluation
from lmcore.babylm.tree import (
    MAIN,
    Project,
    Written,
    stem,
    write_json_file,
    write_revision,
)
from lmcore.babylm_year import revision_name
from lmcore.files import read_json_object

MOST_BYTES = 1 << 30
FAST = "fast_eval_results"


class Submission(NamedTuple):
    """What was written of a model."""

    backend: str
    main: Written
    checkpoints: dict[str, Written]  # by revision


def collated_name(backend: str) -> str:
    return f"all_full_preds_and_fast_scores_{backend}.json"


def write_submission(
    project: Project,
    evaluation: Evaluation,
    model: str,
    checkpoints: Mapping[int, str],
    required: list[int],
    out: Path,
    *,
    draw: int = 0,
    aoa: float | None = None,
) -> Submission:
    """Write the tree of a model with its checkpoints, and the collated file, below `out`, RESULTS.

    checkpoints: {words read: the model that it is}. required: the words of the checkpoints that the
    track asks for. aoa: the score of age of acquisition.
    """
    folder = out / stem(model)
    backend = project.backend(model)
    main = write_revision(project, evaluation, model, folder / MAIN, is_fast=False, draw=draw)
    revisions = {}
    for words, checkpoint in sorted(checkpoints.items()):
        name = revision_name(words)
        revisions[name] = write_revision(
            project, evaluation, checkpoint, folder / name, is_fast=True, draw=draw
        )
    n_contexts = _write_aoa(
        project, evaluation, model, checkpoints, aoa, folder / MAIN / "zero_shot" / backend
    )
    if n_contexts:
        main.counts[AOA] = n_contexts
    content = _full(evaluation, folder / MAIN, backend)
    content[FAST] = _fast(evaluation, [revision_name(words) for words in required], revisions)
    write_json_file(content, folder / collated_name(backend))
    return Submission(backend, main, revisions)


def _write_aoa(
    project: Project,
    evaluation: Evaluation,
    model: str,
    checkpoints: Mapping[int, str],
    score: float | None,
    zero_shot: Path,
) -> int:
    """Write the surprisals of the checkpoints that were scored; return their number."""
    suite = project.suite_of(AOA)
    scored = {
        words: project.scores(checkpoint, suite)
        for words, checkpoint in checkpoints.items()
        if suite is not None and project.scores(checkpoint, suite).exists()
    }
    if suite is None or not scored:
        return 0
    content = surprisals.acquisition(scored, project.items(suite), model, evaluation.least_contexts)
    write_json_file(content, zero_shot / "AoA_word" / "surprisal.json")
    if score is not None and evaluation.year >= 2026:
        write_json_file({AOA: score}, zero_shot / "AoA_word" / "aoa_score.json")
    return len(content["results"])


def _full(evaluation: Evaluation, folder: Path, backend: str) -> dict[str, Any]:
    """{key: the content of its file, or None}, read back from the tree."""
    zero_shot = folder / "zero_shot" / backend
    content: dict[str, Any] = {}
    for part in evaluation.full:
        content[part.key] = read_predictions(zero_shot / part.folder / "predictions.json")
    for key in evaluation.not_scored:
        content[key] = None
    content[READING] = read_predictions(zero_shot / READING / "predictions.json")
    content[evaluation.aoa_key] = read_predictions(zero_shot / "AoA_word" / "surprisal.json")
    if evaluation.aoa_key != AOA:
        content[AOA] = read_predictions(zero_shot / "AoA_word" / "aoa_score.json")
    content["glue"] = {}
    for task in GLUE:
        of_task = read_predictions(folder / "finetune" / task / "predictions.json")
        content["glue"] |= of_task or {}
    return content


def _fast(
    evaluation: Evaluation, required: list[str], revisions: Mapping[str, Written]
) -> dict[str, list[dict[str, float] | None]]:
    """{key: the scores of each required checkpoint, None where there are none}."""
    keys = [part.key for part in evaluation.fast]
    results: dict[str, list[dict[str, float] | None]] = {}
    for key in (*keys, *evaluation.not_scored, READING):
        results[key] = [
            revisions[name].scores.get(key) if name in revisions else None for name in required
        ]
    return results


def read_predictions(path: Path) -> dict[str, Any] | None:
    """The content of a file of predictions, None where there is none. NaN is a number here."""
    if not path.is_file():
        return None
    return read_json_object(path, "BabyLM predictions", MOST_BYTES, may_hold_nan=True)
