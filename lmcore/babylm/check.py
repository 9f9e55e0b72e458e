"""A submission is read back as the official collation reads it: sizes, order, ids, checkpoints.

The folder RESULTS/MODEL, or one revision in it, goes in. What is there, what is missing and what
does not fit come out, a line each. A task whose suite declares by `items` that its data are a part
of the published ones is called a subset, and its sizes are not those that the collation asserts.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from lmcore.babylm.collate import FAST, collated_name, read_predictions
from lmcore.babylm.evaluations import (
    AOA,
    GLUE,
    N_READING,
    READING,
    Evaluation,
    Part,
    sizes,
)
from lmcore.babylm.tree import MAIN
from lmcore.babylm_year import revision_name
from lmcore.errors import InputError

# a function of one prediction and its place: what is wrong with it, or nothing
CheckOne = Callable[[dict, int], str]


class Report(NamedTuple):
    """Lines, each naming the file that it is about."""

    present: list[str]
    subsets: list[str]
    missing: list[str]
    wrong: list[str]
    not_scored: list[str]  # missing tasks that lmcore does not have; any other tool may add them

    @property
    def is_complete(self) -> bool:
        """Whether nothing that lmcore scores is missing or wrong; subsets are no mistake."""
        return not self.missing and not self.wrong

    def add(self, other: "Report", before: str) -> None:
        """Take over another report's lines, with the name of its revision before each."""
        for lines, of_other in zip(self, other):
            lines += [f"{before}/{line}" for line in of_other]


def empty_report() -> Report:
    return Report([], [], [], [], [])


def check_submission(
    folder: Path,
    evaluation: Evaluation,
    required: list[int],
    subsets: Mapping[str, str] | None = None,
) -> Report:
    """What RESULTS/MODEL holds of a model: `main`, the checkpoints, and the collated file.

    required: the words of the checkpoints that the track asks for. subsets: {task of lmcore.suites,
    or `glue_key` of a GLUE task: how its subset is called}.

    Raises InputError where the folder has no `main`, and for a file that is not JSON.
    """
    if not (folder / MAIN).is_dir():
        raise InputError(f"{folder}: has no folder '{MAIN}'; name the folder results/MODEL")
    report = empty_report()
    report.add(check_revision(folder / MAIN, evaluation, is_fast=False, subsets=subsets), MAIN)
    backend = backend_of(folder / MAIN)
    names = [revision_name(words) for words in required]
    _check_acquisition(folder / MAIN, evaluation, backend, names, report, subsets or {})
    for name in names:
        if not (folder / name).is_dir():
            report.missing.append(f"{name}: the whole checkpoint")
            continue
        of_checkpoint = check_revision(folder / name, evaluation, is_fast=True, subsets=subsets)
        report.add(of_checkpoint, name)
    _check_collated(folder, evaluation, backend, len(names), report)
    return report


def check_revision(
    folder: Path,
    evaluation: Evaluation,
    *,
    is_fast: bool,
    subsets: Mapping[str, str] | None = None,
) -> Report:
    """What RESULTS/MODEL/REVISION holds: the fast sets, or the full sets and GLUE.

    Raises InputError as `check_submission`, and where there is no folder zero_shot/BACKEND.
    """
    zero_shot = folder / "zero_shot" / backend_of(folder)
    report = empty_report()
    for part in evaluation.fast if is_fast else evaluation.full:
        _check_part(part, zero_shot, (subsets or {}).get(part.task, ""), report)
    for key in evaluation.not_scored:
        if not (zero_shot / key / key / "predictions.json").is_file():
            report.not_scored.append(f"{key}/{key}/predictions.json")
    _check_reading(zero_shot, (subsets or {}).get(READING, ""), report)
    if not is_fast:
        for task in GLUE:
            subset = (subsets or {}).get(glue_key(task), "")
            _check_glue(folder / "finetune" / task / "predictions.json", task, subset, report)
    return report


