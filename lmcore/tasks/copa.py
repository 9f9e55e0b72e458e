"""COPA: which of two sentences is the cause, or the effect, of a premise (Roemmele et al. 2011; in SuperGLUE); 100 validation items.
Worded as in lm-eval: the premise without its full stop, "because" or "therefore", and the choice with a small first letter. lm-eval puts
two spaces before the choice, and so do we under its conventions; under others there is one.
"""

from pathlib import Path

from lmcore.tasks.conventions import LM_EVAL
from lmcore.tasks.records import find, read_records

CONNECTOR = {"cause": "because", "effect": "therefore"}


def build(source: Path, *, convention: str) -> list[dict]:
    """Records of kind choices from SuperGLUE's validation split as Arrow or Parquet."""
    space = " " if convention in LM_EVAL else ""  # besides the one that stands before every option
    return [
        {
            "context": f"{record['premise'].strip()[:-1]} {CONNECTOR[record['question']]}",
            "options": [space + choice[0].lower() + choice[1:] for choice in (record["choice1"], record["choice2"])],
            "gold": record["label"],
        }
        for path in find(source, ".arrow", ".parquet")
        for record in read_records(path)
    ]
