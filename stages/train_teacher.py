"""Stage: train a teacher of a model that is to be distilled."""

from pathlib import Path

from lmcore.files import digest, sha256
from lmcore.models.shapes import new_model, resolve
from lmcore.training import ranks
from lmcore.training.loop import train
from lmcore.training.outcome import chunk_examples, save_trained
from stages.stage import call, fingerprint, recipe, run, section, work_folder

CHUNKS, TOKENIZER = Path("data/chunks"), Path("data/tokenizer")


def main(name: str) -> None:
    student = section(f"train_teacher.{name}.student")
    values = recipe("train_model", f"train_teacher.{name}", without=("student",))
    ranks.launch(values["world_size"], "stages.train_teacher", name)
    key = digest(values, sha256(CHUNKS), sha256(TOKENIZER), fingerprint("train_teacher"), fingerprint("versions"))
    model = new_model(resolve(values["shape"], section("from_config"), work_folder() / "downloads"), TOKENIZER, values["seed"])
    given = {"model": model, "work": work_folder() / "training" / key, **chunk_examples(CHUNKS)}
    curve = call(train, f"train_model, train_teacher.{name}", values, without=("shape", "world_size"), **given)
    save_trained(name, model, TOKENIZER, curve, Path("data/teachers") / student / name, Path("metrics/plots/train"), Path("metrics/train"))


if __name__ == "__main__":
    run(main)
