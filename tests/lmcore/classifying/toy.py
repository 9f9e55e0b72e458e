"""A toy of the task RTE that can be learnt, and tiny models for it."""

import json
from pathlib import Path

import numpy as np

from lmcore.classifying.settings import Settings
from tests.lmcore.scoring import architectures
from tests.lmcore.tiny_bert import save_bert

TEXT = "the old man walked to sea and looked at ships she gave him a letter"
WORDS = TEXT.split(" ")
N_TRAIN, N_VALID = 48, 20
SETTINGS = {
    "lr": 0.003,
    "epochs": 4,
    "batch_size": 8,
    "micro_batch_size": None,
    "max_length": 64,
    "warmup_share": 0.06,
    "final_lr_share": 0.1,
    "weight_decay": 0.01,
    "dropout": 0.1,
    "padding_side": "right",
    "keep": "best",
    "threads": 1,
}


def settings(**changes) -> Settings:
    return Settings(**{**SETTINGS, **changes})


def save_model(name: str, folder: Path) -> Path:
    """A random model of an architecture, or `bert`."""
    folder.mkdir(parents=True, exist_ok=True)
    return save_bert(folder) if name == "bert" else architectures.save(name, folder)


def rows(n: int, seed: int) -> list[dict]:
    """Examples whose label says whether the last word of the second sentence is `ships`."""
    rng = np.random.default_rng(seed)
    examples = []
    for idx in range(n):
        label = int(rng.integers(2))
        first, second = (rng.choice(WORDS, rng.integers(2, 9)) for _ in range(2))
        end = " ships" if label else " letter"
        texts = {"sentence1": " ".join(first), "sentence2": " " + " ".join(second) + end}
        examples.append({**texts, "idx": idx, "label": label})
    return examples


def write_splits(folder: Path, task: str = "rte") -> Path:
    """Write the two splits of the toy, N_TRAIN and N_VALID examples."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, n, seed in (("train", N_TRAIN, 0), ("valid", N_VALID, 1)):
        write_rows(folder / f"{task}.{split}.jsonl", rows(n, seed))
    return folder


def write_rows(path: Path, examples: list[dict]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in examples), "utf-8")
