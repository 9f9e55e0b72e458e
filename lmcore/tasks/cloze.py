"""Cloze: does a model complete a prompt with what is so rather than with what is not? A file of facts goes in, records of kind choices come
out.

Columns: `prompt`, `correct`, `incorrect` (and further ones that begin so), perhaps `relation`, the group. Every target is scored whole, all
its tokens together. The design follows LAMA (Petroni et al. 2019, https://aclanthology.org/D19-1250); the facts shipped are our own.
"""

from pathlib import Path

from lmcore.errors import InputError
from lmcore.tasks.records import read_records


def build(path: Path) -> list[dict]:
    """Records of kind choices, the correct target first. Raises InputError, naming the row, where a column is missing or empty."""
    records = []
    for number, row in enumerate(read_records(path), 2):
        wrong = [str(row[name]) for name in row if name.startswith("incorrect") and row[name]]
        for name in ("prompt", "correct"):
            if not row.get(name):
                raise InputError(f"{path}: row {number} has no '{name}'; expected the columns prompt, correct, incorrect")
        if not wrong:
            raise InputError(f"{path}: row {number} has no 'incorrect' target; expected one or several columns of that name")
        group = {"group": row["relation"]} if row.get("relation") else {}
        records.append({"context": row["prompt"], "options": [str(row["correct"]), *wrong], "gold": 0, **group})
    return records
