"""WinoGrande: who or what a sentence means; 1,267 validation items.

Partial scoring, as in lm-eval: each name is put in the blank, and the options are compared by what
follows the blank (Trinh & Le 2018). In the formulation `letters` the sentence keeps its blank, and
the names are listed.

Source: Sakaguchi et al. 2020, https://arxiv.org/abs/1907.10641.
"""

from pathlib import Path

from lmcore.errors import InputError
from lmcore.suites.records import Record, Row
from lmcore.suites.tasks.questions import Formulation, Question, records_of


def build(source: Path, *, formulation: Formulation = "answers") -> list[Record]:
    """Records of kind choices from the validation split as Arrow or Parquet.

    In the formulation `answers` the contexts differ between the options, and the target is the
    same.
    """
    return records_of(source, _question, formulation)


def _question(row: Row) -> Question:
    """Raises InputError for a sentence without a blank."""
    before, blank, after = row["sentence"].partition("_")
    if not blank:
        raise InputError(f"{row.place('sentence')} has no blank, _, for the names")
    names = [row["option1"], row["option2"]]
    contexts = [before + name for name in names]
    gold = row.number("answer", 1, 2) - 1
    asked = f"Fill in the blank: {row['sentence']}"
    return Question(contexts, [after.strip()] * 2, gold, asked, names)
