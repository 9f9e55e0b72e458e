"""Stage: train a teacher of a model that is to be distilled."""

from pathlib import Path
from typing import TypedDict

from lmcore.corpus.sources import Sources
from lmcore.files import digest, sha256
from lmcore.models.shapes import Shape, new_model, resolve
from lmcore.params.ranges import Name, Processes
from lmcore.training import ranks
from lmcore.training.loop import train
from lmcore.training.outcome import chunk_examples, save_trained
from stages.stage import call, fingerprint, recipe, run, section, work_folder

CHUNKS, TOKENIZER = Path("data/chunks"), Path("data/tokenizer")


class Own(TypedDict):
    """The keys that are none of `train`'s."""

    shape: Shape
    world_size: Processes
    student: Name


def main(name: str) -> None:
    values = recipe("train_model", f"train_teacher.{name}", train, Own, without=("student",))
    student = section(f"train_teacher.{name}.student", Name)
    ranks.launch(values["world_size"], "stages.train_teacher", name)
    key = digest(
        values,
        sha256(CHUNKS),
        sha256(TOKENIZER),
        fingerprint("train_teacher"),
        fingerprint("versions"),
    )
    model = new_model(
        resolve(values["shape"], section("from_config", Sources), work_folder() / "downloads"),
        TOKENIZER,
        values["seed"],
    )
    work = work_folder() / "training" / key
    given = {"model": model, "work": work, **chunk_examples(CHUNKS)}
    with ranks.alone(work):
        curve = call(
            train,
            f"train_model, train_teacher.{name}",
            values,
            without=("shape", "world_size"),
            **given,
        )
        out = Path("data/teachers") / student / name
        save_trained(
            name, model, TOKENIZER, curve, out, Path("metrics/plots/train"), Path("metrics/train")
        )


if __name__ == "__main__":
    run(main)
