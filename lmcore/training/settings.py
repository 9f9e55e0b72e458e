"""The settings of a training: a section of params.yaml goes in, checked settings come out."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal, TypedDict

import torch
from pydantic import Field

from lmcore.errors import InputError
from lmcore.params.ranges import (
    RANGE,
    Count,
    NonNegative,
    Positive,
    Processes,
    UpToOne,
    Whole,
)
from lmcore.params.schema import mapping, shown, together
from lmcore.training import ranks
from lmcore.training.batches import Examples
from lmcore.training.schedule import Growth, Schedule
from lmcore.training.words_read import Course, course

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
Momentum = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False), RANGE]
# torch is seeded with seed * 2**44 + step * 2**12 + rank, which must fit 64 bits
TrainingSeed = Annotated[int, Field(ge=0, le=2**20 - 1), RANGE]


class Muon(TypedDict):
    """What Muon has of its own; see lmcore.training.optimizers."""

    lr: UpToOne  # peak
    momentum: Momentum
    weight_decay: NonNegative


def check_length(*, epochs: int | None, steps: int | None, warmup_steps: int, **others) -> None:
    """Check that the settings say how long a training is.

    Raises InputError unless exactly one of `epochs` and `steps` is given, and where the warmup is
    longer than the training.
    """
    if (epochs is None) == (steps is None):
        raise InputError(
            "exactly one of epochs and steps must be a number, the other one null; "
            f"epochs is {shown(epochs)} and steps is {shown(steps)}"
        )
    if steps is not None and warmup_steps > steps:
        raise InputError(f"warmup_steps must be at most {steps}, all steps, not {warmup_steps}")


@together(check_length)
@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of a training.

    The fields are part of the schema of the section train_model in params.yaml.
    """

    epochs: Count | None  # or None, and `steps`
    steps: Count | None
    batch_size: Count  # chunks a step, over all ranks
    micro_batch_size: Count | None  # chunks of a rank in one pass; None: all of them
    random_offset: bool  # chunks begin at random places of the stream
    seq_len_warmup: Annotated[dict, mapping(Growth)] | None  # None: chunks are never cut
    optimizer: Literal["adamw", "muon"]  # muon: of the body's matrices, and adamw of the rest
    muon: Annotated[dict, mapping(Muon)]  # used if it is the optimizer
    schedule: Schedule  # of the learning rate, after the warmup
    lr: UpToOne  # peak, of AdamW
    warmup_steps: Whole
    weight_decay: NonNegative  # of matrices that AdamW updates
    betas: Annotated[list[Momentum], Field(min_length=2, max_length=2)]  # of AdamW
    clip_norm: Positive  # greatest norm of all gradients together
    eval_every: Count  # steps between two rows of the curve
    dev_limit: Count | None  # dev examples, the same for every seed; None: all
    keep: Literal["best", "last"]  # which weights the model ends with; best: lowest dev loss
    precision: Literal["fp32", "bf16", "fp16"]  # of products
    compile: bool  # whether torch.compile is used
    sharded: bool  # whether weights, gradients and the optimiser's state are split over the ranks
    threads: Processes  # of torch
    seed: TrainingSeed  # of order, offsets and dropout


def settings_of(values: Mapping[str, Any]) -> Settings:
    """The settings among the checked values of a recipe, which may hold other keys as well."""
    return Settings(**{field.name: values[field.name] for field in fields(Settings)})


def course_of(training: Examples, settings: Settings) -> Course:
    """How a training with these settings goes through its examples."""
    n_chunks, length = training.ids.shape
    return course(
        n_chunks,
        length,
        random_offset=settings.random_offset,
        batch_size=settings.batch_size,
        epochs=settings.epochs,
        steps=settings.steps,
    )


def check_settings(settings: Settings, device: torch.device) -> None:
    """Raises InputError for settings that make no sense, or not on this device."""
    check_length(epochs=settings.epochs, steps=settings.steps, warmup_steps=settings.warmup_steps)
    keep, precision = settings.keep, settings.precision
    if keep not in ("best", "last") or precision not in PRECISIONS:
        raise InputError(
            f"train_model: keep '{keep}' must be best or last, "
            f"precision '{precision}' one of {', '.join(PRECISIONS)}"
        )
    if settings.optimizer not in ("adamw", "muon") or settings.schedule not in ("cosine", "linear"):
        raise InputError(
            f"train_model: optimizer '{settings.optimizer}' must be adamw or muon, "
            f"schedule '{settings.schedule}' cosine or linear"
        )
    if precision == "fp16" and device.type == "cpu":
        raise InputError(
            "train_model: precision fp16 needs a GPU, where its gradients are scaled; "
            "a CPU trains in bf16 or fp32"
        )
    if settings.compile and device.type == "cpu":
        _check_compiler()
    if settings.sharded:
        _check_sharded(settings)


def _check_sharded(settings: Settings) -> None:
    """Raises InputError where a model cannot be split over the ranks."""
    if ranks.size() == 1:
        raise InputError(
            "train_model: sharded true splits a model over processes; "
            "expected a world_size of 2 or more, not 1"
        )
    if settings.compile:
        raise InputError(
            "train_model: sharded true cannot be compiled, because a split model runs through "
            "transformers' own forward; expected compile false, not true"
        )
    if settings.precision == "fp16":
        raise InputError(
            "train_model: sharded true cannot scale gradients; "
            "expected precision bf16 or fp32, not fp16"
        )


def _check_compiler() -> None:
    """Raises InputError where there is no C++ compiler, which torch.compile needs on a CPU."""
    if not shutil.which(os.environ.get("CXX") or "c++"):
        raise InputError(
            "train_model: compile needs a C++ compiler (`c++`, or what the environment "
            "variable CXX names); none was found"
        )
