"""Stage: make the models that know nothing: untrained, dummy, unigram."""

from pathlib import Path

from lmcore.corpus.sources import Sources
from lmcore.models.controls import make_controls
from lmcore.models.shapes import Shape, resolve
from stages.stage import call, run, section, work_folder


def main() -> None:
    shape, configs = section("train_model.shape", Shape), section("from_config", Sources)
    call(
        make_controls,
        "make_controls",
        shape=resolve(shape, configs, work_folder() / "downloads"),
        tokenizer=Path("data/tokenizer"),
        train_chunks=Path("data/chunks/train"),
        out=Path("data/models"),
    )


if __name__ == "__main__":
    run(main)
