"""Two hosts on this machine: network namespaces joined by a pair of virtual Ethernet devices.

They share the disk, but nothing of the network. It needs Linux, root and the command `ip`.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest

ADDRESSES = ("10.77.0.1", "10.77.0.2")
PORT = 6399
SECONDS = 120  # to wait for a host
PAIRS = count()  # of hosts that this process made


def skip_unless_possible() -> None:
    """Skip the test, with a reason, where there can be no two hosts."""
    if sys.platform != "linux" or os.geteuid() != 0 or not shutil.which("ip"):
        pytest.skip("network namespaces need Linux, root and the command `ip`")
    if subprocess.run(["ip", "netns", "add", "lmcore-try"], capture_output=True).returncode:
        pytest.skip("this machine allows no network namespaces")
    subprocess.run(["ip", "netns", "delete", "lmcore-try"], check=True)


class Hosts:
    """Two namespaces; Ray's head may run on the first, and a worker of it on the second."""

    def __init__(self, folder: Path):
        """Make the namespaces. `folder` holds the token of Ray and the logs of the hosts."""
        pair = f"lmcore-{os.getpid()}-{next(PAIRS)}"
        self.names = [f"{pair}-{number}" for number in (1, 2)]
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "token").write_text("0123456789abcdef" * 4)
        self.processes: list[subprocess.Popen] = []
        for name in self.names:
            _ip("netns", "add", name)
        first, second = self.names
        _ip("-n", first, "link", "add", "eth0", "type", "veth", "peer", "eth0", "netns", second)
        for name, address in zip(self.names, ADDRESSES):
            _ip("-n", name, "link", "set", "lo", "up")
            _ip("-n", name, "address", "add", f"{address}/24", "dev", "eth0")
            _ip("-n", name, "link", "set", "eth0", "up")

    def environment(self, **others: str) -> dict[str, str]:
        """The environment of processes of the cluster."""
        ray = {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self.folder / "token"),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
            # as docs/cluster.md has it: commands side by side keep their workers
            "RAY_idle_worker_killing_time_threshold_ms": "60000",
        }
        return {**os.environ, **ray, **others}

    def start(self, number: int, command: list[str], **environment: str) -> subprocess.Popen:
        """Start a command on a host."""
        with (self.folder / f"host{number}.log").open("ab") as log:
            process = subprocess.Popen(
                ["ip", "netns", "exec", self.names[number - 1], *command],
                env=self.environment(**environment),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def start_ray(self, number: int, *, cores: int = 1, cards: int = 0) -> None:
        """Start Ray on a host: the head on the first, else a worker that joins the head.

        Ray hands out as many `cards` as it is told, whether there are GPUs or not.
        """
        address = ADDRESSES[number - 1]
        options = [f"--node-ip-address={address}", f"--num-cpus={cores}", "--block"]
        options += [f"--num-gpus={cards}"] if cards else []
        options += ["--object-store-memory=200000000", "--disable-usage-stats"]
        if number == 1:
            options += ["--head", f"--port={PORT}", "--include-dashboard=false"]
            options += [f"--temp-dir={self.folder / 'ray'}"]
        else:
            options += [f"--address={ADDRESSES[0]}:{PORT}"]
        ray = Path(sys.executable).parent / "ray"
        self.start(number, [str(ray), "start", *options])

    def wait_for(self, n_hosts: int) -> None:
        """Wait until the cluster has so many hosts. Raises TimeoutError."""
        code = (
            "import ray, sys; ray.init(logging_level='ERROR', log_to_driver=False);"
            "print(sum(node['Alive'] for node in ray.nodes()))"
        )
        address = {"RAY_ADDRESS": f"{ADDRESSES[0]}:{PORT}"}
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            command = ["ip", "netns", "exec", self.names[0], sys.executable, "-c", code]
            done = subprocess.run(
                command, env=self.environment(**address), capture_output=True, text=True
            )
            if done.stdout.strip() == str(n_hosts):
                return
            time.sleep(1)
        raise TimeoutError(f"{n_hosts} hosts: {(self.folder / 'host1.log').read_text()[-2000:]}")

    def pids(self, number: int) -> list[int]:
        """The processes of a host."""
        found = subprocess.run(
            ["ip", "netns", "pids", self.names[number - 1]], capture_output=True, text=True
        )
        return [int(pid) for pid in found.stdout.split()]

    def scoring_pids(self, number: int) -> list[int]:
        """The processes of a host that run a task of lmcore."""
        found = []
        for pid in self.pids(number):
            try:
                name = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode()
            except OSError:
                continue
            if name.startswith("ray::_with_facts"):
                found.append(pid)
        return found

    def kill(self, number: int) -> None:
        """End a whole host: all its processes at once."""
        for pid in self.pids(number):
            _end(pid)

    def close(self) -> None:
        """End all processes, and remove the namespaces."""
        for number in (1, 2):
            self.kill(number)
        for process in self.processes:
            process.wait()
        for name in self.names:
            _ip("netns", "delete", name)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def _end(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
