"""CommonsenseQA: everyday questions with five answers; 1,221 validation items.

The labels of the test split are hidden. lm-eval lists the answers with letters, and so do we by
default. In the formulation `answers` the question alone precedes the answer.

Source: Talmor et al. 2019, https://aclanthology.org/N19-1421; MIT.
"""

from pathlib import Path

from lmcore.suites.records import Record, Row
from lmcore.suites.tasks.questions import Formulation, Question, keyed_answers, records_of


def build(source: Path, *, formulation: Formulation = "letters") -> list[Record]:
    """Records of kind choices from the validation split as Arrow or Parquet."""
    return records_of(source, _question, formulation)


def _question(row: Row) -> Question:
    asked = f"Question: {row['question'].strip()}"
    return Question(f"{asked}\nAnswer:", *keyed_answers(row), asked)
