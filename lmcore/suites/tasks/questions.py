"""Questions with several answers: what the tasks of that shape share.

A task reads a Question from each row. Records of kind choices come out, in one of two formulations:

- `answers` (cloze): an option is the text of an answer, which follows the question. The context is
  worded as lm-eval words it for that task.
- `letters` (multiple choice): the answers are listed below the question, each behind a letter, and
  an option is a letter. The list is worded as lm-eval words it for CommonsenseQA, which has letters
  there. Of the other tasks lm-eval has no such wording.
"""

import string
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

from lmcore.errors import InputError
from lmcore.suites.records import Record, Row, find, read_records
from lmcore.text_files import described

Formulation = Literal["answers", "letters"]
LETTERS = string.ascii_uppercase


class Question(NamedTuple):
    """A question in both formulations.

    `context` and `answers` are those of a record: one context, or one for each answer. `asked` is
    what stands above the list of letters. `listed` has the texts of the list where they are others
    than `answers`. `gold` is the number of the right answer; `listed_gold` that in the list, where
    it has another order.
    """

    context: str | list[str]
    answers: list[str]
    gold: int | float | str
    asked: str
    listed: list[str] | None = None
    listed_gold: int | None = None

    def values(self, formulation: Formulation) -> dict:
        """The values of its record."""
        if formulation == "answers":
            return {"context": self.context, "options": self.answers, "gold": self.gold}
        texts = self.answers if self.listed is None else self.listed
        lines = [f"{letter}. {text}" for letter, text in zip(LETTERS, texts)]
        context = "\n".join([self.asked, *lines, "Answer:"])
        gold = self.gold if self.listed_gold is None else self.listed_gold
        return {"context": context, "options": list(LETTERS[: len(texts)]), "gold": gold}


def records_of(
    source: Path, read: Callable[[Row], Question | None], formulation: Formulation
) -> list[Record]:
    """The records of all rows of a source as Arrow or Parquet.

    `read` gives None for a row that is no item.
    """
    records = []
    for path in find(source, ".arrow", ".parquet"):
        for row in read_records(path):
            question = read(row)
            if question is not None:
                records.append(row.record(**question.values(formulation)))
    return records


def keyed_answers(row: Row) -> tuple[list[str], int]:
    """The texts of the column `choices`, {text, label}, and the number of the right one.

    The right one is that whose label is `answerKey`. Raises InputError for another number of labels
    than of texts, and for a key that is not exactly one of the labels.
    """
    choices = row.nested("choices")
    texts, labels = choices.texts("text"), choices.texts("label")
    if len(texts) != len(labels):
        raise InputError(
            f"{row.place('choices')} has {len(texts)} texts and {len(labels)} labels; "
            "expected a label for each text"
        )
    key = row["answerKey"].strip()
    if labels.count(key) != 1:
        raise InputError(
            f"{row.place('answerKey')} must be one of the labels {', '.join(labels)}, "
            f"not {described(key)}"
        )
    return texts, labels.index(key)
