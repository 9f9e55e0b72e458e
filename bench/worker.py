"""One method in a process of its own.

A job comes in as an argument, and orders come in line by line. A line of JSON goes out for each.

An order names rows of the items table and a batch size. The answer says how long it took, by the
clock and in seconds of CPU of this process and its children.
"""

import json
import os
import sys
import time
import warnings
from pathlib import Path
from typing import TextIO

import pyarrow.parquet as pq

from lmcore.tables import scoring_of


def cpu_seconds() -> float:
    """The CPU time of this process and of its children that have ended."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def main() -> None:
    """Load the method of the job, say so, and carry out orders until the input ends."""
    job = json.loads(sys.argv[1])
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what the peers print is not an answer
    warnings.filterwarnings("ignore")
    started = time.perf_counter()
    import torch

    from bench import methods

    is_ours = job["method"].startswith("ours")
    # ours runs a process on each core, each with one thread
    torch.set_num_threads(1 if is_ours else job["cores"])
    os.environ["LMCORE_WORKERS"] = str(job["cores"])
    imported = time.perf_counter()
    items = pq.read_table(job["items"])
    method = methods.make(
        job["method"], Path(job["model"]), job["window"], scoring_of(items), job["params"]
    )
    _answer(answers, import_s=imported - started, load_s=time.perf_counter() - imported)
    for line in sys.stdin:
        order = json.loads(line)
        rows = items.slice(*order["rows"])
        wall, cpu = time.perf_counter(), cpu_seconds()
        method.score(rows, order["batch"])
        _answer(answers, wall_s=time.perf_counter() - wall, cpu_s=cpu_seconds() - cpu)


def _answer(answers: TextIO, **values: float) -> None:
    print(json.dumps(values), file=answers)


if __name__ == "__main__":
    main()
