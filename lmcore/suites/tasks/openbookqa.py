"""OpenBookQA: what follows from an elementary fact of science; 500 validation items.

The fact itself is not given. The items are worded as in lm-eval, whose task of this name scores the
test split: the answer follows the question, or completes it, with nothing between them.

Source: Mihaylov et al. 2018, https://aclanthology.org/D18-1260; Apache-2.0.
"""

from pathlib import Path

from lmcore.suites.records import Record, Row
from lmcore.suites.tasks.questions import Formulation, Question, keyed_answers, records_of


def build(source: Path, *, formulation: Formulation = "answers") -> list[Record]:
    """Records of kind choices from the validation split as Arrow or Parquet."""
    return records_of(source, _question, formulation)


def _question(row: Row) -> Question:
    stem = row["question_stem"]
    return Question(stem, *keyed_answers(row), f"Question: {stem}")
