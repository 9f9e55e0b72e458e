"""Methods side by side on one machine: each in a process of its own that stays, orders given in turn, memory watched from outside."""

import json
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from bench.methods import BATCHES, LONG_BATCHES
from bench.suites import is_running_text

SAMPLE_SECONDS = 0.3


class Result(NamedTuple):
    """What a method reached: tokens per second by the clock and per second of CPU, and its memory, PSS of all its processes together."""

    tokens_per_s: float
    tokens_per_cpu_s: float
    with_load_per_s: float
    peak_mb: float
    batch: int
    walls: list[float]


class Process:
    """A method's process."""

    def __init__(self, method: str, model: Path, window: int, items: Path, params: dict, cores: int):
        job = json.dumps({"method": method, "model": str(model), "window": window, "items": str(items), "params": params, "cores": cores})
        self.log = items.with_name(f"{method}.log")
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "bench.worker", job], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
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
    n_tokens: int,
    params: dict,
    rounds: int,
    cores: int,
    folder: Path,
) -> dict[str, Result]:
    """The methods `names` on the same rows, in turn, `rounds` times, on `cores` cores; n_tokens: of these rows.

    Before that each warms up, and tries its batch sizes, on the first `warm` rows; these are not measured where the table is running text.
    """
    path = folder / "items.parquet"
    pq.write_table(items, path)
    is_text = is_running_text(items)
    measured = (warm, len(items) - warm) if is_text else (0, len(items))
    processes: list[Process] = []
    batch: dict[str, int] = {}
    answers: dict[str, list[dict]] = {name: [] for name in names}
    for name in names:
        process = Process(name, model, window, path, params, cores)
        processes.append(process)
        tried = (LONG_BATCHES if is_text else BATCHES).get(name, (0,))
        few = min(warm, 8) if name == "notebook" else warm
        times = {size: process.order((0, few), size)["wall_s"] for size in tried}
        batch[name] = min(times, key=lambda size: times[size])
    for _ in range(rounds):
        for process in processes:
            answers[process.method].append(process.order(measured, batch[process.method]))
            say(f"  {process.method}: {n_tokens / answers[process.method][-1]['wall_s']:.0f} tokens/s")
    for process in processes:
        process.close()
    return {process.method: _result(process, answers[process.method], n_tokens, batch[process.method]) for process in processes}


def _result(process: Process, answers: list[dict], n_tokens: int, batch: int) -> Result:
    wall, cpu = (statistics.median(answer[name] for answer in answers) for name in ("wall_s", "cpu_s"))
    walls = [answer["wall_s"] for answer in answers]
    return Result(n_tokens / wall, n_tokens / cpu, n_tokens / (wall + process.load_s), process.peak_mb, batch, walls)


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr)