def backend_of(folder: Path) -> str:
    """The backend in RESULTS/MODEL/REVISION. Raises InputError unless there is one."""
    backends = sorted(path.name for path in (folder / "zero_shot").glob("*") if path.is_dir())
    if len(backends) != 1:
        raise InputError(
            f"{folder}: expected one folder zero_shot/BACKEND, found {len(backends)}; name the"
            " folder of a model's revision, such as results/MODEL/main"
        )
    return backends[0]


def _check_file(path: Path, name: str, report: Report) -> dict[str, Any] | None:
    """The content of a file; where there is none, the report says so."""
    content = read_predictions(path)
    if content is None:
        report.missing.append(f"{name}/{path.name}")
    return content


def _check_part(part: Part, zero_shot: Path, subset: str, report: Report) -> None:
    uids = _check_file(zero_shot / part.folder / "predictions.json", part.folder, report)
    if uids is None:
        return
    check_one = _is_graded if part.is_graded else _is_text
    counts, problems = _counts(uids, check_one)
    if not subset and not problems:
        problems = _wrong_sizes(counts, part.sizes)
    report.wrong.extend(f"{part.folder}: {problem}" for problem in problems)
    if not problems:
        _say(report, part.folder, sum(counts.values()), f"{len(counts)} UIDs", subset)


def _say(report: Report, name: str, count: int, what: str, subset: str) -> None:
    line = f"{name}: {count:,} predictions of {what}"
    if subset:
        report.subsets.append(f"{line}; {subset}")
    else:
        report.present.append(line)


def _check_reading(zero_shot: Path, subset: str, report: Report) -> None:
    uids = _check_file(zero_shot / READING / "predictions.json", READING, report)
    if uids is None:
        return
    counts, problems = _counts(uids, _is_reading)
    if not subset and not problems:
        problems = _wrong_sizes(counts, {READING: N_READING})
    report.wrong.extend(f"{READING}: {problem}" for problem in problems)
    if not problems:
        _say(report, READING, counts.get(READING, 0), "words", subset)


def glue_key(task: str) -> str:
    """What a GLUE task is called among the subsets, apart from suites such as `boolq`."""
    return f"finetune/{task}"


def _check_glue(path: Path, task: str, subset: str, report: Report) -> None:
    name = glue_key(task)
    uids = _check_file(path, name, report)
    if uids is None:
        return
    counts, problems = _counts(uids, _is_label)
    if not subset and not problems:
        problems = _wrong_sizes(counts, {task: sizes()["glue"][task]})
    report.wrong.extend(f"{name}: {problem}" for problem in problems)
    if not problems:
        _say(report, name, sum(counts.values()), f"{len(counts)} task", subset)


def _counts(uids: dict[str, Any], check_one: CheckOne) -> tuple[dict[str, int], list[str]]:
    """{UID: the number of its predictions}; and what is wrong with the first wrong one of each."""
    counts, problems = {}, []
    for uid, content in uids.items():
        predictions = content.get("predictions") if isinstance(content, dict) else None
        if not isinstance(predictions, list):
            return {}, [f"{uid} has no list of predictions"]
        counts[uid] = len(predictions)
        for number, prediction in enumerate(predictions):
            expected = number if check_one is _is_reading else f"{uid}_{number}"
            problem = "is no object" if not isinstance(prediction, dict) else ""
            problem = problem or check_one(prediction, number)
            if not problem and prediction.get("id") != expected:
                problem = f"has the id {prediction.get('id')!r}"
            if problem:
                problems.append(f"{uid}: prediction {number} {problem}")
                break
    return counts, problems


def _is_text(prediction: dict, number: int) -> str:
    return "" if isinstance(prediction.get("pred"), str) else "has no text `pred`"


def _is_graded(prediction: dict, number: int) -> str:
    return _is_text(prediction, number) or _lacks_number(prediction, "prob")


