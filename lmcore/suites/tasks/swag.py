"""SWAG: which of four endings follows a caption (Zellers et al. 2018, https://aclanthology.org/D18-1009; MIT). Validation has 20,006 items,
test labels are hidden. `swag_partial` is the first 500 of them. The ending follows `startphrase`, as in lm-eval's swag.
"""

from pathlib import Path

from lmcore.suites.records import Record, find, read_records


def build(source: Path) -> list[Record]:
    """Records of kind choices from the authors' val.csv, the hub's Parquet (ending0 … ending3), or JSONL with a list `choices`."""
    return [
        row.record(
            context=row["startphrase"],
            options=row.texts("choices")
            if row.get("choices") is not None
            else [row[f"ending{i}"] for i in range(4)],
            gold=row.label("label"),
        )
        for path in find(source, "val.csv", ".jsonl", ".parquet")
        for row in read_records(path)
    ]
