"""PIQA: which of two ways reaches an everyday goal (Bisk et al. 2020, https://arxiv.org/abs/1911.11641); 1,838 validation items. Worded as
in lm-eval: "Question: GOAL", a new line, "Answer:".
"""

from pathlib import Path

from lmcore.suites.records import Record, find, read_records


def build(source: Path) -> list[Record]:
    """Records of kind choices from the validation split as Arrow or Parquet."""
    return [
        row.record(
            context=f"Question: {row['goal']}\nAnswer:",
            options=[row["sol1"], row["sol2"]],
            gold=row.label("label"),
        )
        for path in find(source, ".arrow", ".parquet")
        for row in read_records(path)
    ]
