"""The GLUE tasks of BabyLM: a JSONL file goes in, pairs of texts with their labels come out.

A task is a question about two texts. Its files are TASK.train.jsonl and TASK.valid.jsonl, each line
one example with a whole number as `label`. The id of an example is its number in the file, from 0.
The splits are those of BabyLM, filtered by the words of its corpus. Their valid split is what is
reported; there is no other one with labels.

Source: https://github.com/babylm/evaluation-pipeline-2025, evaluation_pipeline/finetune/dataset.py
for the texts, eval_finetuning.sh for `selected_by`, collate_preds.py for the numbers of examples.
"""

from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from lmcore.errors import InputError
from lmcore.suites.records import read_records

TaskName = Literal["boolq", "mnli", "mrpc", "multirc", "qqp", "rte", "wsc"]


class Task(NamedTuple):
    """How the two texts of a task are made of a line, and what is published of it."""

    first: tuple[str, tuple[str, ...]]  # a format, and the keys whose texts it takes
    second: str  # the key of the second text
    n_valid: int  # examples in the valid split
    n_labels: int = 2
    selected_by: str = "accuracy"  # the metric by which the best epoch is chosen


TASKS: dict[str, Task] = {
    "boolq": Task(("{}", ("question",)), "passage", 1_635),
    "mnli": Task(("{}", ("premise",)), "hypothesis", 4_908, n_labels=3),
    "mrpc": Task(("{}", ("sentence1",)), "sentence2", 204, selected_by="f1"),
    "multirc": Task(("Question: {} Answer: {}", ("question", "answer")), "paragraph", 2_424),
    "qqp": Task(("{}", ("question1",)), "question2", 20_215, selected_by="f1"),
    "rte": Task(("{}", ("sentence1",)), "sentence2", 139),
    "wsc": Task(
        ('Does "{}" refer to "{}" in this passage?', ("span2_text", "span1_text")), "text", 52
    ),
}


class Pairs(NamedTuple):
    """The examples of a file, in its order."""

    texts: list[tuple[str, str]]
    labels: np.ndarray  # (n,) int64
    where: list[str]  # file and line of each, for messages


def read_splits(folder: Path, task: str, items: int | None = None) -> tuple[Pairs, Pairs]:
    """The train and the valid split of a task.

    items: how many examples the valid split has, where it is not the published number.

    Raises InputError for a file that is missing or not as described above, and for a valid split of
    another number of examples.
    """
    training, valid = (_read(folder, task, split) for split in ("train", "valid"))
    n, expected = len(valid.texts), items or TASKS[task].n_valid
    if n != expected:
        kind = "that `items` says" if items else "published"
        raise InputError(
            f"{_path(folder, task, 'valid')}: has {n:,} examples; expected the {expected:,} {kind}"
            " (for a file of your own, say its number by the key `items` of the task)"
        )
    return training, valid


def _read(folder: Path, task: str, split: str) -> Pairs:
    """The examples of one split. Raises InputError as `read_splits`."""
    path = _path(folder, task, split)
    if not path.is_file():
        raise InputError(
            f"{path}: no such file; the task {task} is fine-tuned on {task}.train.jsonl and judged"
            f" on {task}.valid.jsonl, and needs both"
        )
    (template, keys), second = TASKS[task].first, TASKS[task].second
    texts, labels, where = [], [], []
    for row in read_records(path):
        texts.append((template.format(*(row[key] for key in keys)), row[second]))
        labels.append(row.number("label", 0, TASKS[task].n_labels - 1))
        where.append(row.where)
    return Pairs(texts, np.array(labels, np.int64), where)


def _path(folder: Path, task: str, split: str) -> Path:
    return folder / f"{task}.{split}.jsonl"
