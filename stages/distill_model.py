"""Stage: train a model on the chunks and on what its teachers say of them."""

from pathlib import Path

from lmcore import ranks
from lmcore.chunks import read_chunks
from lmcore.curve import write_curve
from lmcore.errors import InputError
from lmcore.files import digest, sha256, whole
from lmcore.models.llama import save_model
from lmcore.models.load import load_model
from lmcore.models.shapes import new_model, resolve
from lmcore.training import Examples, Teachers, train
from stages.stage import call, fingerprint, params, recipe, run, section, work_folder

CHUNKS, TOKENIZER = Path("data/chunks"), Path("data/tokenizer")
OF_TEACHING = ("alpha", "temperature", "reduction")


def main(name: str) -> None:
    values = recipe("train_model", f"distill_model.{name}")
    ranks.launch(values["world_size"], "stages.distill_model", name)
    folders = [Path("data/teachers") / name / teacher for teacher, entry in params()["train_teacher"].items() if entry["student"] == name]
    if not folders:
        raise InputError(f"params.yaml: distill_model.{name}: no entry of train_teacher has it as its student")
    inputs = [sha256(path) for path in (CHUNKS, TOKENIZER, *folders)]
    work = work_folder() / "training" / digest(values, inputs, fingerprint("distill_model"), fingerprint("versions"))
    model = new_model(resolve(values["shape"], section("from_config"), work_folder() / "downloads"), TOKENIZER, values["seed"])
    teaching = {key: values.pop(key) for key in OF_TEACHING}
    teachers = Teachers([load_model(folder) for folder in folders], **teaching)
    examples = {"training": Examples(read_chunks(CHUNKS / "train")), "dev": Examples(read_chunks(CHUNKS / "dev"))}
    curve = call(train, "train_model", values, without=("shape", "world_size"), model=model, work=work, teachers=teachers, **examples)
    if ranks.is_first():
        with whole(Path("data/models") / name) as folder:
            save_model(model, TOKENIZER, folder)
        write_curve(curve, model.num_parameters(), Path(f"metrics/plots/train/{name}.csv"), Path(f"metrics/train/{name}.json"))


if __name__ == "__main__":
    run(main)
