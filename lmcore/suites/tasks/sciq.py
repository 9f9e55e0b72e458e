"""SciQ: questions of science tests, most with a paragraph that supports the answer.

1,000 validation items. They are worded as in lm-eval, whose task of this name scores the test
split: the paragraph, which may be empty, and the question. The right answer is the last option.

In the formulation `letters` it would always be D. So there it stands at the place that a hash of
the question says, and the others keep their order.

Source: Welbl et al. 2017, https://aclanthology.org/W17-4413; CC BY-NC 3.0.
"""

import hashlib
from pathlib import Path

from lmcore.suites.records import Record, Row
from lmcore.suites.tasks.questions import Formulation, Question, records_of


def build(source: Path, *, formulation: Formulation = "answers") -> list[Record]:
    """Records of kind choices from the validation split as Arrow or Parquet."""
    return records_of(source, _question, formulation)


def _question(row: Row) -> Question:
    wrong = [row[f"distractor{number}"] for number in (1, 2, 3)]
    right = row["correct_answer"]
    place = hashlib.sha256(row["question"].encode()).digest()[0] % 4
    listed = [*wrong[:place], right, *wrong[place:]]
    asked = f"{row['support'].lstrip()}\nQuestion: {row['question']}"
    return Question(f"{asked}\nAnswer:", [*wrong, right], 3, asked, listed, place)
