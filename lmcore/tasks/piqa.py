"""PIQA: which of two ways reaches an everyday goal (Bisk et al. 2020, https://arxiv.org/abs/1911.11641); 1,838 validation items. Worded as
in lm-eval: "Question: GOAL", a new line, "Answer:".
"""

from pathlib import Path

from lmcore.tasks.records import find, read_records


def build(source: Path) -> list[dict]:
    """Records of kind choices from the validation split as Arrow or Parquet."""
    return [
        {"context": f"Question: {record['goal']}\nAnswer:", "options": [record["sol1"], record["sol2"]], "gold": record["label"]}
        for path in find(source, ".arrow", ".parquet")
        for record in read_records(path)
    ]
