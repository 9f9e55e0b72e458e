"""ARC: questions of American science tests for children of about 8 to 14 years, in two parts.

`arc_easy` has 570 validation items, `arc_challenge` 299, which simple retrieval answers wrongly.
Nearly all have four answers. All items of a suite have the same number of options, so those with
three or five are left out: 3 of the easy ones and 4 of the challenge. The items are worded as in
lm-eval, whose tasks of these names score the test split.

Source: Clark et al. 2018, https://arxiv.org/abs/1803.05457; CC BY-SA 4.0.
"""

from pathlib import Path

from lmcore.suites.records import Record, Row
from lmcore.suites.tasks.questions import Formulation, Question, keyed_answers, records_of

N_ANSWERS = 4


def build(source: Path, *, formulation: Formulation = "answers") -> list[Record]:
    """Records of kind choices from a validation split as Arrow or Parquet."""
    return records_of(source, _question, formulation)


def _question(row: Row) -> Question | None:
    answers, gold = keyed_answers(row)
    if len(answers) != N_ANSWERS:
        return None
    asked = f"Question: {row['question']}"
    return Question(f"{asked}\nAnswer:", answers, gold, asked)
