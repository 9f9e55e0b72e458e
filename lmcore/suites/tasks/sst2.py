"""SST-2: is a sentence of a film review negative or positive; 872 validation items.

The items are worded as in lm-eval: the sentence, a question, and the answer to come.

Source: Socher et al. 2013, https://aclanthology.org/D13-1170; in GLUE, which hides the labels of
the test split.
"""

from pathlib import Path

from lmcore.suites.records import Record, find, read_records

QUESTION = "\nQuestion: Is this sentence positive or negative?\nAnswer:"
LABELS = ["negative", "positive"]


def build(source: Path) -> list[Record]:
    """Records of kind choices from the validation split as Arrow or Parquet."""
    records = []
    for path in find(source, ".arrow", ".parquet"):
        for row in read_records(path):
            context = f"{row['sentence']}{QUESTION}"
            gold = row.number("label", 0, 1)
            records.append(row.record(context=context, options=LABELS, gold=gold))
    return records
