"""Stage: train one of the models of `trained` on the chunks, and keep the steps of it that `keep_checkpoint` asks for."""

from pathlib import Path
from typing import TypedDict

from lmcore.corpus.sources import Sources
from lmcore.files import digest, sha256
from lmcore.models.shapes import Shape, new_model, resolve
from lmcore.params.ranges import Processes
from lmcore.training import ranks
from lmcore.training.kept import KeptSteps
from lmcore.training.loop import train
from lmcore.training.outcome import chunk_examples, save_steps, save_trained
from stages.stage import call, fingerprint, recipe, run, section, work_folder

CHUNKS, TOKENIZER = Path("data/chunks"), Path("data/tokenizer")


class Own(TypedDict):
    """The keys that are none of `train`'s."""

    shape: Shape
    world_size: Processes


def main(name: str) -> None:
    values = recipe("train_model", f"trained.{name}", train, Own)
    ranks.launch(values["world_size"], "stages.train_model", name)
    key = digest(
        values,
        sha256(CHUNKS),
        sha256(TOKENIZER),
        fingerprint("train_model"),
        fingerprint("versions"),
    )
    checkpoints = section("keep_checkpoint", KeptSteps).values()
    kept = sorted({entry["step"] for entry in checkpoints if entry["model"] == name})
    model = new_model(
        resolve(values["shape"], section("from_config", Sources), work_folder() / "downloads"),
        TOKENIZER,
        values["seed"],
    )
    work = work_folder() / "training" / key
    given = {"model": model, "work": work, "keep_steps": kept, **chunk_examples(CHUNKS)}
    with ranks.alone(work):
        curve = call(
            train, f"train_model, trained.{name}", values, without=("shape", "world_size"), **given
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
        save_steps(model, TOKENIZER, work, kept, Path("data/checkpoints") / name)


if __name__ == "__main__":
    run(main)
