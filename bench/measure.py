"""Methods side by side on one machine.

Each method runs in a process of its own, which stays. The processes get their orders in turn, and
their memory is watched from outside.
"""

import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from bench.methods import BATCHES, LONG_BATCHES
from bench.suites import is_running_text

SAMPLE_SECONDS = 0.3
# Methods that read only every tenth item, or a tenth of a running text; rates are compared
SLOW = {
    "notebook": 10,
    "minicons_rank": 10,
}


class Task(NamedTuple):
    """What the methods have to score, and with what."""

    model: Path
    window: int  # the most tokens that the model sees at once
    items: pa.Table
    warm: int  # how many of the first rows a method warms up on
    params: dict  # token_budget and shard_chars of our method
    rounds: int
    cores: int  # threads of the peers, processes of ours
    folder: Path  # where items and logs are written


class Result(NamedTuple):
    """What a method reached."""

    tokens_per_s: float  # by the clock
    tokens_per_cpu_s: float  # per second of CPU
    with_load_per_s: float  # by the clock, with the time of loading
    peak_mb: float  # the PSS of all its processes together
    batch: int
    rates: list[float]  # tokens per second by the clock, one for each round


class Process:
    """The process of a method."""

    def __init__(
        self, method: str, model: Path, window: int, items: Path, params: dict, cores: int
    ):
        job = {
            "method": method,
            "model": str(model),
            "window": window,
            "items": str(items),
            "params": params,
            "cores": cores,
        }
        self.log = items.with_name(f"{method}.log")
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "bench.worker", json.dumps(job)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.process.stdin and self.process.stdout
        self.orders, self.answers = self.process.stdin, self.process.stdout
        self.method, self.peak_mb = method, 0.0
        with self._watched():
            self.load_s = self._answer()["load_s"]

    def order(self, rows: tuple[int, int], batch: int = 0) -> dict:
        """Let it score the rows (first row, number of rows), and return {wall_s, cpu_s}."""
        with self._watched():
            self.orders.write(json.dumps({"rows": rows, "batch": batch}) + "\n")
            self.orders.flush()
            return self._answer()

    def close(self) -> None:
        """Let it end, and wait for that."""
        self.orders.close()
        self.process.wait()
        self.answers.close()

    def _answer(self) -> dict:
        """Its next answer. Raises RuntimeError with the end of its log, where it ended instead."""
        line = self.answers.readline()
        if not line:
            raise RuntimeError(f"{self.method}: its process ended: {self.log.read_text()[-2000:]}")
        return json.loads(line)

    def _watched(self):
        return _Watch(self)


class _Watch:
    """Keeps the highest memory of a process that is seen while a block runs."""

    def __init__(self, process: Process):
        self.process, self.stop = process, threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *exception):
        self.stop.set()
        self.thread.join()

    def _run(self) -> None:
        while not self.stop.wait(SAMPLE_SECONDS):
            self.process.peak_mb = max(self.process.peak_mb, pss_mb(self.process.process.pid))


def pss_mb(pid: int) -> float:
    """The memory of a process and its descendants in MB, where shared pages count once."""
    total = 0
    try:
        for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
            lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
            total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    except (OSError, psutil.Error, StopIteration):
        return 0.0
    return total / 1000


class _Method(NamedTuple):
    """A method whose process has loaded the model and warmed up."""

    process: Process
    rows: tuple[int, int]  # the first row that is measured, and the number of rows
    n_tokens: int  # of these rows
    batch: int  # the fastest of the batch sizes that were tried
    answers: list[dict]  # one for each round


def side_by_side(
    names: list[str], task: Task, count_tokens: Callable[[pa.Table], int]
) -> dict[str, Result]:
    """Measure the methods `names` on the same rows, in turn, as often as the task has rounds.

    SLOW methods get a part of the rows. Before that, each method warms up and tries its batch sizes
    on the first rows. If the table is running text, these rows are not measured.
    """
    methods = [_warmed_up(name, task, count_tokens) for name in names]
    for _ in range(task.rounds):
        for method in methods:
            answer = method.process.order(method.rows, method.batch)
            method.answers.append(answer)
            rate = method.n_tokens / answer["wall_s"]
            say(f"  {method.process.method}: {rate:.0f} tokens/s")
    for method in methods:
        method.process.close()
    n_whole = max(method.n_tokens for method in methods)
    return {method.process.method: _result(method, n_whole) for method in methods}


def _warmed_up(name: str, task: Task, count_tokens: Callable[[pa.Table], int]) -> _Method:
    """Start the process of a method, let it warm up, and choose its batch size."""
    is_text = is_running_text(task.items)
    part = part_of(task.items, SLOW.get(name, 1))
    path = task.folder / f"items_{name}.parquet"
    pq.write_table(part, path)
    first = task.warm if is_text else 0
    n_tokens = count_tokens(part.slice(first))
    process = Process(name, task.model, task.window, path, task.params, task.cores)
    n_warm = min(task.warm, 8) if name == "notebook" else task.warm
    sizes = (LONG_BATCHES if is_text else BATCHES).get(name, (0,))
    times = {size: process.order((0, n_warm), size)["wall_s"] for size in sizes}
    batch = min(times, key=lambda size: times[size])
    return _Method(process, (first, len(part) - first), n_tokens, batch, answers=[])


def part_of(items: pa.Table, every: int) -> pa.Table:
    """One of `every` items, with all its rows; of running text the beginning, shortened alike."""
    if every == 1:
        return items
    if is_running_text(items):
        targets = items["target"].to_pylist()
        cut = [targets[0], *(text[: len(text) // every] for text in targets[1:])]
        return items.set_column(
            items.column_names.index("target"), items.field("target"), pa.array(cut)
        )
    names = items["item"].to_pylist()
    chosen = set(list(dict.fromkeys(names))[::every])
    return items.filter(pa.array([name in chosen for name in names]))


def _result(method: _Method, n_whole: int) -> Result:
    """What a method reached in all rounds.

    `n_whole` is the number of tokens of all items, over which the time of loading is spread.
    """
    rates = [method.n_tokens / answer["wall_s"] for answer in method.answers]
    rate = statistics.median(rates)
    return Result(
        tokens_per_s=rate,
        tokens_per_cpu_s=statistics.median(
            method.n_tokens / answer["cpu_s"] for answer in method.answers
        ),
        with_load_per_s=n_whole / (n_whole / rate + method.process.load_s),
        peak_mb=method.process.peak_mb,
        batch=method.batch,
        rates=rates,
    )


def say(text: str) -> None:
    """Print a line with the time on the standard error."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr)
