"""The settings of a classifier's fine-tuning: its section of params.yaml goes in, checked."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal, NotRequired, TypedDict

from pydantic import AfterValidator, Field

from lmcore.classifying.tasks import TASKS, TaskName
from lmcore.params.ranges import (
    DIFFERENT,
    RANGE,
    Align,
    Count,
    Line,
    Names,
    NonNegative,
    Processes,
    Share,
    UpToOne,
)
from lmcore.training.settings import TrainingSeed

Dropout = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False), RANGE]
MaxLength = Annotated[int, Field(ge=8, le=100_000), RANGE]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What decides the weights of a classifier, besides its model, its data and its seed."""

    lr: UpToOne  # peak
    epochs: Count
    batch_size: Count  # examples a step
    micro_batch_size: Count | None  # examples in one pass; None: all of them
    max_length: MaxLength  # tokens of an example; the model's window where that is shorter
    warmup_share: Share  # of the steps
    final_lr_share: Share  # of the peak, at the last step
    weight_decay: NonNegative  # of all parameters
    dropout: Dropout  # before the head's last layer; the body has its own
    padding_side: Align
    keep: Literal["best", "last"]  # which epoch predicts; best: by the task's metric on valid
    threads: Processes  # of torch


class Own(TypedDict):
    """The keys of a recipe that are none of `Settings`."""

    data: Line  # folder of TASK.train.jsonl and TASK.valid.jsonl
    seeds: Annotated[list[TrainingSeed], Field(min_length=1), DIFFERENT]
    items: NotRequired[Count | None]  # examples of valid where they are not the published number


def _all_tasks(by_task: dict) -> dict:
    """Raises ValueError where a task has no entry, which DVC would take for a missing parameter."""
    for task in TASKS:
        if task not in by_task:
            raise ValueError(f"the key '{task}' is missing; write `{task}: {{}}` for the recipe")
    return by_task


class Section(TypedDict):
    """The section finetune_classifier of params.yaml."""

    models: Names
    tasks: Annotated[list[TaskName], DIFFERENT]
    recipe: dict
    by_task: Annotated[dict[TaskName, dict | None], AfterValidator(_all_tasks)]


def settings_of(values: Mapping[str, Any]) -> Settings:
    """The settings among the checked values of a recipe, which may hold other keys as well."""
    return Settings(**{field.name: values[field.name] for field in fields(Settings)})
