"""Memorisation against generalisation: is a target likelier after the words it is always found behind than after words that mean the same?
Files of pairs go in, records of kind choices come out: option 0 is the familiar prompt, option 1 the other, the target after both.

A file is a CSV or JSONL, or a folder of such, with a column `target` and two of prompts, whose names say what is compared:
`exact`, `paraphrase` (a known phrase against the same thing said in other words); `common`, `novel` (phrasings of one question);
`standard`, `counterfactual` (the world as it is against a supposed one); `in_distribution`, `out_of_distribution`. Where the second prompt
asks for another target, it stands in `target_2`. The names of the two columns are the group.
"""

from pathlib import Path

from lmcore.errors import InputError
from lmcore.tasks.records import SUFFIXES, find, read_records

CONTRASTS = (("exact", "paraphrase"), ("common", "novel"), ("standard", "counterfactual"), ("in_distribution", "out_of_distribution"))


def build(path: Path) -> list[dict]:
    """Records of kind choices from one file or all of a folder. Raises InputError for other columns, and for an empty cell."""
    records = []
    for file in find(path, *SUFFIXES) if path.is_dir() else [path]:
        for number, row in enumerate(read_records(file), 2):
            names = next((pair for pair in CONTRASTS if set(pair) <= set(row)), None)
            if names is None or "target" not in row:
                known = "; ".join(", ".join(pair) for pair in CONTRASTS)
                raise InputError(f"{file}: expected a column target and two of prompts ({known}); columns are {', '.join(row)}")
            if empty := [name for name in (*names, "target") if not row[name]]:
                raise InputError(f"{file}: row {number} has no '{empty[0]}'")
            targets = [row["target"], row.get("target_2") or row["target"]]
            records.append({"group": "_".join(names), "context": [row[name] for name in names], "options": targets, "gold": 0})
    return records
