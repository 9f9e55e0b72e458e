"""Entity tracking: what is in a box after it was filled, emptied and swapped; 9,483 items.

An item tells what seven boxes contain and which operations follow, and ends with "Box 3 contains ".
The first of its options is right. The figure is the mean over three files of the mean over the
number of operations, and so a mean over 18 groups of equal weight.

Source: Kim & Schuster 2023, https://aclanthology.org/2023.acl-long.213, as the BabyLM evaluation of
2025 asks it. Its authors ask that the files stay zipped wherever they are published; unzip them.
"""

from pathlib import Path

from lmcore.suites.records import Record, find, read_records

MOST_OPERATIONS = 100


def build(source: Path) -> list[Record]:
    """Records of kind choices from regular.jsonl, ambiref.jsonl and move_contents.jsonl.

    The group is FILE_N_ops, with the number of operations N, as in BabyLM's predictions.
    """
    records = []
    for path in find(source, ".jsonl"):
        for row in read_records(path):
            n_operations = row.number("numops", 0, MOST_OPERATIONS)
            group = f"{path.stem}_{n_operations}_ops"
            context, options = row["input_prefix"], row.texts("options")
            records.append(row.record(group=group, context=context, options=options, gold=0))
    return records
