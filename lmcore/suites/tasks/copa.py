"""COPA: which of two sentences is the cause, or the effect, of a premise; 100 validation items.

Source: Roemmele et al. 2011; in SuperGLUE.

The items are worded as in lm-eval: the premise without its full stop, "because" or "therefore", and
the choice with a lower-case first letter. lm-eval puts two spaces before the choice, and so do we
under its conventions. Under other conventions there is one. In the formulation `letters` the
choices are listed below the premise and the connector.
"""

from functools import partial
from pathlib import Path

from lmcore.errors import InputError
from lmcore.suites.conventions import DEFAULT, LM_EVAL, Convention
from lmcore.suites.records import Record, Row
from lmcore.suites.tasks.questions import Formulation, Question, records_of

CONNECTOR = {"cause": "because", "effect": "therefore"}


def build(
    source: Path, *, convention: Convention = DEFAULT, formulation: Formulation = "answers"
) -> list[Record]:
    """Records of kind choices from SuperGLUE's validation split as Arrow or Parquet."""
    # besides the space that stands before every option
    space = " " if convention in LM_EVAL else ""
    return records_of(source, partial(_question, space), formulation)


def _question(space: str, row: Row) -> Question:
    """`space` is one more space before the choices."""
    choices = (row["choice1"], row["choice2"])
    texts = [choice[:1].lower() + choice[1:] for choice in choices]
    context = f"{row['premise'].strip()[:-1]} {_connector(row)}"
    answers = [space + text for text in texts]
    return Question(context, answers, row.label("label"), context, texts)


def _connector(row: Row) -> str:
    """The word between premise and choice. Raises InputError for an unknown question."""
    question = row["question"]
    if question not in CONNECTOR:
        raise InputError(
            f"{row.place('question')} must be one of {', '.join(CONNECTOR)}, not {question!r}"
        )
    return CONNECTOR[question]
