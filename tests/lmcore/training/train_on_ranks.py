"""What test_ranks starts under torchrun.

It is a training whose rank 1 is killed once, without warning, at the step given.
"""

import json
import os
import signal
import sys
from pathlib import Path

import numpy as np

from lmcore.models.llama import new_llama
from lmcore.training import loop, ranks
from lmcore.training.loop import train
from lmcore.training.settings import Settings
from tests.lmcore.training.test_loop import OPTIONS, SHAPE, splits_of


def main(tokenizer: Path, chunks: Path, out: Path, dies_at: int, options: dict) -> None:
    schedule = loop.schedule

    def dies(step: int, *arguments: int) -> float:
        if (
            step == dies_at
            and os.environ["RANK"] == "1"
            and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0"
        ):
            os.kill(os.getpid(), signal.SIGKILL)
        return schedule(step, *arguments)

    loop.schedule = dies
    model, splits = new_llama(SHAPE, tokenizer, 0), splits_of(np.load(chunks))
    curve = train(model, splits, out / "work", Settings(**{**OPTIONS, **options}))
    if ranks.is_first():
        (out / "curve.json").write_text(json.dumps(curve))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]), int(sys.argv[4]), json.loads(sys.argv[5]))
