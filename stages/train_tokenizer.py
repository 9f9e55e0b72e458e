"""Stage: train the byte-level BPE on the train split, or import one."""

from pathlib import Path

from lmcore.files import write_json
from lmcore.text.tokenizer import make_tokenizer
from stages.stage import call, run, work_folder


def main() -> None:
    downloads = work_folder() / "downloads"
    gaps = call(
        make_tokenizer,
        "train_tokenizer",
        corpus=Path("data/corpus"),
        out=Path("data/tokenizer"),
        downloads=downloads,
    )
    write_json(gaps, Path("metrics/tokenizer.json"))


if __name__ == "__main__":
    run(main)
