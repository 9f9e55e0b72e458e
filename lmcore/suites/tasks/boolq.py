"""BoolQ: a yes/no question about a paragraph of Wikipedia; 3,270 validation items.

The items are worded as in lm-eval's task of SuperGLUE: the passage, the question with a question
mark, and `no` or `yes`. SuperGLUE puts the title of the article before the passage; here there is
none, so the scores are not those of lm-eval's task. 62% of the answers are yes.

Source: Clark et al. 2019, https://aclanthology.org/N19-1300; CC BY-SA 3.0.
"""

from pathlib import Path

from lmcore.errors import InputError
from lmcore.suites.records import Record, Row
from lmcore.suites.tasks.questions import Formulation, Question, records_of
from lmcore.text_files import described

ANSWERS = ["no", "yes"]


def build(source: Path, *, formulation: Formulation = "answers") -> list[Record]:
    """Records of kind choices from the validation split as Arrow or Parquet."""
    return records_of(source, _question, formulation)


def _question(row: Row) -> Question:
    """Raises InputError for an answer that is neither true nor false."""
    answer = row.value("answer")
    if not isinstance(answer, bool):
        raise InputError(f"{row.place('answer')} must be true or false, not {described(answer)}")
    asked = f"{row['passage']}\nQuestion: {row['question']}?"
    return Question(f"{asked}\nAnswer:", ANSWERS, int(answer), asked)
