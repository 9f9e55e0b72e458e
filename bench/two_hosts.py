"""The default pipeline's extraction on a Ray cluster of two hosts, whatever is killed.

A finished repository is cloned with its outputs. In the clone the token tables are made anew by
`lmcore extract`: on this machine alone, on a cluster of one host, of two hosts, and of two hosts
while a worker is killed, a host is lost, a host joins, and the driver is killed and run again.
After each, dvc.lock must be the same to the byte. A Markdown table of seconds comes out:

    python -m bench.two_hosts --repository REPOSITORY --folder FOLDER

The hosts are network namespaces with one core each (tests.cluster.two_hosts). It needs Ray, Linux
and root.
"""

import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from bench.measure import say
from lmcore.errors import InputError
from tests.cluster.two_hosts import ADDRESSES, PORT, Hosts

HOUR = 3600  # seconds that an extraction may take
JOBS = 2  # models scored side by side
SHARDS_BEFORE_A_FAULT = 5


class Case(NamedTuple):
    """An extraction, and what happens while it runs."""

    name: str
    hosts: int  # of the cluster at the start; 0: this machine alone, without Ray
    cores: int = 1  # of this machine, where it is alone
    fault: Callable[["Course"], None] | None = None


class Course:
    """An extraction under way in a clone, and the cluster that it runs on."""

    def __init__(self, clone: Path, hosts: Hosts):
        self.clone, self.hosts = clone, hosts
        self.driver: subprocess.Popen | None = None

    def start(self) -> None:
        """Start `lmcore extract` on the first host, as a driver of the cluster."""
        self._start(JOBS, [], LMCORE_ENGINE="ray", RAY_ADDRESS=f"{ADDRESSES[0]}:{PORT}")

    def start_alone(self, cores: int) -> None:
        """Start `lmcore extract` on the first `cores` cores of this machine."""
        self._start(1, ["taskset", "--cpu-list", f"0-{cores - 1}"])

    def _start(self, jobs: int, prefix: list[str], **environment: str) -> None:
        lmcore = [sys.executable, "-m", "lmcore.commands.main", "extract", "--jobs", str(jobs)]
        command = ["env", "--chdir", str(self.clone), *prefix, *lmcore]
        self.driver = self.hosts.start(1, command, PYTHONPATH=str(self.clone), **environment)

    def n_shards(self) -> int:
        """How many shards the driver has written."""
        return len(list((self.clone / "work").rglob("part-*.parquet")))

    def wait_for_shards(self, n_shards: int) -> None:
        """Wait until so many shards are there. Raises InputError where the driver ends before."""
        while self.n_shards() < n_shards:
            if self.driver is None or self.driver.poll() is not None:
                raise InputError(f"the driver ended before it had {n_shards} shards")
            time.sleep(0.1)

    def wait(self) -> None:
        """Wait for the driver. Raises InputError where it fails."""
        if self.driver is None or self.driver.wait(HOUR) != 0:
            raise InputError(f"lmcore extract failed; see {self.hosts.folder / 'host1.log'}")


def kill_worker(course: Course) -> None:
    """Kill the processes that score on the second host."""
    course.wait_for_shards(SHARDS_BEFORE_A_FAULT)
    while not (found := course.hosts.scoring_pids(2)):
        time.sleep(0.05)
    for pid in found:
        os.kill(pid, signal.SIGKILL)


def lose_host(course: Course) -> None:
    """Kill the second host."""
    course.wait_for_shards(SHARDS_BEFORE_A_FAULT)
    course.hosts.kill(2)


def join_host(course: Course) -> None:
    """Start the second host."""
    course.wait_for_shards(SHARDS_BEFORE_A_FAULT)
    course.hosts.start_ray(2)


def kill_driver(course: Course) -> None:
    """Kill all processes of the driver, and run it again."""
    course.wait_for_shards(SHARDS_BEFORE_A_FAULT)
    if course.driver is not None:
        os.killpg(course.driver.pid, signal.SIGKILL)
        course.driver.wait()
    course.start()


