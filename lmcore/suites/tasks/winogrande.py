"""WinoGrande: who or what a sentence means; 1,267 validation items.

Partial scoring, as in lm-eval: each name is put in the blank, and the options are compared by what
follows the blank (Trinh & Le 2018).

Source: Sakaguchi et al. 2020, https://arxiv.org/abs/1907.10641.
"""

from pathlib import Path

from lmcore.suites.records import Record, find, read_records


def build(source: Path) -> list[Record]:
    """Records of kind choices from the validation split as Arrow or Parquet.

    Here the contexts differ between the options, and the target is the same.
    """
    records = []
    for path in find(source, ".arrow", ".parquet"):
        for row in read_records(path):
            before, _, after = row["sentence"].partition("_")
            contexts = [before + row[name] for name in ("option1", "option2")]
            options = [after.strip()] * 2
            gold = row.number("answer", 1, 2) - 1
            records.append(row.record(context=contexts, options=options, gold=gold))
    return records
