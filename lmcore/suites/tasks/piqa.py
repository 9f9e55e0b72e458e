"""PIQA: which of two ways reaches an everyday goal; 1,838 validation items.

The items are worded as in lm-eval: "Question: GOAL", a new line, "Answer:".

Source: Bisk et al. 2020, https://arxiv.org/abs/1911.11641.
"""

from pathlib import Path

from lmcore.suites.records import Record, find, read_records


def build(source: Path) -> list[Record]:
    """Records of kind choices from the validation split as Arrow or Parquet."""
    records = []
    for path in find(source, ".arrow", ".parquet"):
        for row in read_records(path):
            context = f"Question: {row['goal']}\nAnswer:"
            options = [row["sol1"], row["sol2"]]
            records.append(row.record(context=context, options=options, gold=row.label("label")))
    return records
