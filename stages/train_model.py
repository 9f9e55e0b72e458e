"""Stage: train one of the models of `trained` on the chunks, and keep the steps of it that `keep_checkpoint` asks for."""

from pathlib import Path

from lmcore.files import digest, sha256
from lmcore.models.shapes import new_model, resolve
from lmcore.training import ranks
from lmcore.training.loop import train
from lmcore.training.outcome import chunk_examples, save_steps, save_trained
from stages.stage import call, fingerprint, params, recipe, run, section, work_folder

CHUNKS, TOKENIZER = Path("data/chunks"), Path("data/tokenizer")


def main(name: str) -> None:
    values = recipe("train_model", f"trained.{name}")
    ranks.launch(values["world_size"], "stages.train_model", name)
    key = digest(values, sha256(CHUNKS), sha256(TOKENIZER), fingerprint("train_model"), fingerprint("versions"))
    kept = sorted({entry["step"] for entry in params()["keep_checkpoint"].values() if entry["model"] == name})
    model = new_model(resolve(values["shape"], section("from_config"), work_folder() / "downloads"), TOKENIZER, values["seed"])
    work = work_folder() / "training" / key
    given = {"model": model, "work": work, "keep_steps": kept, **chunk_examples(CHUNKS)}
    curve = call(train, f"train_model, trained.{name}", values, without=("shape", "world_size"), **given)
    save_trained(name, model, TOKENIZER, curve, Path("data/models") / name, Path("metrics/plots/train"), Path("metrics/train"))
    save_steps(model, TOKENIZER, work, kept, Path("data/checkpoints") / name)


if __name__ == "__main__":
    run(main)
