import errno
import json
import os
from pathlib import Path

import pytest
from safetensors import SafetensorError

from lmcore.files import is_litter, leftovers, sha256, whole, write_json


def test_file_that_keeps_a_folder_is_no_leftover(tmp_path: Path):
    (tmp_path / "classified").mkdir()
    (tmp_path / "classified" / ".gitkeep").touch()
    (tmp_path / "classified" / "old").mkdir()
    (tmp_path / "classified" / "old" / "table").touch()
    assert leftovers(tmp_path / "classified", set()) == [tmp_path / "classified" / "old"]


def test_whole_block_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "out.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), whole(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["out.txt"]


def test_whole_folder_replaces_a_full_folder(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "stale").touch()
    with whole(tmp_path / "out") as folder:
        folder.mkdir()
        (folder / "new").touch()
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["new"]


def test_write_json_nan_is_refused(tmp_path):
    with pytest.raises(ValueError):
        write_json({"a": float("nan")}, tmp_path / "x.json")
    assert not list(tmp_path.iterdir())


def test_sha256_of_a_folder_depends_on_names_and_content_alone(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    for folder, order in (("a", "xy"), ("b", "yx")):
        for file in order:
            (tmp_path / folder / file).write_text(file)
    assert sha256(tmp_path / "a") == sha256(tmp_path / "b")
    (tmp_path / "b" / "x").rename(tmp_path / "b" / "z")
    assert sha256(tmp_path / "a") != sha256(tmp_path / "b")


def litter(folder: Path, name: str, pid: int) -> Path:
    """What a process of this number left unfinished."""
    path = folder / f".{name}.{pid}.tmp"
    path.mkdir()
    (path / "part").write_text("half")
    return path


def test_whole_removes_what_dead_processes_left_for_the_same_name_alone(tmp_path):
    dead = 2**22 + 1
    of_same, of_other, of_living = (
        litter(tmp_path, "a", dead),
        litter(tmp_path, "b", dead),
        litter(tmp_path, "a", os.getppid()),
    )
    with whole(tmp_path / "a") as temporary:
        temporary.write_text("new")
    assert not of_same.exists() and of_other.exists() and of_living.exists()
    assert is_litter(of_other) and not is_litter(of_living)


def test_what_is_not_finished_is_no_content_and_no_leftover(tmp_path):
    (tmp_path / "a").write_text("1")
    before = sha256(tmp_path)
    litter(tmp_path, "a", 2**22 + 1)
    assert sha256(tmp_path) == before and leftovers(tmp_path, {tmp_path / "a"}) == []


def raised_in(path: Path, error: Exception) -> Exception:
    with (
        pytest.raises(type(error) if isinstance(error, OSError) else OSError) as caught,
        whole(path) as temporary,
    ):
        for attribute in ("filename", "filename2"):
            if isinstance(error, OSError) and getattr(error, attribute) == "TEMPORARY":
                setattr(error, attribute, str(temporary))
        raise error
    return caught.value


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (OSError(errno.ENOSPC, "full"), "out"),  # as of a write
        (OSError(errno.ENOSPC, "full", "source", None, "TEMPORARY"), "out"),  # as of a copy
        (OSError(errno.EACCES, "denied", "TEMPORARY"), "out"),
        (SafetensorError('I/O error: File too large (os error 27) at path "/x"'), "out"),
        (OSError(errno.ENOSPC, "full", "elsewhere"), "elsewhere"),
        (OSError(errno.ENOENT, "missing", "corpus.txt"), "corpus.txt"),
    ],
)
def test_error_of_writing_names_the_output_and_others_what_they_name(tmp_path, error, name):
    error = raised_in(tmp_path / "out", error)
    assert str(error.filename).removeprefix(f"{tmp_path}/") == name
    assert not list(tmp_path.iterdir())


def test_write_json_writes_plain_decimals(tmp_path):
    value = {"small": 9.02574e-05, "list": [-1e-7, 2e22], "text": "from 1e-5\n to 2e-7,\n"}
    write_json(value, tmp_path / "x.json")
    text = (tmp_path / "x.json").read_text()
    assert '"small": 0.0000902574' in text
    assert "-0.0000001" in text
    assert json.loads(text) == value
