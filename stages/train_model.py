"""Stage: train one of the models of `trained` on the chunks, alone or, in `distilled`, with the teachers of its name."""

from pathlib import Path

from lmcore import ranks
from lmcore.checkpoints import load_weights, step_path
from lmcore.chunks import read_chunks
from lmcore.curve import write_curve
from lmcore.files import digest, sha256, whole
from lmcore.models.llama import save_model
from lmcore.models.shapes import new_model, resolve
from lmcore.training import Examples, train
from stages.stage import call, fingerprint, params, recipe, run, section, work_folder

CHUNKS, TOKENIZER = Path("data/chunks"), Path("data/tokenizer")


def main(name: str) -> None:
    values = recipe("train_model", f"trained.{name}")
    ranks.launch(values["world_size"], "stages.train_model", name)
    key = digest(values, sha256(CHUNKS), sha256(TOKENIZER), fingerprint("train_model"), fingerprint("versions"))
    work = work_folder() / "training" / key
    kept = {entry["step"] for entry in params()["keep_checkpoint"].values() if entry["model"] == name}
    model = new_model(resolve(values["shape"], section("from_config"), work_folder() / "downloads"), TOKENIZER, values["seed"])
    examples = {"training": Examples(read_chunks(CHUNKS / "train")), "dev": Examples(read_chunks(CHUNKS / "dev"))}
    curve = call(train, "train_model", values, without=("shape", "world_size"), model=model, work=work, keep_steps=sorted(kept), **examples)
    if ranks.is_first():
        with whole(Path("data/models") / name) as folder:
            save_model(model, TOKENIZER, folder)
        with whole(Path("data/checkpoints") / name) as folder:
            folder.mkdir()
            for step in sorted(kept):
                load_weights(model, step_path(work, step))
                save_model(model, TOKENIZER, folder / f"step_{step:06d}")
        write_curve(curve, model.num_parameters(), Path(f"metrics/plots/train/{name}.csv"), Path(f"metrics/train/{name}.json"))


if __name__ == "__main__":
    run(main)
