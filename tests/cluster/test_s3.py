"""Items, models and tables on S3: what one clone pushes, a second one pulls and computes no more.

A server of moto on the loopback device stands for S3. The test needs moto and dvc-s3.
"""

import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from lmcore.files import sha256
from tests.miniature import commit
from tests.small_pipeline import dvc, make_clone, make_sources, ran, small_params

pytestmark = pytest.mark.hosts
SECONDS = 60  # to wait for the server
TARGETS = ("extract_tokens@babyllama", "extract_tokens@dummy")
OUTPUTS = ("data/items", "data/models/babyllama", "data/models/dummy", "data/tokens")
ACCOUNT = {
    "AWS_ACCESS_KEY_ID": "somebody",
    "AWS_SECRET_ACCESS_KEY": "nothing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "NO_PROXY": "127.0.0.1",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[str]:
    """The address of an S3 server that has the bucket `lab`."""
    pytest.importorskip("dvc_s3", reason="dvc-s3 is not installed: pip install 'lmcore[s3]'")
    pytest.importorskip("moto.server", reason="no server of moto: pip install 'moto[server]'")
    log = tmp_path_factory.mktemp("server") / "log"
    command = [sys.executable, "-u", "-m", "moto.server", "--host", "127.0.0.1", "--port", "0"]
    with log.open("wb") as file, subprocess.Popen(command, stdout=file, stderr=file) as process:
        try:
            yield _with_bucket(_address(log))
        finally:
            process.kill()


def _address(log: Path) -> str:
    """The address that the server writes to its log once it listens. Raises TimeoutError."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        if found := re.search(r"Running on (http://127\.0\.0\.1:\d+)", log.read_text()):
            return found[1]
        time.sleep(0.2)
    raise TimeoutError(log.read_text())


def _with_bucket(address: str) -> str:
    """The same address, after the bucket `lab` was made there."""
    request = urllib.request.Request(f"{address}/lab", method="PUT")
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(request):
        return address


@pytest.fixture(scope="module")
def first(server, tmp_path_factory) -> Path:
    """A clone that has trained and scored, and has pushed and committed the results."""
    root = tmp_path_factory.mktemp("s3")
    make_sources(root)
    folder = make_clone(
        root, "first", {**small_params(root / "data"), "models": ["babyllama", "dummy"]}
    )
    for arguments in (
        ("remote", "add", "--default", "lab", "s3://lab/lmcore"),
        ("remote", "modify", "lab", "endpointurl", server),
        ("repro", *TARGETS),
        ("push", "--with-deps", *TARGETS),
    ):
        run_dvc(folder, *arguments)
    commit(folder, "results")
    return folder


def run_dvc(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Run DVC, which must succeed, as somebody with an account."""
    done = dvc(folder, *arguments, **ACCOUNT)
    assert done.returncode == 0, f"{arguments}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done


def test_a_second_clone_pulls_and_computes_nothing(first, tmp_path):
    second = tmp_path / "second"
    subprocess.run(["git", "clone", "--quiet", str(first), str(second)], check=True)
    assert not any((second / output).exists() for output in OUTPUTS)
    run_dvc(second, "pull", "--with-deps", *TARGETS)
    assert ran(run_dvc(second, "repro", *TARGETS)) == []
    for output in OUTPUTS:
        assert sha256(second / output) == sha256(first / output)
