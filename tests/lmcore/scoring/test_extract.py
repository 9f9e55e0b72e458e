import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from lmcore.errors import InputError
from lmcore.scoring.engine import score_items
from lmcore.scoring.extract import extract_tokens, locked, shards
from lmcore.tables import ITEMS, TOKENS, read, write
from tests.lmcore.scoring.conftest import TEXTS, items

PARAMS = {"dtype": "float32", "token_budget": 64, "shard_chars": 60}
COMMAND = """
import sys
from pathlib import Path
from lmcore.scoring.extract import extract_tokens
model, items, out, work = map(Path, sys.argv[1:])
extract_tokens(model, items, out, work, "code", dtype="float32", token_budget=64, shard_chars=60)
"""


@pytest.fixture
def suite(tmp_path) -> Path:
    path = tmp_path / "items" / "suite.parquet"
    write(items(TEXTS * 8), ITEMS, path)
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_extract_tokens_writes_what_score_items_gives_in_order(llama, suite, tmp_path, monkeypatch):
    monkeypatch.setenv("LMCORE_WORKERS", "1")
    extract_tokens(llama, suite, tmp_path / "out", tmp_path / "work", "code", **PARAMS)
    table = read(tmp_path / "out", TOKENS)
    assert len(contents(tmp_path / "out")) > 4
    expected = score_items(llama, read(suite, ITEMS))
    assert table.to_pylist() == expected.to_pylist()
    assert b"packed-llama" in pq.read_schema(tmp_path / "out" / "part-00000.parquet").metadata[b"engine"]
    assert not [path for path in (tmp_path / "work").rglob("*") if path.suffix == ".parquet"]


@pytest.mark.parametrize("model", ["llama", "dummy"])
def test_extract_tokens_gives_the_same_bytes_whatever_the_workers(model, suite, tmp_path, monkeypatch, request):
    for workers in ("1", "2", "3"):
        monkeypatch.setenv("LMCORE_WORKERS", workers)
        extract_tokens(request.getfixturevalue(model), suite, tmp_path / workers, tmp_path / "work", "code", **PARAMS)
    assert contents(tmp_path / "1") == contents(tmp_path / "2") == contents(tmp_path / "3")


def test_extract_tokens_killed_and_run_again_ends_in_the_same_bytes(llama, tmp_path):
    suite = tmp_path / "suite.parquet"
    write(items(TEXTS * 60), ITEMS, suite)
    environment = os.environ | {"LMCORE_WORKERS": "2"}

    def start(out: str, work: str) -> subprocess.Popen:
        paths = [str(path) for path in (llama, suite, tmp_path / out, tmp_path / work)]
        return subprocess.Popen([sys.executable, "-c", COMMAND, *paths], env=environment, stderr=subprocess.PIPE, text=True)

    process = start("out", "work")
    deadline = time.monotonic() + 30
    while not list((tmp_path / "work").rglob("part-*.parquet")) and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("part-*.parquet")}
    assert kept and not (tmp_path / "out").exists()
    resumed, undisturbed = start("out", "work"), start("undisturbed", "other")
    assert "shards" in resumed.communicate()[1] and resumed.returncode == 0
    undisturbed.communicate()
    assert contents(tmp_path / "out") == contents(tmp_path / "undisturbed")
    assert {(tmp_path / "out" / path.name).stat().st_mtime_ns for path in kept} == set(kept.values())


def test_extract_tokens_never_serves_the_shards_of_other_items_code_or_params(llama, suite, tmp_path, monkeypatch):
    monkeypatch.setenv("LMCORE_WORKERS", "1")
    monkeypatch.setattr("lmcore.scoring.extract.shutil.rmtree", lambda path: None)  # finished shards stay for all to find
    extract_tokens(llama, suite, tmp_path / "out", tmp_path / "work", "code", **PARAMS)
    extract_tokens(llama, suite, tmp_path / "out2", tmp_path / "work", "other code", **PARAMS)
    extract_tokens(llama, suite, tmp_path / "out3", tmp_path / "work", "code", **(PARAMS | {"token_budget": 65}))
    write(items(TEXTS * 8, {"bos": "none"}), ITEMS, suite)
    extract_tokens(llama, suite, tmp_path / "out4", tmp_path / "work", "code", **PARAMS)
    assert len([path for path in (tmp_path / "work" / "tokens").iterdir() if path.is_dir()]) == 4


def test_extract_tokens_second_writer_waits_for_the_first(tmp_path, capsys):
    lock = tmp_path / "a.lock"
    waiter = f"from pathlib import Path\nfrom lmcore.scoring.extract import locked\nwith locked(Path({str(lock)!r})): print('in')"
    with locked(lock):
        process = subprocess.Popen([sys.executable, "-c", waiter], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert "waiting for another process" in process.stderr.readline()
        assert process.poll() is None
    assert process.communicate(timeout=10)[0] == "in\n"


def test_extract_tokens_failure_in_a_worker_is_told_in_one_line(gpt2, tmp_path, monkeypatch):
    monkeypatch.setenv("LMCORE_WORKERS", "2")
    suite = tmp_path / "suite.parquet"
    write(items([*TEXTS, "a"], {"bos": "none"}), ITEMS, suite)
    with pytest.raises(InputError, match="item 'i/0005' option 0: no token of the target can be scored"):
        extract_tokens(gpt2, suite, tmp_path / "out", tmp_path / "work", "code", **PARAMS)
    assert not (tmp_path / "out").exists()
    monkeypatch.setenv("LMCORE_WORKERS", "two")
    with pytest.raises(InputError, match="LMCORE_WORKERS must be a whole number"):
        extract_tokens(gpt2, suite, tmp_path / "out", tmp_path / "work", "code", **PARAMS)


def test_extract_tokens_is_small_on_disk(llama, tmp_path, monkeypatch):
    monkeypatch.setenv("LMCORE_WORKERS", "1")
    suite = tmp_path / "suite.parquet"
    write(items(TEXTS * 500), ITEMS, suite)
    extract_tokens(llama, suite, tmp_path / "out", tmp_path / "work", "code", **(PARAMS | {"shard_chars": 10**6, "token_budget": 4096}))
    (part,) = (tmp_path / "out").iterdir()
    assert part.stat().st_size / pq.read_metadata(part).num_rows < 20


def test_shards_hold_whole_items(tmp_path):
    table = items([("", "x" * 10)] * 7)
    assert shards(table, 25) == [(0, 3), (3, 6), (6, 7)]
    assert shards(table, 1) == [(i, i + 1) for i in range(7)]
    assert shards(table, 10**9) == [(0, 7)]


def test_importing_the_packed_path_imports_no_transformers():
    code = "import sys, lmcore.scoring.extract; sys.exit('transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
