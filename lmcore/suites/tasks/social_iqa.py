"""SocialIQA: why people do something, and what they feel or do next; 1,954 validation items.

The items are worded as in lm-eval: "Q: SITUATION QUESTION", a new line, "A:".

Source: Sap et al. 2019, https://aclanthology.org/D19-1454; CC BY 4.0.
"""

from pathlib import Path

from lmcore.suites.records import Record, Row
from lmcore.suites.tasks.questions import Formulation, Question, records_of


def build(source: Path, *, formulation: Formulation = "answers") -> list[Record]:
    """Records of kind choices from the validation split as Arrow or Parquet."""
    return records_of(source, _question, formulation)


def _question(row: Row) -> Question:
    answers = [row[f"answer{letter}"] for letter in "ABC"]
    situation = f"{row['context']} {row['question']}"
    gold = row.number("label", 1, 3) - 1
    return Question(f"Q: {situation}\nA:", answers, gold, f"Question: {situation}")
