"""The files that the BabyLM evaluation of 2025 and 2026 collects, of one model.

Items, tokens, scores and classifiers' predictions of the pipeline go in. Under
RESULTS/MODEL/REVISION come out

- zero_shot/BACKEND/TASK/DATA/predictions.json of every suite that was scored: {UID:
  {"predictions": [{"id": "UID_0", "pred": TEXT}]}}, where TEXT is the chosen option, of COMPS (and
  of EWoK since 2026) the whole sentence. WUG also has `prob`, the probability of the first option;
- zero_shot/BACKEND/reading/predictions.json: {"reading": {"predictions": [{"id": 0, "pred": nats,
  "prev_pred": nats}]}}, with NaN for a word that none precedes;
- finetune/TASK/predictions.json: {TASK: {"predictions": [{"id": "TASK_0", "pred": label}]}}.

What was not scored has no file. lmcore.babylm.collate puts all of a model into one file.

Source: see lmcore.babylm.evaluations.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from lmcore.babylm import surprisals
from lmcore.babylm.decisions import decisions
from lmcore.babylm.evaluations import GLUE, READING, Evaluation, Part
from lmcore.babylm.glue import glue_predictions
from lmcore.errors import InputError
from lmcore.files import whole
from lmcore.models.folder import is_masked, read_config
from lmcore.suites.declare import subset_of, task_of
from lmcore.tables import ITEMS, read, scoring_of

MAIN = "main"
Uids = dict[str, Any]  # {UID: {"predictions": [...]}}


class Project(NamedTuple):
    """Where the pipeline's files lie, and the entries of its suites."""

    data: Path
    suites: Mapping[str, dict | None]

    def suite_of(self, task: str) -> str | None:
        """The first suite of a task; None where there is none."""
        for suite, entry in self.suites.items():
            if task_of(suite, entry) == task:
                return suite
        return None

    def items(self, suite: str) -> Path:
        return self.data / "items" / f"{suite}.parquet"

    def subset(self, suite: str) -> str:
        """How a suite's items are called that are declared a part of the task's; else empty."""
        table = read(self.items(suite), ITEMS, ["item"])
        n_published = scoring_of(table).get("subset_of")
        if n_published is None:
            return ""
        return subset_of(len(pc.unique(table["item"])), n_published)

    def tokens(self, model: str, suite: str) -> Path:
        return self.data / "tokens" / model / suite

    def scores(self, model: str, suite: str) -> Path:
        return self.data / "scores" / model / f"{suite}.parquet"

    def backend(self, model: str) -> str:
        """How the official pipeline calls the kind of a model. Raises InputError for none."""
        return "mlm" if is_masked(read_config(self.data / "models" / model)) else "causal"


def built_project(data: Path) -> Project:
    """The project of a data folder alone: each suite in data/items is the task of its name."""
    return Project(data, {path.stem: {} for path in sorted((data / "items").glob("*.parquet"))})


class Written(NamedTuple):
    """What was written of a model's revision."""

    counts: dict[str, int]  # {suite, or GLUE task: its predictions}
    subsets: dict[str, str]  # {suite: how large a part of the task its entry declares it}
    scores: dict[str, dict[str, float]]  # {key: {UID: score}}: those of the full or the fast sets


def stem(model: str) -> str:
    """The name of a model's folder, as the official pipeline cuts it: without a last `.suffix`."""
    return Path(model).stem


def write_revision(
    project: Project,
    evaluation: Evaluation,
    model: str,
    folder: Path,
    *,
    is_fast: bool,
    draw: int = 0,
) -> Written:
    """Write the predictions of a model below `folder`, RESULTS/MODEL/REVISION.

    Those of the fast sets, where `is_fast`, and else those of the full sets and GLUE. `draw` is
    that of a random model.

    Raises InputError for a suite that was not scored under the convention babylm2025.
    """
    zero_shot = folder / "zero_shot" / project.backend(model)
    written = Written({}, {}, {})
    for part in evaluation.fast if is_fast else evaluation.full:
        suite = project.suite_of(part.task)
        if suite is None or not project.tokens(model, suite).exists():
            continue
        uids, scores = _predictions(project, evaluation, part, suite, model, draw)
        write_json_file(uids, zero_shot / part.folder / "predictions.json")
        written.scores[part.key] = scores
        _note(written, project, suite, sum(len(of["predictions"]) for of in uids.values()))
    _write_reading(project, model, zero_shot, written)
    if not is_fast:
        for task in GLUE:
            _write_glue(project, model, task, folder, written)
    return written