def _is_reading(prediction: dict, number: int) -> str:
    return _lacks_number(prediction, "pred") or _lacks_number(prediction, "prev_pred")


def _is_label(prediction: dict, number: int) -> str:
    value = prediction.get("pred")
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return "" if is_whole else "has no whole number `pred`"


def _lacks_number(prediction: dict, key: str) -> str:
    value = prediction.get(key)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return "" if is_number else f"has no number `{key}`"


def _wrong_sizes(counts: Mapping[str, int], expected: Mapping[str, int]) -> list[str]:
    """What differs from the asserted sizes, whose UIDs are compared in lower case, as there."""
    found = {uid.lower(): count for uid, count in counts.items()}
    asked = {uid.lower(): size for uid, size in expected.items()}
    problems = [
        f"{uid} has {found.get(uid, 0):,} predictions, expected {size:,}"
        for uid, size in asked.items()
        if found.get(uid, 0) != size
    ]
    return problems + [f"unknown UID '{uid}'" for uid in found if uid not in asked]


def _check_acquisition(
    folder: Path,
    evaluation: Evaluation,
    backend: str,
    names: list[str],
    report: Report,
    subsets: Mapping[str, str],
) -> None:
    """Age of acquisition: every context at every required checkpoint, and since 2026 the score."""
    place = f"{MAIN}/AoA_word"
    path = folder / "zero_shot" / backend / "AoA_word"
    content = _check_file(path / "surprisal.json", place, report)
    if evaluation.aoa_key != AOA:
        _check_file(path / "aoa_score.json", place, report)
    if content is None:
        return
    results = content.get("results")
    if not isinstance(results, list) or not all(map(_is_result, results)):
        report.wrong.append(f"{place}: surprisal.json has no results with step and surprisal")
        return
    counts: dict[str, int] = {}
    for result in results:
        counts[result["step"]] = counts.get(result["step"], 0) + 1
    problems = [f"{name} is missing" for name in names if name not in counts]
    problems += [f"{name} is not asked for" for name in counts if name not in names]
    subset = subsets.get(AOA, "")
    if not subset:
        problems += [
            f"{name} has {counts[name]:,} surprisals, expected {evaluation.n_contexts:,}"
            for name in names
            if counts.get(name, evaluation.n_contexts) != evaluation.n_contexts
        ]
    report.wrong.extend(f"{place}: {problem}" for problem in problems)
    if not problems:
        _say(report, place, len(results), f"{len(counts)} checkpoints", subset)


def _is_result(result: object) -> bool:
    if not isinstance(result, dict) or not isinstance(result.get("step"), str):
        return False
    return not _lacks_number(result, "surprisal")


def _check_collated(
    folder: Path, evaluation: Evaluation, backend: str, n_checkpoints: int, report: Report
) -> None:
    """The collated file: every key, what the tree holds, and an entry for each checkpoint."""
    name = collated_name(backend)
    content = read_predictions(folder / name)
    if content is None:
        report.missing.append(name)
        return
    zero_shot = folder / MAIN / "zero_shot" / backend
    problems = []
    for part in evaluation.full:
        of_tree = read_predictions(zero_shot / part.folder / "predictions.json")
        # as texts, for NaN is not equal to itself
        if json.dumps(content.get(part.key)) != json.dumps(of_tree):
            problems.append(f"'{part.key}' is not what {MAIN}/{part.folder} holds")
    others = (*evaluation.not_scored, READING, evaluation.aoa_key, AOA, "glue", FAST)
    problems += [f"there is no key '{key}'" for key in others if key not in content]
    for key, entries in (content.get(FAST) or {}).items():
        if not isinstance(entries, list) or len(entries) != n_checkpoints:
            problems.append(f"{FAST}: '{key}' needs {n_checkpoints} entries, one a checkpoint")
    report.wrong.extend(f"{name}: {problem}" for problem in problems)
    if not problems:
        report.present.append(f"{name}: {len(content)} keys, {n_checkpoints} checkpoints")
