"""Files that outlive a killed run.

They are verified when they are found, are written by one run at a time, and are on the disk before
they have their names.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from lmcore.kept_files import drop, find, keep, kept_paths, locked


def kept(path: Path, text: str = "content") -> Path:
    return keep(path, lambda temporary: temporary.write_text(text))


def test_keep_and_find(tmp_path):
    path = tmp_path / "part-00000.parquet"
    file = kept(path)
    assert file.read_text() == "content" and file.name == "part-00000.ed7002b439e9ac84.parquet"
    assert find(path) == file and find(tmp_path / "part-00001.parquet") is None
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    "damage",
    [b"", b"conten", b"cnntent", b"content\0"],
    ids=["empty", "short", "flipped bit", "long"],
)
def test_find_removes_what_is_not_what_was_written_and_says_so(tmp_path, capsys, damage):
    file = kept(tmp_path / "step.bin")
    file.write_bytes(damage)
    assert find(tmp_path / "step.bin") is None and not file.exists()
    assert (
        capsys.readouterr().err
        == f"{file}: is not what was written (its sha256 is another); it is made again\n"
    )


def test_keep_that_fails_leaves_what_was_there(tmp_path):
    file = kept(tmp_path / "state.bin")

    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        keep(tmp_path / "state.bin", fail)
    assert list(tmp_path.iterdir()) == [file]


def test_drop_and_kept_paths_tell_similar_names_apart(tmp_path):
    paths = [tmp_path / f"{name}.bin" for name in ("step_1", "step_10", "state_1")]
    for path in paths:
        kept(path)
    assert kept_paths(tmp_path, "step_*.bin") == paths[:2]
    drop(paths[0])
    assert [find(path) is None for path in paths] == [True, False, False]


def test_locked_waits_for_the_other_run_and_says_so(tmp_path):
    folder = tmp_path / "work" / "abc.def"
    waiter = (
        "from pathlib import Path\n"
        "from lmcore.kept_files import locked\n"
        f"with locked(Path({str(folder)!r})): print('in')"
    )
    with locked(folder):
        process = subprocess.Popen(
            [sys.executable, "-c", waiter],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert (
            process.stderr.readline()
            == f"{folder}: another run works on the same; waiting until it has ended\n"
        )
        assert process.poll() is None
    assert process.communicate(timeout=60)[0] == "in\n"


def test_lock_of_a_killed_run_is_free(tmp_path):
    holder = f"""
import os
from pathlib import Path
from lmcore.kept_files import locked
with locked(Path({str(tmp_path / "a")!r})):
    os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", holder]).returncode == -9
    with locked(tmp_path / "a"):
        assert (tmp_path / "a.lock").exists()