CASES = (
    Case("no Ray, one core", 0),
    Case("no Ray, two cores", 0, cores=2),
    Case("one host", 1),
    Case("two hosts", 2),
    Case("two hosts, a worker killed", 2, fault=kill_worker),
    Case("two hosts, one of them lost", 2, fault=lose_host),
    Case("one host, a second one joins", 1, fault=join_host),
    Case("two hosts, the driver killed and run again", 2, fault=kill_driver),
)


def main(
    repository: Annotated[Path, typer.Option(help="a repository whose pipeline has run")],
    folder: Annotated[Path, typer.Option(help="an empty one, for the clone and the logs")],
    rounds: Annotated[int, typer.Option(help="of the cases without a fault; medians are kept")] = 1,
    case: Annotated[
        list[int] | None, typer.Option(help="number of a case, from 0; by default all of them")
    ] = None,
) -> None:
    """Extract once for each case, and print the table."""
    clone = _clone(repository.resolve(), folder.resolve() / "clone")
    before = (clone / "dvc.lock").read_bytes()
    seconds: dict[str, list[float]] = {}
    n_shards = 0
    for turn in range(rounds):
        for number in range(len(CASES)) if case is None else case:
            chosen = CASES[number]
            if turn and chosen.fault:
                continue
            hosts = Hosts(folder.resolve() / f"hosts_{turn}_{number}")
            try:
                taken, n_shards = _extract(chosen, clone, hosts)
            finally:
                hosts.close()
            if (clone / "dvc.lock").read_bytes() != before:
                raise InputError(f"{chosen.name}: dvc.lock is not what it was; see {clone}")
            seconds.setdefault(chosen.name, []).append(taken)
            say(f"{chosen.name}: {taken:.1f} s, {n_shards} shards, dvc.lock the same")
    print(_table(seconds, n_shards))


def _table(seconds: dict[str, list[float]], n_shards: int) -> str:
    """Median seconds of each case, and what they are more than those of one core for a shard."""
    medians = {name: statistics.median(taken) for name, taken in seconds.items()}
    lines = [f"| {n_shards} shards | seconds | rounds |", "|---|--:|--:|"]
    for name, median in medians.items():
        lines.append(f"| {name} | {median:.0f} | {len(seconds[name])} |")
    if {"no Ray, one core", "one host"} <= medians.keys():
        more = 1000 * (medians["one host"] - medians["no Ray, one core"]) / n_shards
        lines += [
            "",
            f"One host of Ray costs {more:.0f} ms a shard more than one core without Ray.",
        ]
    return "\n".join(lines)


def _clone(repository: Path, clone: Path) -> Path:
    """A clone of the repository with its outputs. Raises InputError where it is not committed."""
    status = ["git", "status", "--porcelain", "--untracked-files=no"]
    if subprocess.run(status, cwd=repository, capture_output=True, check=True).stdout:
        raise InputError(f"{repository}: commit dvc.lock, code.json and metrics/ first")
    subprocess.run(["git", "clone", "--quiet", str(repository), str(clone)], check=True)
    cache = str(repository / ".dvc/cache")
    for command in (["cache", "dir", "--local", cache], ["checkout", "--quiet"]):
        subprocess.run([sys.executable, "-m", "dvc", *command], cwd=clone, check=True)
    return clone


def _extract(case: Case, clone: Path, hosts: Hosts) -> tuple[float, int]:
    """Seconds that the extraction took, and the number of its shards."""
    for made in (clone / "work", clone / "data/tokens"):
        shutil.rmtree(made, ignore_errors=True)
    (clone / "data/tokens").mkdir()
    for number in range(1, case.hosts + 1):
        hosts.start_ray(number)
    if case.hosts:
        hosts.wait_for(case.hosts)
    course = Course(clone, hosts)
    started = time.monotonic()
    if case.hosts:
        course.start()
    else:
        course.start_alone(case.cores)
    if case.fault:
        case.fault(course)
    course.wait()
    return time.monotonic() - started, course.n_shards()


if __name__ == "__main__":
    typer.run(main)
