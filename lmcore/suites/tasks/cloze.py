"""Cloze: does a model complete a prompt with what is true rather than with what is not?

A file of facts goes in. Records of kind choices come out.

The columns are `prompt`, `correct`, `incorrect` (and more columns whose names begin with
`incorrect`) and, optionally, `relation`, which is the group. Every target is scored whole, all its
tokens together. The design follows LAMA (Petroni et al. 2019, https://aclanthology.org/D19-1250).
The facts that are shipped are our own.
"""

from pathlib import Path

from lmcore.errors import InputError
from lmcore.suites.records import Record, read_records

EXPECTED = "the columns prompt, correct, incorrect"


def build(path: Path) -> list[Record]:
    """Records of kind choices, the correct target first.

    Raises InputError, naming the line, where a column is missing or empty.
    """
    records = []
    for row in read_records(path):
        prompt = row.filled("prompt", EXPECTED)
        correct = row.filled("correct", EXPECTED)
        wrong = row.beginning("incorrect")
        if not wrong:
            raise InputError(
                f"{row.where} has no 'incorrect' target; "
                "expected one or several columns of that name"
            )
        relation = row.name("relation")
        group = {"group": relation} if relation else {}
        records.append(row.record(context=prompt, options=[correct, *wrong], gold=0, **group))
    return records
