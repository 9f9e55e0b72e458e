"""Stage: train a teacher of a model that is to be distilled."""

from pathlib import Path

from lmcore.corpus.sources import Sources
from lmcore.files import sha256
from lmcore.models.shapes import resolve
from lmcore.params.ranges import Name
from lmcore.training import ranks
from lmcore.training.outcome import NewModel, Places, train_on_chunks
from lmcore.training.settings import Settings, settings_of
from stages.stage import recipe, run, section, work_folder, work_key

CHUNKS, TOKENIZER = Path("data/chunks"), Path("data/tokenizer")


class Own(NewModel):
    """The keys that are neither `Settings` nor of every new model."""

    student: Name


def main(name: str) -> None:
    values = recipe("train_model", f"train_teacher.{name}", Settings, Own, without=("student",))
    student = section(f"train_teacher.{name}.student", Name)
    rules = values.pop("rules")  # no part of the key: they change no weight
    ranks.launch(values["world_size"], "stages.train_teacher", name)
    key = work_key("train_teacher", values, sha256(CHUNKS), sha256(TOKENIZER))
    shape = resolve(values["shape"], section("from_config", Sources), work_folder() / "downloads")
    train_on_chunks(
        name,
        shape,
        TOKENIZER,
        CHUNKS,
        settings_of(values),
        Places(
            work=work_folder() / "training" / key,
            model=Path("data/teachers") / student / name,
            plots=Path("metrics/plots/train"),
            metrics=Path("metrics/train"),
        ),
        rules=rules,
    )


if __name__ == "__main__":
    run(main)
