"""docs/slurm.sh, with scripts in the place of SLURM, Ray, lmcore and DVC.

Each writes a line to the folder's `calls`. Ray goes on until it is asked to end, and a host has
joined a second after its start. One test runs with real Ray, on two network namespaces in the
place of hosts.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.two_hosts import ADDRESSES, Hosts, skip_unless_possible

SECONDS = 180
SCRIPT = Path(__file__).parents[2] / "docs" / "slurm.sh"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="SLURM needs Linux")
STUBS = {
    "scontrol": 'printf "node7\\nnode8\\n"',
    # runs the command, as on another host, and passes on the signal that ends it
    "srun": """
        echo "srun $*" >> calls
        while [[ "$1" == --* ]]; do shift; done
        exec "$@"
    """,
    "ray": """
        echo "ray $* ($LMCORE_ENGINE, $RAY_AUTH_MODE, $SRUN_CPUS_PER_TASK cores)" >> calls
        stat -c '%a %s' "$RAY_AUTH_TOKEN_PATH" >> token
        [ "${DIES:-}" = ray ] && exit 1
        trap 'echo "ray ended" >> calls; exit' TERM
        sleep 1
        [ "${DIES:-}" = join ] || echo host >> joined
        for _ in {1..300}; do sleep 0.1; done
    """,
    # counts the hosts that have joined
    "python": "touch joined; wc -l < joined",
    "lmcore": """
        echo "lmcore $* at $RAY_ADDRESS, $(wc -l < joined) hosts" >> calls
        [ "${DIES:-}" != lmcore ]
    """,
    "dvc": 'echo "dvc $* at $RAY_ADDRESS" >> calls',
}
HEAD = [
    "srun --nodes=1 --ntasks=1 --nodelist=node7 ray start --head --port=20042 --num-cpus=16 "
    "--include-dashboard=false --block",
    "ray start --head --port=20042 --num-cpus=16 --include-dashboard=false --block "
    "(ray, token, 16 cores)",
]
WORKERS = [
    "srun --nodes=1 --ntasks=1 --exclude=node7 ray start --address=node7:20042 --num-cpus=16 "
    "--block",
    "ray start --address=node7:20042 --num-cpus=16 --block (ray, token, 16 cores)",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that holds the script and a virtual environment of stubs."""
    write_stubs(tmp_path, STUBS)
    return tmp_path


def write_stubs(folder: Path, stubs: dict[str, str]) -> None:
    """Write the script, and a virtual environment of stubs and of this Python's commands."""
    programs = folder / ".venv/bin"
    programs.mkdir(parents=True)
    own = Path(sys.executable).parent
    (programs / "activate").write_text(f'PATH="$PWD/.venv/bin:{own}:$PATH"\n')
    for name, text in stubs.items():
        (programs / name).write_text(f"#!/bin/bash\n{text}\n")
        (programs / name).chmod(0o755)
    shutil.copy2(SCRIPT, folder)


def run(folder: Path, n_hosts: int = 2, **environment: str) -> subprocess.CompletedProcess:
    """Run the script as the first host of a job of SLURM does."""
    job = {
        "SLURM_JOB_ID": "1230042",
        "SLURM_JOB_NODELIST": "node[7-8]",
        "SLURM_JOB_NUM_NODES": str(n_hosts),
        "SLURM_CPUS_PER_TASK": "16",
    }
    return subprocess.run(
        ["bash", "slurm.sh"],
        cwd=folder,
        env={"PATH": os.environ["PATH"], **job, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def calls(folder: Path, n_ended: int) -> list[str]:
    """What was called, in order, without the last `n_ended` lines, which say that Ray ended."""
    lines = (folder / "calls").read_text().splitlines()
    assert lines[len(lines) - n_ended :] == ["ray ended"] * n_ended
    return lines[: len(lines) - n_ended]


def test_the_hosts_join_one_after_another_and_then_the_pipeline_runs(folder):
    done = run(folder)
    assert done.returncode == 0, done.stderr
    assert calls(folder, 2) == [
        *HEAD,
        *WORKERS,
        "lmcore extract --jobs 4 at node7:20042, 2 hosts",
        "dvc repro at node7:20042",
    ]


def test_only_the_user_may_read_the_token_and_it_goes_with_the_job(folder):
    assert run(folder).returncode == 0
    assert (folder / "token").read_text().splitlines() == ["600 64"] * 2
    assert list((folder / "work").iterdir()) == []


def test_a_job_of_one_host_starts_no_others(folder):
    done = run(folder, n_hosts=1)
    assert done.returncode == 0, done.stderr
    assert calls(folder, 1)[:3] == [*HEAD, "lmcore extract --jobs 4 at node7:20042, 1 hosts"]


def test_a_failed_extraction_fails_the_job_and_ends_ray(folder):
    assert run(folder, DIES="lmcore").returncode == 1
    assert calls(folder, 2)[-1] == "lmcore extract --jobs 4 at node7:20042, 2 hosts"


def test_a_head_that_does_not_start_fails_the_job_with_a_line(folder):
    done = run(folder, DIES="ray")
    assert done.returncode == 1
    assert "slurm.sh: Ray ended before 1 hosts had joined" in done.stderr.splitlines()
    assert calls(folder, 0) == HEAD


def test_hosts_that_do_not_come_fail_the_job_with_a_line(folder):
    done = run(folder, DIES="join", LMCORE_RAY_WAIT="3")
    assert done.returncode == 1
    assert "slurm.sh: no 1 hosts after 3 s" in done.stderr.splitlines()
    assert calls(folder, 1) == HEAD


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    """Two hosts, each of which finds its own address by its route to the other."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'lmcore[ray]'")
    skip_unless_possible()
    hosts = Hosts(tmp_path / "hosts")
    try:
        for name, other in zip(hosts.names, reversed(ADDRESSES)):
            subprocess.run(["ip", "-n", name, "route", "add", "default", "via", other], check=True)
        yield hosts
    finally:
        hosts.close()


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder of a short name: Ray's sockets lie below it, and their paths may have 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="lm", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.mark.hosts
def test_real_ray_runs_on_both_hosts_and_is_gone_after_the_job(hosts, short, tmp_path):
    count = 'import ray; ray.init(); print(sum(node["Alive"] for node in ray.nodes()), "hosts")'
    stubs = {
        "scontrol": f'printf "{ADDRESSES[0]}\\n{ADDRESSES[1]}\\n"',
        "srun": f"""
            case "$*" in *--nodelist=*) host={hosts.names[0]};; *) host={hosts.names[1]};; esac
            while [[ "$1" == --* ]]; do shift; done
            exec ip netns exec $host "$@"
        """,
        "lmcore": f"exec python -c '{count}'",
        "dvc": "echo dvc",
    }
    write_stubs(tmp_path, stubs)
    job = {
        "SLURM_JOB_ID": "7",
        "SLURM_JOB_NODELIST": "both",
        "SLURM_JOB_NUM_NODES": "2",
        "RAY_TMPDIR": str(short),
    }
    script = hosts.start(1, ["env", "-C", str(tmp_path), "bash", "slurm.sh"], **job)
    assert script.wait(SECONDS) == 0
    log = (hosts.folder / "host1.log").read_text()
    assert "2 hosts\n" in log and log.index("2 hosts\n") < log.index("dvc\n")
    end = time.monotonic() + SECONDS
    while hosts.pids(1) + hosts.pids(2):
        assert time.monotonic() < end, "Ray did not end with the job"
        time.sleep(0.2)
