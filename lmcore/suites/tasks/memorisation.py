"""Memorisation against generalisation.

Is a target more likely after the words that it always follows than after words that mean the same?
Files of pairs go in. Records of kind choices come out: option 0 has the familiar prompt, option 1
the other prompt, and both have the target after it.

A file has any format of lmcore.suites.records; a folder of such files will do too. There is a
column `target` and two columns of prompts, whose names say what is compared:

- `exact`, `paraphrase`: a known phrase, and the same thing said in other words;
- `common`, `novel`: two phrasings of one question;
- `standard`, `counterfactual`: the world as it is, and a supposed one;
- `in_distribution`, `out_of_distribution`.

Where the second prompt asks for another target, that target stands in `target_2`. The names of the
two columns are the group.
"""

from pathlib import Path

from lmcore.errors import InputError
from lmcore.suites.records import SUFFIXES, Record, Row, find, read_records

CONTRASTS = (
    ("exact", "paraphrase"),
    ("common", "novel"),
    ("standard", "counterfactual"),
    ("in_distribution", "out_of_distribution"),
)
EXPECTED = "text in all of a row's cells"


def build(path: Path) -> list[Record]:
    """Records of kind choices from one file, or from all files of a folder.

    Raises InputError for other columns, and for an empty cell.
    """
    records = []
    for file in find(path, *SUFFIXES) if path.is_dir() else [path]:
        for row in read_records(file):
            names = _contrast(row)
            prompts = [row.filled(name, EXPECTED) for name in names]
            target = row.filled("target", EXPECTED)
            options = [target, row.optional("target_2") or target]
            group = "_".join(names)
            records.append(row.record(group=group, context=prompts, options=options, gold=0))
    return records


def _contrast(row: Row) -> tuple[str, str]:
    """The names of the two columns of prompts. Raises InputError where a column is missing."""
    names = next((pair for pair in CONTRASTS if set(pair) <= set(row)), None)
    if names is None or "target" not in row:
        known = "; ".join(", ".join(pair) for pair in CONTRASTS)
        expected = f"expected a column target and one of these pairs of prompt columns: {known}"
        raise InputError(f"{row.where}: {expected}; columns are {', '.join(row)}")
    return names
