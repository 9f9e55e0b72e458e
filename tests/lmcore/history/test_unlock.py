"""A real DVC is killed while it writes its rwlock.

What stops the next DVC must be mended, and only where no DVC lives.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lmcore.commands.main import app
from lmcore.errors import InputError
from lmcore.history.unlock import living_dvc, unlock
from lmcore.models.imported_folders import record_folder
from tests.miniature import run
from tests.yaml_files import write_yaml

KILLED = """import os, signal
import dvc.rwlock
dvc.rwlock.json.dump = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
from dvc.cli import main
main(["repro"])
"""


@pytest.fixture
def root(tmp_path) -> Path:
    root = tmp_path / "repository"
    (root / ".dvc" / "tmp").mkdir(parents=True)
    (root / ".dvc" / "config").write_text(
        "[core]\n    no_scm = true\n    analytics = false\n    check_update = false\n"
    )
    (root / "dvc.yaml").write_text("stages:\n  one:\n    cmd: echo 1 > one\n    outs: [one]\n")
    return root


def leave(root: Path, text: str) -> Path:
    path = root / ".dvc" / "tmp" / "rwlock"
    path.write_text(text)
    return path


def test_unlock_after_a_dvc_that_was_killed_while_it_wrote(root, monkeypatch):
    assert run(root, sys.executable, "-c", KILLED, check=False).returncode == -signal.SIGKILL
    path = root / ".dvc" / "tmp" / "rwlock"
    assert path.read_bytes() == b""
    done = run(root, "dvc", "repro", check=False)
    assert done.returncode and "Unable to read RWLock-file" in done.stderr
    monkeypatch.chdir(root)
    done = CliRunner().invoke(app, ["unlock"])
    assert done.exit_code == 0 and done.stdout.count("\n") == 1
    assert done.stdout.startswith(
        f"{path}: is broken, left by a DVC that was killed; no DVC is running here"
    )
    run(root, "dvc", "repro")
    assert (root / "one").exists() and unlock(root) == ""


@pytest.mark.parametrize(
    "text",
    [
        "",
        '{"read": {',
        "[]",
        "null",
        '{"write": {"a": {"pid": "x", "cmd": "c"}}}',
        '{"write": {"a": []}}',
        '{"other": {}}',
    ],
)
def test_unlock_removes_a_broken_file(root, text):
    path = leave(root, text)
    assert "is broken" in unlock(root) and not path.exists()


def test_unlock_leaves_alone_what_is_well(root):
    entry = {"pid": os.getpid(), "cmd": "pytest"}
    for lock in (
        {},
        {"write": {"/a": entry}, "read": {"/b": [entry]}},
        {"write": {"/a": entry | {"pid": 2**22 + 1}}},
    ):
        path = leave(root, json.dumps(lock))
        assert unlock(root) == "" and json.loads(path.read_text()) == lock


def test_unlock_sees_that_a_number_has_gone_to_another_process(root):
    path = leave(
        root, json.dumps({"write": {str(root / "one"): {"pid": os.getpid(), "cmd": "dvc repro"}}})
    )
    os.utime(path, (1e9, 1e9))  # long before this process
    assert "is being blocked by" in run(root, "dvc", "repro", check=False).stderr
    assert f"names process {os.getpid()}, which is another one now" in unlock(root)
    run(root, "dvc", "repro")


@pytest.fixture
def started():
    processes: list[subprocess.Popen] = []

    def start(folder: Path, *command: str, **environment: str) -> int:
        processes.append(
            subprocess.Popen(
                command,
                cwd=folder,
                env=os.environ | environment,
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
        )
        assert processes[-1].stdout and processes[-1].stdout.read(1)
        return processes[-1].pid

    yield start
    for process in processes:
        os.killpg(process.pid, signal.SIGKILL)  # children, too
        process.communicate()


WAITS = "import sys, time; sys.stdout.write('x'); sys.stdout.flush(); time.sleep(60)"


def test_unlock_refuses_while_dvc_or_its_stage_lives_here_and_nowhere_else(root, tmp_path, started):
    (tmp_path / "dvc").write_text(WAITS)
    (tmp_path / "other" / ".dvc").mkdir(parents=True)
    (root / "work" / "clone" / ".dvc").mkdir(parents=True)
    (root / "data").mkdir()
    dvc = [sys.executable, str(tmp_path / "dvc")]
    for folder in (tmp_path / "other", root / "work" / "clone"):
        started(folder, *dvc, "repro")
    started(root, sys.executable, "-c", WAITS)
    started(root, *dvc, "daemon", "updater")
    (tmp_path / "left").mkdir()
    (tmp_path / "left" / "dvc").write_text(
        f"import subprocess\nsubprocess.run({[*dvc, 'daemon', 'updater']})"
    )
    started(
        root, sys.executable, str(tmp_path / "left" / "dvc"), "repro"
    )  # the parent of such a daemon
    assert living_dvc(root) == []
    here = [
        started(root / "data", *dvc, "status"),
        started(tmp_path, sys.executable, "-c", WAITS, DVC_ROOT=str(root)),
    ]
    assert living_dvc(root) == here
    path = leave(root, "")
    with pytest.raises(
        InputError, match=rf"is broken, and DVC is running here \(PID {here[0]}, {here[1]}\)"
    ):
        unlock(root)
    assert path.exists()


def test_unlock_waits_for_who_edits_the_file(root, monkeypatch, started):
    leave(root, "")
    monkeypatch.setattr("lmcore.history.unlock.WAIT", 0.2)
    guard = root / ".dvc" / "tmp" / "rwlock.lock"
    holds = (
        f"import fcntl; file = open({str(guard)!r}, 'a'); fcntl.flock(file, fcntl.LOCK_EX); {WAITS}"
    )
    started(root, sys.executable, "-c", holds)
    with pytest.raises(InputError, match=r"rwlock\.lock: another process holds it"):
        unlock(root)


def test_unlock_explains_a_broken_dvc_lock(root, monkeypatch):
    monkeypatch.chdir(root)
    (root / "dvc.lock").write_text("schema: '2.0'\nstages:\n  one: {cmd: 'ec")
    done = CliRunner().invoke(app, ["unlock"])
    assert done.exit_code == 1 and done.stderr.count("\n") == 1
    assert "not a readable YAML file" in done.stderr and "`git checkout dvc.lock`" in done.stderr


def test_unlock_refuses_a_changed_folder_that_dvc_does_not_see(root, monkeypatch, tmp_path):
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "config.json").write_text("{}")
    monkeypatch.setenv("LMCORE_DATA", str(tmp_path))
    source = {"provider": "folder", "location": "theirs", "members": ["*"]}
    write_yaml({"import_model": {"theirs": source}}, root / "params.yaml")
    (root / "data/models/theirs").mkdir(parents=True)
    record_folder("theirs", ["*"], theirs, root / "data/models/theirs")
    monkeypatch.chdir(root)
    assert CliRunner().invoke(app, ["unlock"]).exit_code == 0
    (theirs / "config.json").write_text("{ }")
    done = CliRunner().invoke(app, ["unlock"])
    assert done.exit_code == 1 and done.stderr.count("\n") == 1
    assert "run `dvc repro --force --single-item import_model@theirs` and then" in done.stderr
