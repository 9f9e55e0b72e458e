"""Stage: make the models that know nothing: untrained, dummy, unigram."""

from pathlib import Path

from lmcore.models.controls import make_controls
from stages.stage import call, run, section


def main() -> None:
    call(
        make_controls,
        "make_controls",
        shape=section("train_model.shape"),
        tokenizer=Path("data/tokenizer"),
        train_chunks=Path("data/chunks/train"),
        out=Path("data/models"),
    )


if __name__ == "__main__":
    run(main)
