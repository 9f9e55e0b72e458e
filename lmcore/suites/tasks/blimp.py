"""BLiMP and its BabyLM editions: minimal pairs, one file for each paradigm.

- `blimp`: Warstadt et al. 2020, https://aclanthology.org/2020.tacl-1.25: 67 paradigms of 1,000
  pairs; CC-BY 4.0. Seven pairs are identical sentences.
- `blimp_filtered`: BabyLM 2023 to 2025, https://aclanthology.org/2023.conll-babylm.1: the 59,875
  pairs whose words occur in the 10M-word corpus.
- `blimp_supplement`: from the same source, filtered in the same way: five further phenomena of very
  unequal size (64 to 3,867 pairs; 5,218 in all), questions and dialogue among them.
- `blimp_fast` and `supplement_fast`: BabyLM's subsets for checkpoints, 200 and 50 pairs a paradigm.
"""

from pathlib import Path

from lmcore.suites.records import Record, find, read_records


def build(source: Path) -> list[Record]:
    """Records of kind pairs from a folder's JSONL files, or the hub's Parquet files.

    The group is the paradigm's UID, else the file's name.
    """
    records = []
    for path in find(source, ".jsonl", ".parquet"):
        for row in read_records(path):
            group = row.name("UID") or path.stem
            good, bad = row["sentence_good"], row["sentence_bad"]
            records.append(row.record(group=group, good=good, bad=bad))
    return records
