"""What params.yaml says of a training's step that becomes a model of its own."""

from typing import Annotated, TypedDict

from lmcore.params.ranges import Count, Name
from lmcore.params.schema import mapping


class Kept(TypedDict):
    """Which step of which model's training."""

    model: Name
    step: Count


KeptSteps = dict[Name, Annotated[dict, mapping(Kept)]]
