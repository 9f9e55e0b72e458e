"""What a driver does on the cluster in the tests of two hosts: `python -m tests.cluster.work`.

It scores, tokenises or generates into a folder, as the stage of that name would. `cards` writes
which GPUs each of some tasks could see, and when it ran.
"""

import json
import os
import sys
import time
from pathlib import Path

from lmcore import cluster
from lmcore.generating.continuations import generate_tokens
from lmcore.scoring import on_cluster
from lmcore.scoring.extract import extract_tokens
from lmcore.text.chunks import chunk_corpus

PROMPTS = [f"The captain saw {number} ships and" for number in range(12)]


def score(data: Path, out: Path, work: Path) -> None:
    extract_tokens(
        data / "model",
        data / "items.parquet",
        out,
        work,
        "code",
        dtype="float32",
        token_budget=512,
        shard_chars=400,
    )


def tokenise(data: Path, out: Path) -> None:
    chunk_corpus(data / "corpus", data / "model", out, seq_len=32, boundaries=None, on_lost="count")


def generate(data: Path, out: Path) -> None:
    generate_tokens(
        data / "model",
        out,
        out.with_suffix(".json"),
        prompts=PROMPTS,
        bos="prefix",
        max_new_tokens=8,
        at_window="stop",
        batch_size=4,
        threads=1,
        decodings={"greedy": {}, "sampled": {"temperature": 0.8, "seeds": [0, 1]}},
        digits=4,
    )


def cards(data: Path, out: Path) -> None:
    found = [result for _, result in cluster.run(_card, on_cluster.facts, list(range(8)))]
    out.write_text(json.dumps(found))


def _card(job: int) -> tuple[str, float, float]:
    """The GPUs that this task may use, and when it began and ended."""
    began = time.time()
    time.sleep(0.2)
    return os.environ.get("CUDA_VISIBLE_DEVICES", ""), began, time.time()


WORK = {"score": score, "tokenise": tokenise, "generate": generate, "cards": cards}
if __name__ == "__main__":
    name, *paths = sys.argv[1:]
    WORK[name](*map(Path, paths))
