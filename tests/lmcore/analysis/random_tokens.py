"""Token tables of random numbers, and one by hand on a vocabulary of three tokens."""

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lmcore.tables import TOKENS, check

THREE = ["a", " b", " c"]  # the texts of ids 0, 1, 2


def table_of(columns: dict, item: str = "i/0") -> pa.Table:
    """A TOKENS table of one text from what differs between tokens."""
    n = len(columns["next_id"])
    text = pa.array([item] * n).dictionary_encode()
    blank = pa.array([""] * n).dictionary_encode()
    base = {
        "item": text,
        "draw": np.zeros(n),
        "option": np.zeros(n),
        "variant": blank,
        "position": np.arange(n),
    }
    base |= {"start": np.arange(n), "end": np.arange(n) + 1, "is_target": np.ones(n, bool)}
    values = {**base, **columns}
    arrays = [
        values[field.name]
        if isinstance(values[field.name], pa.Array)
        else pa.array(values[field.name])
        for field in TOKENS
    ]
    return check(
        pa.table([array.cast(field.type) for array, field in zip(arrays, TOKENS)], TOKENS), TOKENS
    )


def random_table(n: int, vocab_size: int, seed: int) -> pa.Table:
    """Random statistics; entropies are rounded, so that many are alike."""
    rng = np.random.default_rng(seed)
    logprob = -rng.exponential(3, n)
    return table_of(
        {
            "current_id": rng.integers(0, vocab_size, n),
            "next_id": rng.zipf(1.5, n) % vocab_size,
            "logprob": logprob,
            "entropy": np.round(rng.gamma(2, 1, n), 1),
            "rank": rng.integers(1, 50, n),
            "top_id": rng.integers(0, vocab_size, n),
            "top_logprob": np.maximum(logprob, -rng.exponential(1, n)),
        }
    )


def by_hand() -> pa.Table:
    """Four rows on three tokens: (current, next, p, entropy, rank, top, p of top)."""
    rows = [
        (0, 1, 0.5, 1.0, 1, 1, 0.5),
        (1, 2, 0.25, 0.5, 2, 1, 0.75),
        (2, 1, 0.5, 1.0, 1, 1, 0.5),
        (1, 1, 0.75, 0.25, 1, 1, 0.75),
    ]
    names = ("current_id", "next_id", "logprob", "entropy", "rank", "top_id", "top_logprob")
    columns = {name: list(column) for name, column in zip(names, zip(*rows))}
    for name in ("logprob", "top_logprob"):
        columns[name] = [math.log(p) for p in columns[name]]
    return table_of(columns)


def save(table: pa.Table, folder: Path, n_parts: int = 1) -> Path:
    """The table in `n_parts` shards."""
    folder.mkdir(parents=True)
    edges = np.linspace(0, table.num_rows, n_parts + 1).astype(int)
    for number, (start, stop) in enumerate(pairwise(edges)):
        pq.write_table(table.slice(start, stop - start), folder / f"part-{number:05d}.parquet")
    return folder
