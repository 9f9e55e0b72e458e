"""Stage: make a model of a step of another one's training."""

import shutil
from pathlib import Path

from lmcore.files import whole
from lmcore.training.kept import Kept
from stages.stage import run, section


def main(name: str) -> None:
    entry = section(f"keep_checkpoint.{name}", Kept)
    with whole(Path("data/models") / name) as folder:
        shutil.copytree(
            Path("data/checkpoints") / entry["model"] / f"step_{entry['step']:06d}", folder
        )


if __name__ == "__main__":
    run(main)
