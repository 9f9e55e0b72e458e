"""SST-2: is a sentence of a film review negative or positive (Socher et al. 2013, https://aclanthology.org/D13-1170; in GLUE); 872
validation items. Worded as in lm-eval: the sentence, a question, and the answer to come; the shots before it likewise, with theirs.

GLUE hides the labels of the test split and the package that brings the validation split has no other, so the shots are taken from that:
as many of each class, drawn by a seed, set apart from the items and shuffled. All items have the same shots.
"""

import random
from pathlib import Path

from lmcore.errors import InputError
from lmcore.tasks.records import find, read_records

LABELS = ("negative", "positive")
N_PUBLISHED = 872
MAX_SHOTS = 64  # half of each class; more would leave too few items


def build(source: Path, *, shots: int, seed: int) -> list[dict]:
    """Records of kind choices from the validation split as Arrow or Parquet; each class has half of the `shots`, which may be 0.

    Raises InputError for an odd number of shots, and for a source of other than the published size.
    """
    records = [record for path in find(source, ".arrow", ".parquet") for record in read_records(path)]
    if len(records) != N_PUBLISHED:
        raise InputError(
            f"{source}: task sst2 found {len(records):,} items, published are {N_PUBLISHED:,}; this is not its validation split"
        )
    if shots < 0 or shots % 2 or shots > MAX_SHOTS:
        raise InputError(f"task sst2: shots must be an even number from 0 to {MAX_SHOTS}, half of each class, not {shots}")
    draw = random.Random(seed)
    apart = [i for label in (0, 1) for i in draw.sample([i for i, record in enumerate(records) if record["label"] == label], shots // 2)]
    draw.shuffle(apart)
    prompt = "".join(f"{_question(records[i])} {LABELS[records[i]['label']]}\n\n" for i in apart)
    return [
        {"context": prompt + _question(record), "options": list(LABELS), "gold": record["label"]}
        for i, record in enumerate(records)
        if i not in apart
    ]


def _question(record: dict) -> str:
    return f"{record['sentence']}\nQuestion: Is this sentence positive or negative?\nAnswer:"
