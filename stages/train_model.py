"""Stage: train the BabyLlama on the chunks."""

import csv
from pathlib import Path

from lmcore.chunks import read_chunks
from lmcore.files import digest, sha256, whole, write_json
from lmcore.models.llama import new_llama, save_model
from lmcore.training import train
from stages.stage import call, fingerprint, run, section, work_folder

CHUNKS, TOKENIZER, OUT = Path("data/chunks"), Path("data/tokenizer"), Path("data/models/babyllama")


def main() -> None:
    params = section("train_model")
    key = digest(params, sha256(CHUNKS), sha256(TOKENIZER), fingerprint("train_model"), fingerprint("versions"))
    model = new_llama(params["shape"], TOKENIZER, params["seed"])
    curve = call(
        train,
        "train_model",
        without=("shape",),
        model=model,
        train_chunks=read_chunks(CHUNKS / "train"),
        dev_chunks=read_chunks(CHUNKS / "dev"),
        checkpoint=work_folder() / "training" / f"{key}.safetensors",
    )
    with whole(OUT) as folder:
        save_model(model, TOKENIZER, folder)
    with whole(Path("metrics/plots/train/babyllama.csv")) as path, path.open("w", newline="") as file:
        writer = csv.DictWriter(file, curve[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: round(value, 6) for name, value in row.items()} for row in curve)
    best = min(curve, key=lambda row: row["dev_loss"])
    summary = {
        "parameters": model.num_parameters(),
        "best_step": best["step"],
        "dev_loss": round(best["dev_loss"], 6),
        "steps": curve[-1]["step"],
    }
    write_json(summary, Path("metrics/train/babyllama.json"))


if __name__ == "__main__":
    run(main)
