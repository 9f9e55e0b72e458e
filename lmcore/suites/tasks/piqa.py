"""PIQA: which of two ways reaches an everyday goal; 1,838 validation items.

The items are worded as in lm-eval: "Question: GOAL", a new line, "Answer:".

Source: Bisk et al. 2020, https://arxiv.org/abs/1911.11641.
"""

from pathlib import Path

from lmcore.suites.records import Record, Row
from lmcore.suites.tasks.questions import Formulation, Question, records_of


def build(source: Path, *, formulation: Formulation = "answers") -> list[Record]:
    """Records of kind choices from the validation split as Arrow or Parquet."""
    return records_of(source, _question, formulation)


def _question(row: Row) -> Question:
    asked = f"Question: {row['goal']}"
    return Question(f"{asked}\nAnswer:", [row["sol1"], row["sol2"]], row.label("label"), asked)
