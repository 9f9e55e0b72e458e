"""What every training begins with and leaves.

Chunks become examples. Weights, the curve and a small JSON file of where it ended are written. The
curve and the JSON file are written while the training runs, too, so that `dvc plots`, `dvc exp
show` and editors that read them show it live. They are plain files that DVC reads anyway, so a
logger such as DVCLive, which writes such files of its own, would add nothing.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TypedDict

from transformers import PreTrainedModel

from lmcore.files import whole, write_csv, write_json
from lmcore.models.llama import save_model
from lmcore.models.shapes import Shape, new_model
from lmcore.params.ranges import Processes
from lmcore.text.chunks import read_chunks
from lmcore.training import ranks
from lmcore.training.batches import Examples, Splits
from lmcore.training.checkpoints import best_step, load_weights
from lmcore.training.loop import train
from lmcore.training.objective import Teachers
from lmcore.training.settings import Settings

DECIMALS = {"lr": 6}  # of a column of the curve; 4 of the others, which are nats per token


class NewModel(TypedDict):
    """What a recipe says of a new model that is none of `Settings`."""

    shape: Shape
    world_size: Processes


class Places(NamedTuple):
    """Where a training works, and where its results are written."""

    work: Path  # folder of the checkpoint that a killed training goes on from
    model: Path  # the model folder
    plots: Path  # folder of NAME.csv, the curve
    metrics: Path  # folder of NAME.json
    steps: Path | None = None  # folder of a model folder for each kept step; None: none is written


def chunk_examples(chunks: Path) -> Splits:
    """The examples in the folder that stage chunk_corpus wrote."""
    return Splits(
        training=Examples(read_chunks(chunks / "train")), dev=Examples(read_chunks(chunks / "dev"))
    )


def train_on_chunks(
    name: str,
    shape: dict,
    tokenizer: Path,
    chunks: Path,
    settings: Settings,
    places: Places,
    keep_steps: Sequence[int] = (),
    teachers: Teachers | None = None,
) -> None:
    """Train a new model of a resolved shape on the chunks, and write what `train_and_save` does.

    Raises InputError as `train_and_save`.
    """
    model = new_model(shape, tokenizer, settings.seed)
    splits = chunk_examples(chunks)
    train_and_save(name, model, tokenizer, splits, settings, places, keep_steps, teachers)


def train_and_save(
    name: str,
    model: PreTrainedModel,
    tokenizer: Path,
    splits: Splits,
    settings: Settings,
    places: Places,
    keep_steps: Sequence[int] = (),
    teachers: Teachers | None = None,
) -> None:
    """Train `model` and write what `save_trained` and `save_steps` describe.

    One run at a time works in `places.work`. Raises InputError, as lmcore.training.loop.train.
    """

    def show(curve: list[dict]) -> None:
        save_curve(name, model.num_parameters(), curve, places.plots, places.metrics)

    with ranks.alone(places.work):
        curve = train(model, splits, places.work, settings, keep_steps, teachers, show)
        save_trained(name, model, tokenizer, curve, places.model, places.plots, places.metrics)
        if places.steps is not None:
            save_steps(model, tokenizer, places.work, keep_steps, places.steps)


def save_trained(
    name: str,
    model: PreTrainedModel,
    tokenizer: Path,
    curve: list[dict],
    out: Path,
    plots: Path,
    metrics: Path,
) -> None:
    """Write the model folder `out`, and what `save_curve` writes.

    Only the first of several ranks writes.
    """
    if not ranks.is_first():
        return
    with whole(out) as folder:
        save_model(model, tokenizer, folder)
    save_curve(name, model.num_parameters(), curve, plots, metrics)


def save_curve(name: str, n_parameters: int, curve: list[dict], plots: Path, metrics: Path) -> None:
    """Write `plots`/NAME.csv and `metrics`/NAME.json.

    The CSV file holds the rows of the curve. The JSON file holds the number of parameters and of
    steps, and the lowest dev loss (nats per token) with its step.
    """
    rows = []
    for row in curve:
        rows.append({key: round(value, DECIMALS.get(key, 4)) for key, value in row.items()})
    write_csv(rows, plots / f"{name}.csv")
    best = best_step(curve)
    dev_loss = next(row["dev_loss"] for row in curve if row["step"] == best)
    values = {
        "best_step": best,
        "dev_loss": round(dev_loss, 4),
        "parameters": n_parameters,
        "steps": curve[-1]["step"],
    }
    write_json(values, metrics / f"{name}.json")


def save_steps(
    model: PreTrainedModel, tokenizer: Path, work: Path, steps: Sequence[int], out: Path
) -> None:
    """Write the weights of `steps` as model folders `out`/step_NNNNNN.

    The training in the folder `work` has kept them. `model` ends with the weights of the last step.
    """
    if not ranks.is_first():
        return
    with whole(out) as folder:
        folder.mkdir()
        for step in steps:
            load_weights(model, work, step)
            save_model(model, tokenizer, folder / f"step_{step:06d}")
