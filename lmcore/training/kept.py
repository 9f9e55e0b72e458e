"""What params.yaml says of a training's step that becomes a model of its own."""

from collections.abc import Iterable, Mapping
from typing import Annotated, NotRequired, TypedDict

from lmcore.errors import InputError
from lmcore.params.ranges import Count, Name
from lmcore.params.schema import mapping, together


def check_place(*, step: int | None = None, words: int | None = None, **others) -> None:
    """Raises InputError unless exactly one of `step` and `words` is given."""
    if (step is None) == (words is None):
        raise InputError("exactly one of step and words must say which checkpoint is kept")


@together(check_place)
class Kept(TypedDict):
    """Which step of which model's training.

    `words` stands for the first step by which so many words of the corpus were read (see
    lmcore.training.words_read).
    """

    model: Name
    step: NotRequired[Count]
    words: NotRequired[Count]


KeptSteps = dict[Name, Annotated[dict, mapping(Kept)]]


def folder_of(entry: Mapping) -> str:
    """The name of the folder in data/checkpoints/MODEL that holds this checkpoint."""
    if "step" in entry:
        return f"step_{entry['step']:06d}"
    return f"words_{entry['words']:010d}"


def kept_of(model: str, entries: Iterable[Mapping]) -> dict[str, Mapping]:
    """{name of the folder: the entry}, of the entries that keep a step of this model, sorted."""
    folders = {folder_of(entry): entry for entry in entries if entry["model"] == model}
    return dict(sorted(folders.items()))
