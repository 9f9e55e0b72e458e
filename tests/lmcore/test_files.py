import pytest

from lmcore.files import sha256, whole, write_json


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
