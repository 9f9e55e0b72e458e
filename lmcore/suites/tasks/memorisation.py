"""Memorisation against generalisation: is a target likelier after the words it is always found behind than after words that mean the same?
Files of pairs go in, records of kind choices come out: option 0 is the familiar prompt, option 1 the other, the target after both.

A file is of any format of lmcore.suites.records, or a folder of such, with a column `target` and two of prompts, whose names say what is
compared:
`exact`, `paraphrase` (a known phrase against the same thing said in other words); `common`, `novel` (phrasings of one question);
`standard`, `counterfactual` (the world as it is against a supposed one); `in_distribution`, `out_of_distribution`. Where the second prompt
asks for another target, it stands in `target_2`. The names of the two columns are the group.
"""

from pathlib import Path

from lmcore.errors import InputError
from lmcore.suites.records import SUFFIXES, Record, find, read_records

CONTRASTS = (
    ("exact", "paraphrase"),
    ("common", "novel"),
    ("standard", "counterfactual"),
    ("in_distribution", "out_of_distribution"),
)


def build(path: Path) -> list[Record]:
    """Records of kind choices from one file or all of a folder. Raises InputError for other columns, and for an empty cell."""
    records = []
    for file in find(path, *SUFFIXES) if path.is_dir() else [path]:
        for row in read_records(file):
            names = next((pair for pair in CONTRASTS if set(pair) <= set(row)), None)
            if names is None or "target" not in row:
                known = "; ".join(", ".join(pair) for pair in CONTRASTS)
                expected = f"expected a column target and two of prompts ({known})"
                raise InputError(f"{row.where}: {expected}; columns are {', '.join(row)}")
            first, second, target = (
                row.filled(name, "text in all of a row's cells") for name in (*names, "target")
            )
            options = [target, row.optional("target_2") or target]
            records.append(
                row.record(group="_".join(names), context=[first, second], options=options, gold=0)
            )
    return records
