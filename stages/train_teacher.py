"""Stage: train a teacher of a model that is to be distilled."""

from pathlib import Path

from lmcore import ranks
from lmcore.chunks import read_chunks
from lmcore.curve import write_curve
from lmcore.files import digest, sha256, whole
from lmcore.models.llama import save_model
from lmcore.models.shapes import new_model, resolve
from lmcore.training import Examples, train
from stages.stage import call, fingerprint, recipe, run, section, work_folder

CHUNKS, TOKENIZER = Path("data/chunks"), Path("data/tokenizer")


def main(name: str) -> None:
    student = section(f"train_teacher.{name}.student")
    values = recipe("train_model", f"train_teacher.{name}", without=("student",))
    ranks.launch(values["world_size"], "stages.train_teacher", name)
    key = digest(values, sha256(CHUNKS), sha256(TOKENIZER), fingerprint("train_teacher"), fingerprint("versions"))
    model = new_model(resolve(values["shape"], section("from_config"), work_folder() / "downloads"), TOKENIZER, values["seed"])
    examples = {"training": Examples(read_chunks(CHUNKS / "train")), "dev": Examples(read_chunks(CHUNKS / "dev"))}
    work = work_folder() / "training" / key
    curve = call(train, "train_model", values, without=("shape", "world_size"), model=model, work=work, **examples)
    if ranks.is_first():
        with whole(Path("data/teachers") / student / name) as folder:
            save_model(model, TOKENIZER, folder)
        write_curve(curve, model.num_parameters(), Path(f"metrics/plots/train/{name}.csv"), Path(f"metrics/train/{name}.json"))


if __name__ == "__main__":
    run(main)
