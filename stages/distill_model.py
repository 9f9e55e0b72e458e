"""Stage: train a model on the chunks and on what its teachers say of them."""

from pathlib import Path

from lmcore.corpus.sources import Sources
from lmcore.errors import InputError
from lmcore.files import sha256
from lmcore.models.load import load_model
from lmcore.models.shapes import resolve
from lmcore.params.ranges import Entries, Name, Positive, Share
from lmcore.training import ranks
from lmcore.training.objective import Reduction, Teachers
from lmcore.training.outcome import NewModel, Places, train_on_chunks
from lmcore.training.settings import Settings, settings_of
from stages.stage import clear_leftovers, recipe, run, section, work_folder, work_key

CHUNKS, TOKENIZER = Path("data/chunks"), Path("data/tokenizer")


class Own(NewModel):
    """The keys that are neither `Settings` nor of every new model."""

    alpha: Share
    temperature: Positive
    reduction: Reduction


def main(name: str) -> None:
    clear_leftovers(f"data/teachers/{name}")
    values = recipe("train_model", f"distill_model.{name}", Settings, Own)
    rules = values.pop("rules")  # no part of the key: they change no weight
    ranks.launch(values["world_size"], "stages.distill_model", name)
    folders = teacher_folders(name)
    inputs = [sha256(path) for path in (CHUNKS, TOKENIZER, *folders)]
    key = work_key("distill_model", values, inputs)
    shape = resolve(values["shape"], section("from_config", Sources), work_folder() / "downloads")
    train_on_chunks(
        name,
        shape,
        TOKENIZER,
        CHUNKS,
        settings_of(values),
        Places(
            work=work_folder() / "training" / key,
            model=Path("data/models") / name,
            plots=Path("metrics/plots/train"),
            metrics=Path("metrics/train"),
        ),
        teachers=Teachers(
            models=[load_model(folder) for folder in folders],
            alpha=values["alpha"],
            temperature=values["temperature"],
            reduction=values["reduction"],
        ),
        rules=rules,
    )


def teacher_folders(student: str) -> list[Path]:
    """The model folders of the student's teachers. Raises InputError where it has none."""
    folders = []
    for teacher in section("train_teacher", Entries):
        if section(f"train_teacher.{teacher}.student", Name) == student:
            folders.append(Path("data/teachers") / student / teacher)
    if not folders:
        raise InputError(
            f"params.yaml: distill_model.{student}: no entry of train_teacher has it as its student"
        )
    return folders


if __name__ == "__main__":
    run(main)
