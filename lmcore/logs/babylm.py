"""Predictions of the BabyLM evaluation of 2025 and 2026, with the data that they answer.

A file `predictions.json` ({UID: {"predictions": [{"id", "pred"}]}}) and the folder evaluation_data
go in. One Evaluation for each task comes out, with the UIDs as groups. A prediction is the text of
the option that was chosen; it is right if it is the right option's text. The official pipeline
counts a tie as right, and a prediction does not show it.

Predictions of 2026 differ: those of EWoK are whole sentences, and those of entity tracking leave
out the records with an option that says `nothing`. Both forms are read.

Predictions of WUG tasks and of reading are no decisions. They are left out with a note.
"""

import json
from pathlib import Path
from typing import Any

from lmcore.errors import InputError
from lmcore.files import read_json_object
from lmcore.logs.evaluation import Evaluation, Item
from lmcore.suites.records import Row, read_records
from lmcore.text_files import described

TOOL = "babylm"
NAME = "predictions.json"
MOST_BYTES = 1 << 30
TIES = "a prediction does not show ties, and the official pipeline counts a tie as right"


def matches(path: Path) -> bool:
    """Whether a file is named as the BabyLM evaluation names predictions."""
    return path.name == NAME


def read(paths: list[Path], answers: Path | None) -> list[Evaluation]:
    """The evaluations in files of predictions, one for each; `answers` is evaluation_data.

    A file lies in RESULTS/MODEL/REVISION/zero_shot/BACKEND/TASK/DATA/, and DATA is the name of a
    folder in `answers`. Raises InputError without `answers`, for predictions that do not fit the
    data, and if nothing can be read as decisions.
    """
    if answers is None:
        raise InputError(
            f"{paths[0]}: BabyLM predictions do not hold the right options;"
            " name the folder evaluation_data with --answers"
        )
    evaluations, left_out = [], []
    for path in paths:
        uids = read_json_object(path, "BabyLM predictions", MOST_BYTES, may_hold_nan=True)
        if _are_decisions(uids):
            evaluations.append(_evaluation(path, uids, answers))
        else:
            left_out.append(f"{path.parent.name}: its predictions are no decisions: not compared")
    if not evaluations:
        raise InputError(f"{paths[0]}: no predictions that are decisions; {'; '.join(left_out)}")
    evaluations[0].notes += left_out
    return evaluations


def _are_decisions(uids: dict[str, Any]) -> bool:
    """Whether every prediction is the text of an option, without a probability of its own."""
    for uid in uids.values():
        for prediction in uid.get("predictions", []) if isinstance(uid, dict) else []:
            if not isinstance(prediction.get("pred"), str) or "prob" in prediction:
                return False
    return True


def _evaluation(path: Path, uids: dict[str, Any], answers: Path) -> Evaluation:
    rows = _rows_by_uid(_folder(path, answers), path)
    items = []
    for uid, content in uids.items():
        predictions, asked = content["predictions"], rows.get(uid.lower(), [])
        if len(predictions) != len(asked):
            asked = [row for row in asked if not _says_nothing(row)]
        if len(predictions) != len(asked):
            raise InputError(
                f"{path}: {uid} has {len(predictions)} predictions, and its data {len(asked)}"
                " records; expected the same data"
            )
        for prediction, row in zip(predictions, asked):
            is_right = prediction["pred"].strip() in _right_texts(row)
            items.append(
                Item(
                    id=str(prediction.get("id")),
                    content=json.dumps(row, ensure_ascii=False, sort_keys=True),
                    values={"acc": (float(is_right), 1.0)},
                    group=uid,
                )
            )
    return Evaluation(TOOL, _model(path), path.parent.name, path, items, notes=[TIES])


def _model(path: Path) -> str:
    """MODEL of the path, or the file's folder where the path is another."""
    parts = path.parts
    if "zero_shot" in parts[2:]:
        return parts[parts.index("zero_shot") - 2]
    return path.parent.name


def _folder(path: Path, answers: Path) -> Path:
    """The folder of `answers` with the data of these predictions."""
    name = path.parent.name
    for folder in (answers, *sorted(answers.rglob(name))):
        if folder.is_dir() and folder.name == name:
            return folder
    raise InputError(f"{answers}: has no folder '{name}', which {path} answers")


def _rows_by_uid(folder: Path, path: Path) -> dict[str, list[Row]]:
    """{UID in lower case: its records in their order}."""
    files = sorted(folder.rglob("*.jsonl"))
    if not files:
        raise InputError(f"{folder}: holds no .jsonl file; {path} answers such files")
    rows: dict[str, list[Row]] = {}
    for file in files:
        for row in read_records(file):
            uid = _uid(row, file.stem)
            rows.setdefault(uid.lower(), []).append(row)
    return rows


def _uid(row: Row, stem: str) -> str:
    """The UID of a record in the file with this stem."""
    if "numops" in row:
        return f"{stem}_{row.value('numops')}_ops"
    if "property_phrase" in row:
        return stem.removeprefix("comps_").replace("-", "_")
    for column in ("UID", "Domain"):
        if column in row:
            return row[column]
    return stem


def _says_nothing(row: Row) -> bool:
    """Whether this is a record of entity tracking that the evaluation of 2026 leaves out."""
    return "numops" in row and any("nothing" in option for option in row.texts("options"))


def _right_texts(row: Row) -> tuple[str, ...]:
    """The texts that are the right option. Raises InputError for a record of no known task."""
    if "sentence_good" in row:
        return (row["sentence_good"].strip(),)
    if "options" in row:
        return (row.texts("options")[0].strip(),)
    if "prefix_acceptable" in row:
        return (f"{row['prefix_acceptable']} {row['property_phrase']}".strip(),)
    if "Target1" in row:
        return row["Target1"].strip(), f"{row['Context1']} {row['Target1']}".strip()
    raise InputError(
        f"{row.where}: expected sentence_good, options, prefix_acceptable or Target1;"
        f" columns are {described(', '.join(row))}"
    )
