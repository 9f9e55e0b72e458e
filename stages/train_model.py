"""Stage: train one of the models of `trained` on the chunks.

The steps of it that `keep_checkpoint` asks for are kept, by number or by the words read.
"""

from pathlib import Path

from lmcore.corpus.sources import Sources
from lmcore.files import sha256
from lmcore.models.shapes import resolve
from lmcore.training import ranks
from lmcore.training.kept import KeptSteps, kept_of
from lmcore.training.outcome import NewModel, Places, train_on_chunks
from lmcore.training.settings import Settings, settings_of
from stages.stage import recipe, run, section, work_folder, work_key

CHUNKS, TOKENIZER = Path("data/chunks"), Path("data/tokenizer")


def main(name: str) -> None:
    values = recipe("train_model", f"trained.{name}", Settings, NewModel)
    rules = values.pop("rules")  # no part of the key: they change no weight
    ranks.launch(values["world_size"], "stages.train_model", name)
    key = work_key("train_model", values, sha256(CHUNKS), sha256(TOKENIZER))
    kept = kept_of(name, section("keep_checkpoint", KeptSteps).values())
    shape = resolve(values["shape"], section("from_config", Sources), work_folder() / "downloads")
    train_on_chunks(
        name,
        shape,
        TOKENIZER,
        CHUNKS,
        settings_of(values),
        Places(
            work=work_folder() / "training" / key,
            model=Path("data/models") / name,
            plots=Path("metrics/plots/train"),
            metrics=Path("metrics/train"),
            steps=Path("data/checkpoints") / name,
        ),
        kept,
        rules=rules,
    )


if __name__ == "__main__":
    run(main)
