"""A training on two hosts: the loss curve and the weights of one host, whichever host is killed.

The hosts are network namespaces that share the disk (tests.cluster.two_hosts). The real stage runs
in a small pipeline. The tests need Linux and root.
"""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from lmcore.files import sha256
from tests.cluster.two_hosts import ADDRESSES, Hosts, skip_unless_possible
from tests.small_pipeline import dvc, environment, make_clone, make_sources, ran, small_params
from tests.yaml_files import read_yaml, write_yaml

pytestmark = pytest.mark.hosts
SECONDS = 240
PORT = 29577
STAGE = "train_model@babyllama"
WEIGHTS, CURVE = Path("data/models/babyllama"), Path("metrics/plots/train/babyllama.csv")
STEPS = 120


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    hosts = Hosts(tmp_path / "hosts")
    try:
        yield hosts
    finally:
        hosts.close()


@pytest.fixture(scope="module")
def ready(tmp_path_factory) -> Path:
    """A clone in which two ranks are to train, and all before the training has run."""
    skip_unless_possible()
    root = tmp_path_factory.mktemp("training")
    make_sources(root)
    params = small_params(root / "data")
    params["train_model"] |= {"world_size": 2, "epochs": None, "steps": STEPS, "keep": "last"}
    folder = make_clone(root, "ready", params)
    done = dvc(folder, "repro", "chunk_corpus")
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


@pytest.fixture(scope="module")
def one_host(ready: Path) -> Path:
    """A clone in which the stage has trained with two ranks on this machine."""
    folder = ready.parent / "one_host"
    shutil.copytree(ready, folder)
    done = dvc(folder, "repro", STAGE)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


@pytest.fixture
def folder(ready: Path, tmp_path: Path) -> Path:
    """A clone on the disk of both hosts."""
    return shutil.copytree(ready, tmp_path / "clone")


def torchrun(hosts: Hosts, number: int, folder: Path) -> subprocess.Popen:
    """Start the stage on a host as docs/cluster.md says."""
    options = ["--nnodes=2", "--nproc-per-node=1", "--max-restarts=3", "--rdzv-backend=c10d"]
    options += [f"--rdzv-endpoint={ADDRESSES[0]}:{PORT}", f"--local-addr={ADDRESSES[number - 1]}"]
    # a namespace has no name of its own by which torchrun would know the first host
    options.append(f"--rdzv-conf=is_host={int(number == 1)}")
    command = [sys.executable, "-m", "torch.distributed.run", *options]
    command += ["-m", "stages.train_model", "babyllama"]
    own = environment(
        folder,
        GLOO_SOCKET_IFNAME="eth0",
        PYTHONPATH=str(folder),
        TORCH_DISABLE_SHARE_RDZV_TCP_STORE="1",
    )
    return hosts.start(number, ["env", "-C", str(folder), *command], **own)


def wait_for_checkpoint(folder: Path, running: list[subprocess.Popen]) -> None:
    """Wait until the training has written a checkpoint."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        if list((folder / "work").rglob("state_*.safetensors*")):
            return
        assert all(process.poll() is None for process in running)
        time.sleep(0.02)
    raise TimeoutError("no checkpoint was written")


def log_of(hosts: Hosts) -> str:
    return "".join((hosts.folder / f"host{number}.log").read_text() for number in (1, 2))


def assert_ended_well(hosts: Hosts, running: list[subprocess.Popen]) -> None:
    for process in running:
        assert process.wait(SECONDS) == 0, log_of(hosts)[-4000:]


def assert_same_curve(one: Path, other: Path) -> None:
    """The curves of two clones agree within 1e-3 nats."""
    curve, other_curve = (pd.read_csv(folder / CURVE) for folder in (one, other))
    assert list(curve["step"]) == list(range(10, STEPS + 1, 10))
    pd.testing.assert_frame_equal(curve, other_curve, check_exact=False, atol=1e-3, rtol=0)


def assert_same_training(one: Path, other: Path) -> None:
    """The curves of two clones agree within 1e-3 nats, and the weights to the byte."""
    assert_same_curve(one, other)
    assert sha256(one / WEIGHTS) == sha256(other / WEIGHTS)


def test_two_hosts_train_as_one(hosts, one_host, folder):
    assert_ended_well(hosts, [torchrun(hosts, number, folder) for number in (1, 2)])
    assert_same_training(one_host, folder)
    assert dvc(folder, "commit", "--force", STAGE).returncode == 0
    assert ran(dvc(folder, "repro", STAGE)) == []


def test_a_killed_host_that_comes_back_goes_on(hosts, one_host, folder):
    first, second = (torchrun(hosts, number, folder) for number in (1, 2))
    wait_for_checkpoint(folder, [first, second])
    hosts.kill(2)
    second.wait()
    assert first.poll() is None
    assert_ended_well(hosts, [first, torchrun(hosts, 2, folder)])
    assert "going on after step" in log_of(hosts)
    assert_same_training(one_host, folder)


def test_after_the_first_host_was_killed_both_go_on(hosts, one_host, folder):
    first, second = (torchrun(hosts, number, folder) for number in (1, 2))
    wait_for_checkpoint(folder, [first, second])
    hosts.kill(1)
    first.wait()
    assert second.wait(SECONDS) != 0
    assert not (folder / WEIGHTS).exists()
    assert_ended_well(hosts, [torchrun(hosts, number, folder) for number in (1, 2)])
    assert "going on after step" in log_of(hosts)
    assert_same_training(one_host, folder)


def test_a_model_split_over_two_hosts_is_trained_as_a_whole_one(hosts, one_host, folder):
    params = read_yaml(folder / "params.yaml")
    params["train_model"]["sharded"] = True
    write_yaml(params, folder / "params.yaml")
    split_on_one_host = shutil.copytree(folder, folder.parent / "one_host")
    done = dvc(split_on_one_host, "repro", STAGE)
    assert done.returncode == 0, done.stderr[-2000:]
    assert_same_curve(one_host, split_on_one_host)
    first, second = (torchrun(hosts, number, folder) for number in (1, 2))
    wait_for_checkpoint(folder, [first, second])
    hosts.kill(2)
    second.wait()
    assert_ended_well(hosts, [first, torchrun(hosts, 2, folder)])
    assert "going on after step" in log_of(hosts)
    assert_same_training(split_on_one_host, folder)
