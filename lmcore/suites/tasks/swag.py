"""SWAG: which of four endings follows a caption; 20,006 validation items.

The labels of the test split are hidden. `swag_partial` is the first 500 validation items. The
ending follows `startphrase`, as in lm-eval's swag.

Source: Zellers et al. 2018, https://aclanthology.org/D18-1009; MIT.
"""

from pathlib import Path

from lmcore.suites.records import Record, find, read_records


def build(source: Path) -> list[Record]:
    """Records of kind choices from one of three kinds of file.

    These are the authors' val.csv, the hub's Parquet (both with ending0 … ending3), and JSONL with
    a list `choices`.
    """
    records = []
    for path in find(source, "val.csv", ".jsonl", ".parquet"):
        for row in read_records(path):
            context = row["startphrase"]
            if row.get("choices") is not None:
                options = row.texts("choices")
            else:
                options = [row[f"ending{number}"] for number in range(4)]
            records.append(row.record(context=context, options=options, gold=row.label("label")))
    return records
