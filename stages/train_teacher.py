"""Stage: train a teacher of a model that is to be distilled."""

from pathlib import Path
from typing import TypedDict

from lmcore.corpus.sources import Sources
from lmcore.files import digest, sha256
from lmcore.models.shapes import Shape, new_model, resolve
from lmcore.params.ranges import Name, Processes
from lmcore.training import ranks
from lmcore.training.outcome import Places, chunk_examples, train_and_save
from lmcore.training.settings import Settings, settings_of
from stages.stage import fingerprint, recipe, run, section, work_folder

CHUNKS, TOKENIZER = Path("data/chunks"), Path("data/tokenizer")


class Own(TypedDict):
    """The keys that are none of `Settings`."""

    shape: Shape
    world_size: Processes
    student: Name


def main(name: str) -> None:
    values = recipe("train_model", f"train_teacher.{name}", Settings, Own, without=("student",))
    student = section(f"train_teacher.{name}.student", Name)
    ranks.launch(values["world_size"], "stages.train_teacher", name)
    inputs = [sha256(CHUNKS), sha256(TOKENIZER)]
    key = digest(values, *inputs, fingerprint("train_teacher"), fingerprint("versions"))
    shape = resolve(values["shape"], section("from_config", Sources), work_folder() / "downloads")
    train_and_save(
        name,
        new_model(shape, TOKENIZER, values["seed"]),
        TOKENIZER,
        chunk_examples(CHUNKS),
        settings_of(values),
        Places(
            work=work_folder() / "training" / key,
            model=Path("data/teachers") / student / name,
            plots=Path("metrics/plots/train"),
            metrics=Path("metrics/train"),
        ),
    )


if __name__ == "__main__":
    run(main)
