"""Stage: train a model on the chunks and on what its teachers say of them."""

from pathlib import Path
from typing import TypedDict

from lmcore.corpus.sources import Sources
from lmcore.errors import InputError
from lmcore.files import digest, sha256
from lmcore.models.load import load_model
from lmcore.models.shapes import Shape, new_model, resolve
from lmcore.params.ranges import Entries, Name, Positive, Processes, Share
from lmcore.training import ranks
from lmcore.training.loop import Reduction, Teachers, train
from lmcore.training.outcome import chunk_examples, save_trained
from stages.stage import call, clear_leftovers, fingerprint, recipe, run, section, work_folder

CHUNKS, TOKENIZER = Path("data/chunks"), Path("data/tokenizer")
OF_TEACHING = ("alpha", "temperature", "reduction")


class Own(TypedDict):
    """The keys that are none of `train`'s."""

    shape: Shape
    world_size: Processes
    alpha: Share
    temperature: Positive
    reduction: Reduction


def main(name: str) -> None:
    clear_leftovers(f"data/teachers/{name}")
    values = recipe("train_model", f"distill_model.{name}", train, Own)
    ranks.launch(values["world_size"], "stages.distill_model", name)
    students = {
        teacher: section(f"train_teacher.{teacher}.student", Name)
        for teacher in section("train_teacher", Entries)
    }
    folders = [
        Path("data/teachers") / name / teacher for teacher in students if students[teacher] == name
    ]
    if not folders:
        raise InputError(
            f"params.yaml: distill_model.{name}: no entry of train_teacher has it as its student"
        )
    inputs = [sha256(path) for path in (CHUNKS, TOKENIZER, *folders)]
    work = (
        work_folder()
        / "training"
        / digest(values, inputs, fingerprint("distill_model"), fingerprint("versions"))
    )
    model = new_model(
        resolve(values["shape"], section("from_config", Sources), work_folder() / "downloads"),
        TOKENIZER,
        values["seed"],
    )
    teaching = {key: values[key] for key in OF_TEACHING if key in values}
    teachers = call(
        Teachers,
        f"distill_model.{name}",
        teaching,
        models=[load_model(folder) for folder in folders],
    )
    given = {"model": model, "work": work, "teachers": teachers, **chunk_examples(CHUNKS)}
    with ranks.alone(work):
        curve = call(
            train,
            f"train_model, distill_model.{name}",
            values,
            without=("shape", "world_size", *OF_TEACHING),
            **given,
        )
        save_trained(
            name,
            model,
            TOKENIZER,
            curve,
            Path("data/models") / name,
            Path("metrics/plots/train"),
            Path("metrics/train"),
        )


if __name__ == "__main__":
    run(main)
