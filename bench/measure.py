"""Methods side by side on one machine: each in a process of its own that stays, orders given in turn, memory watched from outside."""

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
SLOW = {
    "notebook": 10,
    "minicons_rank": 10,
}  # methods that read every tenth item, or a tenth of a running text; rates are compared


class Result(NamedTuple):
    """What a method reached: tokens per second by the clock and per second of CPU, and its memory, PSS of all its processes together."""

    tokens_per_s: float
    tokens_per_cpu_s: float
    with_load_per_s: float
    peak_mb: float
    batch: int
    rates: list[float]  # tokens per second by the clock, a round each


class Process:
    """A method's process."""

    def __init__(
        self, method: str, model: Path, window: int, items: Path, params: dict, cores: int
    ):
        job = json.dumps(
            {
                "method": method,
                "model": str(model),
                "window": window,
                "items": str(items),
                "params": params,
                "cores": cores,
            }
        )
        self.log = items.with_name(f"{method}.log")
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "bench.worker", job],
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
        """Let it score these rows; {wall_s, cpu_s}."""
        with self._watched():
            self.orders.write(json.dumps({"rows": rows, "batch": batch}) + "\n")
            self.orders.flush()
            return self._answer()

    def close(self) -> None:
        self.orders.close()
        self.process.wait()
        self.answers.close()

    def _answer(self) -> dict:
        line = self.answers.readline()
        if not line:
            raise RuntimeError(f"{self.method}: its process ended: {self.log.read_text()[-2000:]}")
        return json.loads(line)

    def _watched(self):
        return _Watch(self)


class _Watch:
    """Keep the highest memory seen while a block runs."""

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
    """The memory of a process and its descendants, shared pages counted once, in MB."""
    total = 0
    try:
        for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
            lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
            total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    except (OSError, psutil.Error, StopIteration):
        return 0.0
    return total / 1000


def side_by_side(
    names: list[str],
    model: Path,
    window: int,
    items: pa.Table,
    warm: int,
    count_tokens: Callable[[pa.Table], int],
    params: dict,
    rounds: int,
    cores: int,
    folder: Path,
) -> dict[str, Result]:
    """The methods `names` on the same rows (SLOW ones on a part of them), in turn, `rounds` times, on `cores` cores.

    Before that each warms up, and tries its batch sizes, on the first `warm` rows; these are not measured where the table is running text.
    """
    is_text = is_running_text(items)
    processes: list[Process] = []
    batch: dict[str, int] = {}
    measured: dict[str, tuple[int, int]] = {}
    n_tokens: dict[str, int] = {}
    rounds_of: dict[str, list[dict]] = {name: [] for name in names}
    for name in names:
        part = part_of(items, SLOW.get(name, 1))
        path = folder / f"items_{name}.parquet"
        pq.write_table(part, path)
        first = warm if is_text else 0
        measured[name], n_tokens[name] = (first, len(part) - first), count_tokens(part.slice(first))
        process = Process(name, model, window, path, params, cores)
        processes.append(process)
        tried = (LONG_BATCHES if is_text else BATCHES).get(name, (0,))
        few = min(warm, 8) if name == "notebook" else warm
        times = {size: process.order((0, few), size)["wall_s"] for size in tried}
        batch[name] = min(times, key=lambda size: times[size])
    for _ in range(rounds):
        for process in processes:
            name = process.method
            rounds_of[name].append(process.order(measured[name], batch[name]))
            say(f"  {name}: {n_tokens[name] / rounds_of[name][-1]['wall_s']:.0f} tokens/s")
    for process in processes:
        process.close()
    whole = max(n_tokens.values())
    return {
        name: _result(process, rounds_of[name], n_tokens[name], whole, batch[name])
        for name, process in zip(names, processes)
    }


def part_of(items: pa.Table, every: int) -> pa.Table:
    """Every so manieth item with all its rows; of running text the beginning, as short."""
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


def _result(
    process: Process, answers: list[dict], n_tokens: int, n_whole: int, batch: int
) -> Result:
    """`n_whole`: the tokens of all items, over which the time of loading is spread."""
    rates = [n_tokens / answer["wall_s"] for answer in answers]
    rate, per_cpu_s = (
        statistics.median(rates),
        statistics.median(n_tokens / answer["cpu_s"] for answer in answers),
    )
    return Result(
        rate, per_cpu_s, n_whole / (n_whole / rate + process.load_s), process.peak_mb, batch, rates
    )


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr)
