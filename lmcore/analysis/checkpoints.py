"""How much of its corpus a model had read: the checkpoints of one training, in words or in steps.

Names of models and what params.yaml says of kept checkpoints go in; a number for each comes out.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from lmcore.errors import InputError
from lmcore.files import read_json_object

UNITS = ("words", "steps")  # in the order in which they are preferred


class Amounts(NamedTuple):
    """What each of some models had read, in one unit of UNITS."""

    unit: str
    values: list[int]


def amounts_read(
    models: Sequence[str], kept: Mapping[str, Mapping], trained: Path
) -> Amounts | None:
    """What each model had read; None unless all are of one training and a unit is known of all.

    `kept` are the entries of keep_checkpoint. The trained model itself may be among the models;
    `trained` is the folder of MODEL.json, which say how far trainings went. Raises InputError where
    such a file cannot be read.
    """
    trainings = {kept[model]["model"] if model in kept else model for model in models}
    if len(trainings) != 1:
        return None
    known = [_known(model, kept, trained) for model in models]
    for unit in UNITS:
        values = [amounts.get(unit, 0) for amounts in known]
        if all(values):
            return Amounts(unit, values)
    return None


def _known(model: str, kept: Mapping[str, Mapping], trained: Path) -> dict[str, int]:
    """What is known of one model, by unit."""
    if model in kept:
        entry = kept[model]
        return {"words": entry["words"]} if "words" in entry else {"steps": entry["step"]}
    path = trained / f"{model}.json"
    if not path.is_file():
        return {}
    values = read_json_object(path, "the end of a training")
    known = {unit: values[unit] for unit in UNITS if unit in values}
    if not all(isinstance(value, int) for value in known.values()):
        raise InputError(f"{path}: words and steps must be whole numbers; run the training again")
    return known