def _note(written: Written, project: Project, suite: str, count: int) -> None:
    written.counts[suite] = count
    if subset := project.subset(suite):
        written.subsets[suite] = subset


def _write_reading(project: Project, model: str, zero_shot: Path, written: Written) -> None:
    suite = project.suite_of(READING)
    if suite is None or not project.scores(model, suite).exists():
        return
    items = read(project.items(suite), ITEMS, ["item"])
    if scoring_of(items).get("tokenisation") != "separate":
        raise InputError(
            f"suite '{suite}' was not scored as BabyLM's evaluation scores it, word and context"
            " tokenised apart; give it `convention: babylm2025` in params.yaml and run the pipeline"
        )
    scores = project.scores(model, suite)
    predictions = surprisals.reading_predictions(scores)
    content = {READING: {"predictions": predictions}}
    write_json_file(content, zero_shot / READING / "predictions.json")
    if official := surprisals.reading_scores(scores):
        written.scores[READING] = official
    _note(written, project, suite, len(predictions))


def _write_glue(project: Project, model: str, task: str, folder: Path, written: Written) -> None:
    source = project.data / "classified" / model / task / "predictions.parquet"
    if source.exists():
        predictions = glue_predictions(source, task)
        content = {task: {"predictions": predictions}}
        write_json_file(content, folder / "finetune" / task / "predictions.json")
        written.counts[task] = len(predictions)


def _predictions(
    project: Project, evaluation: Evaluation, part: Part, suite: str, model: str, draw: int
) -> tuple[Uids, dict[str, float]]:
    """{UID: {"predictions": …}} of a suite, in the order of its files' lines; and {UID: score}."""
    table = read(project.items(suite), ITEMS)
    if scoring_of(table).get("bos") != "tokenizer":
        raise InputError(
            f"suite '{suite}' was not scored as BabyLM's evaluation scores it;"
            " give it `convention: babylm2025` in params.yaml and run the pipeline"
        )
    left_out = items_with(table, part.without)
    ratios = scoring_of(table).get("ratios", {})
    uids: Uids = {}
    values: dict[str, list[tuple[float, float]]] = {}
    tokens = project.tokens(model, suite)
    for decision in decisions(project.items(suite), tokens, draw, evaluation.tie_rule):
        row = decision.row
        if row["item"] in left_out:
            continue
        # the items of a task with one UID have no groups here
        uid = Path(part.folder).name if row["group"] == "all" else row["group"]
        predictions = uids.setdefault(uid, {"predictions": []})["predictions"]
        text = row["context"] + row["target"] if part.is_whole_sentence else row["target"]
        prediction = {"id": f"{uid}_{len(predictions)}", "pred": text}
        if part.is_graded:
            prediction["prob"] = decision.first_probability
        predictions.append(prediction)
        of_people = ratios.get(row["item"], 0.0)
        of_model = decision.first_probability if part.is_graded else float(decision.is_right)
        values.setdefault(uid, []).append((of_model, of_people))
    return uids, {uid: _score(part, of_uid) for uid, of_uid in values.items()}


def _score(part: Part, values: list[tuple[float, float]]) -> float:
    """The share of right predictions, or the correlation of a graded task."""
    of_model, of_people = zip(*values)
    if not part.is_graded:
        return sum(of_model) / len(of_model)
    return surprisals.spearman(list(of_model), list(of_people))


def items_with(items: pa.Table, word: str) -> set[str]:
    """The items with an option that holds the word; none for an empty word."""
    if not word:
        return set()
    rows = items.select(["item", "target"]).to_pylist()
    return {row["item"] for row in rows if word in row["target"]}


def write_json_file(content: object, path: Path) -> None:
    """Write JSON as Python's json writes it (NaN is `NaN`), whole or not at all."""
    with whole(path) as temporary:
        temporary.write_text(json.dumps(content, ensure_ascii=False), "utf-8")
