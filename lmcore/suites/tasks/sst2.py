"""SST-2: is a sentence of a film review negative or positive; 872 validation items.

The items are worded as in lm-eval: the sentence, a question, and the answer to come. The shots
before it are worded likewise, with their answers.

GLUE hides the labels of the test split, and the package that ships the validation split has no
other split. So the shots are taken from the validation split: as many of each class, drawn by a
seed, set apart from the items and shuffled. All items have the same shots.

Source: Socher et al. 2013, https://aclanthology.org/D13-1170; in GLUE.
"""

import random
from pathlib import Path
from typing import Annotated

from pydantic import Field

from lmcore.errors import InputError
from lmcore.params.ranges import RANGE, Seed
from lmcore.params.schema import together
from lmcore.suites.records import Record, Row, find, read_records

LABELS = ("negative", "positive")
N_PUBLISHED = 872
MAX_SHOTS = 64  # half of each class; more would leave too few items
Shots = Annotated[int, Field(ge=0, le=MAX_SHOTS), RANGE]


def check_shots(*, shots: int, **others) -> None:
    """Raises InputError for a number of shots that the classes cannot share equally."""
    if shots < 0 or shots % 2 or shots > MAX_SHOTS:
        raise InputError(
            f"shots must be an even number from 0 to {MAX_SHOTS}, half of each class, not {shots}"
        )


@together(check_shots)
def build(source: Path, *, shots: Shots, seed: Seed) -> list[Record]:
    """Records of kind choices from the validation split as Arrow or Parquet.

    Each class has half of the `shots`, which may be 0. Raises InputError for an odd number of
    shots, for a source whose size is not the published one, and for a class with too few texts.
    """
    rows: list[Row] = []
    for path in find(source, ".arrow", ".parquet"):
        rows += read_records(path)
    if len(rows) != N_PUBLISHED:
        raise InputError(
            f"{source}: task sst2 found {len(rows):,} items, expected the {N_PUBLISHED:,} of its "
            "validation split"
        )
    check_shots(shots=shots)
    labels = [row.number("label", 0, 1) for row in rows]
    apart = _draw_shots(labels, shots, seed, source)
    prompt = "".join(f"{_question(rows[i])} {LABELS[labels[i]]}\n\n" for i in apart)
    return [
        row.record(context=prompt + _question(row), options=list(LABELS), gold=labels[i])
        for i, row in enumerate(rows)
        if i not in apart
    ]


def _draw_shots(labels: list[int], shots: int, seed: int, source: Path) -> list[int]:
    """The numbers of the rows that are the shots, in random order.

    Raises InputError, naming `source`, for a class with too few texts.
    """
    rng = random.Random(seed)
    drawn: list[int] = []
    for label in (0, 1):
        candidates = [i for i, other in enumerate(labels) if other == label]
        if len(candidates) < shots // 2:
            raise InputError(
                f"{source}: class {label} has {len(candidates)} texts, "
                f"too few for {shots // 2} shots"
            )
        drawn += rng.sample(candidates, shots // 2)
    rng.shuffle(drawn)
    return drawn


def _question(row: Row) -> str:
    return f"{row['sentence']}\nQuestion: Is this sentence positive or negative?\nAnswer:"
