"""The same bytes on a Ray cluster of two hosts as on one machine, whatever is killed.

The hosts are network namespaces (tests.cluster.two_hosts). These tests need Ray, Linux and root.
"""

import json
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

from lmcore.files import sha256
from lmcore.tables import ITEMS, write
from tests.cluster.two_hosts import ADDRESSES, PORT, Hosts, skip_unless_possible
from tests.conftest import write_corpus
from tests.lmcore.token_tables import items_of

pytestmark = pytest.mark.hosts
ROOT = Path(__file__).parents[2]
SECONDS = 300


@pytest.fixture(scope="module")
def hosts(tmp_path_factory):
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'lmcore[ray]'")
    skip_unless_possible()
    hosts = Hosts(tmp_path_factory.mktemp("hosts"))
    try:
        hosts.start_ray(1)
        hosts.start_ray(2)
        hosts.wait_for(2)
        yield hosts
    finally:
        hosts.close()


@pytest.fixture(scope="module")
def inputs(data: Path, tmp_path_factory) -> Path:
    """A model of real weights, items for some twenty shards, and a corpus."""
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "model").symlink_to(data / "tiny_models" / "llama")
    texts = {}
    for number in range(200):
        sentence = f" the {number} ships of the captain sail on the sea in the evening"
        texts[f"g/{number:03d}"] = [("", sentence), ("", f"{sentence} again")]
    write(items_of(texts), ITEMS, folder / "items.parquet")
    (folder / "corpus").mkdir()
    write_corpus(folder / "corpus")
    return folder


def start(hosts: Hosts, name: str, inputs: Path, *paths: Path) -> subprocess.Popen:
    """A driver on the first host."""
    command = [sys.executable, "-m", "tests.cluster.work", name, inputs, *paths]
    address = f"{ADDRESSES[0]}:{PORT}"
    return hosts.start(
        1,
        [str(part) for part in command],
        LMCORE_ENGINE="ray",
        RAY_ADDRESS=address,
        PYTHONPATH=str(ROOT),
    )


@pytest.fixture(scope="module")
def alone(inputs: Path, tmp_path_factory) -> Path:
    """The results of this machine without Ray, by name."""
    folder = tmp_path_factory.mktemp("alone")
    for name in ("score", "tokenise", "generate"):
        work = [folder / "work"] if name == "score" else []
        command = [sys.executable, "-m", "tests.cluster.work", name, inputs, folder / name, *work]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        subprocess.run([str(part) for part in command], check=True, env=environment)
    return folder


@pytest.mark.parametrize("name", ["score", "tokenise", "generate"])
def test_two_hosts_give_the_bytes_of_one_machine(name, hosts, inputs, alone, tmp_path):
    work = [tmp_path / "work"] if name == "score" else []
    assert start(hosts, name, inputs, tmp_path / name, *work).wait(SECONDS) == 0
    assert sha256(tmp_path / name) == sha256(alone / name)


def wait_for_task(hosts: Hosts, number: int) -> list[int]:
    """The processes that score on a host, once there are any."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        if found := hosts.scoring_pids(number):
            return found
        time.sleep(0.05)
    raise TimeoutError(f"nothing was scored on host {number}")


def test_a_killed_worker_changes_no_byte(hosts, inputs, alone, tmp_path):
    driver = start(hosts, "score", inputs, tmp_path / "score", tmp_path / "work")
    for pid in wait_for_task(hosts, 2):
        os.kill(pid, signal.SIGKILL)
    assert driver.wait(SECONDS) == 0
    assert sha256(tmp_path / "score") == sha256(alone / "score")


def test_a_killed_driver_goes_on_from_its_shards(hosts, inputs, alone, tmp_path):
    driver = start(hosts, "score", inputs, tmp_path / "score", tmp_path / "work")
    while len(list((tmp_path / "work").rglob("part-*.parquet"))) < 3:
        assert driver.poll() is None
        time.sleep(0.05)
    os.killpg(driver.pid, signal.SIGKILL)
    driver.wait()
    assert not (tmp_path / "score").exists()
    kept = len(list((tmp_path / "work").rglob("part-*.parquet")))
    assert kept >= 3
    driver = start(hosts, "score", inputs, tmp_path / "score", tmp_path / "work")
    assert driver.wait(SECONDS) == 0
    assert sha256(tmp_path / "score") == sha256(alone / "score")


def test_a_lost_host_and_a_new_one_change_no_byte(hosts, inputs, alone, tmp_path):
    driver = start(hosts, "score", inputs, tmp_path / "score", tmp_path / "work")
    wait_for_task(hosts, 2)
    hosts.kill(2)
    hosts.start_ray(2)
    assert driver.wait(SECONDS) == 0
    assert sha256(tmp_path / "score") == sha256(alone / "score")
    hosts.wait_for(2)


def test_where_hosts_have_cards_a_task_takes_one(inputs, alone, tmp_path_factory, tmp_path):
    """No GPU is needed: Ray is told of two, and the kernel finds none."""
    hosts = Hosts(tmp_path_factory.mktemp("cards"))
    try:
        hosts.start_ray(1, cores=4, cards=2)
        hosts.wait_for(1)
        assert start(hosts, "cards", inputs, tmp_path / "cards.json").wait(SECONDS) == 0
        work = tmp_path / "score", tmp_path / "work"
        assert start(hosts, "score", inputs, *work).wait(SECONDS) == 0
    finally:
        hosts.close()
    assert sha256(tmp_path / "score") == sha256(alone / "score")
    found = json.loads((tmp_path / "cards.json").read_text())
    assert {card for card, _, _ in found} == {"0", "1"}
    for card in ("0", "1"):
        times = sorted((began, ended) for seen, began, ended in found if seen == card)
        for (_, ended), (began, _) in pairwise(times):
            assert ended <= began


def test_a_bad_item_is_the_same_line_as_on_one_machine(hosts, inputs, tmp_path):
    (tmp_path / "model").symlink_to(inputs / "model")
    items = items_of({"g/0": [("", " a"), ("", " b")]}, scoring={"bos": "none"})
    write(items, ITEMS, tmp_path / "items.parquet")
    driver = start(hosts, "score", tmp_path, tmp_path / "score", tmp_path / "work")
    assert driver.wait(SECONDS) != 0
    assert not (tmp_path / "score").exists()
    log = (hosts.folder / "host1.log").read_text()
    assert "InputError" in log and "item 'g/0' option 0: no token of the target" in log
