"""What every training begins with and leaves.

Chunks become examples. Weights, the curve and a small JSON file of where it ended are written. The
curve and the JSON file are written while the training runs, too, so that `dvc plots`, `dvc exp
show` and editors that read them show it live. They are plain files that DVC reads anyway, so a
logger such as DVCLive, which writes such files of its own, would add nothing.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypedDict

from transformers import PreTrainedModel

from lmcore.babylm_year import RulesName
from lmcore.files import whole, write_csv, write_json
from lmcore.models.llama import save_model
from lmcore.models.shapes import Shape, new_model
from lmcore.params.ranges import Processes
from lmcore.text.chunks import read_chunks, read_words
from lmcore.training import ranks
from lmcore.training.batches import Examples, Splits
from lmcore.training.checkpoints import best_step, load_weights
from lmcore.training.loop import train
from lmcore.training.objective import Teachers
from lmcore.training.settings import Settings, course_of
from lmcore.training.words_read import Course, check_rules, step_of_words, words_read

DECIMALS = {"lr": 6}  # of a column of the curve; 4 of the others, which are nats per token


class NewModel(TypedDict):
    """What a recipe says of a new model that is none of `Settings`."""

    shape: Shape
    world_size: Processes
    rules: RulesName | None  # of a year of BabyLM, checked before the training


class Places(NamedTuple):
    """Where a training works, and where its results are written."""

    work: Path  # folder of the checkpoint that a killed training goes on from
    model: Path  # the model folder
    plots: Path  # folder of NAME.csv, the curve
    metrics: Path  # folder of NAME.json
    steps: Path | None = None  # folder of a model folder for each kept step; None: none is written


WordsOf = Callable[[int], int]  # from tokens read to words read


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
    kept: Mapping[str, Mapping] | None = None,
    teachers: Teachers | None = None,
    rules: str | None = None,
) -> None:
    """Train a new model of a resolved shape on the chunks, and write what `train_and_save` does.

    `kept` are the entries of keep_checkpoint by the names of their folders (see
    lmcore.training.kept). Raises InputError as `train_and_save`, for words that no step has read,
    and for a training that breaks `rules`, if they are given.
    """
    splits = chunk_examples(chunks)
    progress, words = course_of(splits.training, settings), read_words(chunks)
    if rules is not None:
        line = check_rules(name, rules, words, progress)
        if ranks.is_first():
            print(line, flush=True)
    keep_steps = _steps_of(kept or {}, words, progress)
    words_of = partial(words_read, epoch_tokens=progress.epoch_tokens, words=words)
    model = new_model(shape, tokenizer, settings.seed)
    train_and_save(name, model, tokenizer, splits, settings, places, keep_steps, teachers, words_of)


def _steps_of(kept: Mapping[str, Mapping], words: int, progress: Course) -> dict[str, int]:
    """{name of a folder: the step that it holds}. Raises InputError as `step_of_words`."""
    steps = {}
    for folder, entry in kept.items():
        if "step" in entry:
            steps[folder] = entry["step"]
        else:
            steps[folder] = step_of_words(entry["words"], words, progress)
    return steps


def train_and_save(
    name: str,
    model: PreTrainedModel,
    tokenizer: Path,
    splits: Splits,
    settings: Settings,
    places: Places,
    keep_steps: Mapping[str, int] | None = None,
    teachers: Teachers | None = None,
    words_of: WordsOf | None = None,
) -> None:
    """Train `model` and write what `save_trained` and `save_steps` describe.

    `keep_steps` are by the name of the folder that each is written to. One run at a time works in
    `places.work`. Raises InputError, as lmcore.training.loop.train.
    """
    keep_steps = keep_steps or {}
    plots, metrics = places.plots, places.metrics

    def show(curve: list[dict]) -> None:
        save_curve(name, model.num_parameters(), curve, plots, metrics, words_of)

    with ranks.alone(places.work):
        steps = sorted(set(keep_steps.values()))
        curve = train(model, splits, places.work, settings, steps, teachers, show)
        save_trained(name, model, tokenizer, curve, places.model, plots, metrics, words_of)
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
    words_of: WordsOf | None = None,
) -> None:
    """Write the model folder `out`, and what `save_curve` writes.

    Only the first of several ranks writes.
    """
    if not ranks.is_first():
        return
    with whole(out) as folder:
        save_model(model, tokenizer, folder)
    save_curve(name, model.num_parameters(), curve, plots, metrics, words_of)


def save_curve(
    name: str,
    n_parameters: int,
    curve: list[dict],
    plots: Path,
    metrics: Path,
    words_of: WordsOf | None = None,
) -> None:
    """Write `plots`/NAME.csv and `metrics`/NAME.json.

    The CSV file holds the rows of the curve; with `words_of`, the words of the corpus read so far
    stand in the place of the tokens. The JSON file holds the number of parameters and of steps, and
    the lowest dev loss (nats per token) with its step; and the words, where they are known.
    """
    rows = [_curve_row(row, words_of) for row in curve]
    write_csv(rows, plots / f"{name}.csv")
    best = best_step(curve)
    dev_loss = next(row["dev_loss"] for row in curve if row["step"] == best)
    values = {
        "best_step": best,
        "dev_loss": round(dev_loss, 4),
        "parameters": n_parameters,
        "steps": curve[-1]["step"],
    }
    if words_of is not None:
        values["words"] = words_of(curve[-1]["tokens"])
    write_json(values, metrics / f"{name}.json")


def _curve_row(row: dict, words_of: WordsOf | None) -> dict:
    """A row of the curve as the CSV file has it."""
    line: dict[str, float] = {}
    for key, value in row.items():
        if key != "tokens":
            line[key] = round(value, DECIMALS.get(key, 4))
        elif words_of is not None:
            line["words"] = words_of(value)
    return line


def save_steps(
    model: PreTrainedModel, tokenizer: Path, work: Path, steps: Mapping[str, int], out: Path
) -> None:
    """Write the weights of `steps`, {name: step}, as model folders `out`/NAME.

    The training in the folder `work` has kept them. `model` ends with the weights of the last one.
    """
    if not ranks.is_first():
        return
    with whole(out) as folder:
        folder.mkdir()
        for name, step in steps.items():
            load_weights(model, work, step)
            save_model(model, tokenizer, folder / name)
