"""Stage: make a step of another model's training a model of its own."""

import shutil
from pathlib import Path

from lmcore.files import whole
from lmcore.training.kept import Kept, folder_of
from stages.stage import run, section


def main(name: str) -> None:
    entry = section(f"keep_checkpoint.{name}", Kept)
    checkpoint = Path("data/checkpoints") / entry["model"] / folder_of(entry)
    with whole(Path("data/models") / name) as folder:
        shutil.copytree(checkpoint, folder)


if __name__ == "__main__":
    run(main)
