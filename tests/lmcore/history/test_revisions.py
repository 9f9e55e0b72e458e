"""The workspace as a revision; those of git and DVC are in tests/test_revisions.py."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lmcore.errors import InputError
from lmcore.history.revisions import Revision, repository


@pytest.fixture
def workspace(tmp_path):
    (tmp_path / ".dvc").mkdir()
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    return Revision(tmp_path, None)


def test_params_are_read_as_dvc_reads_them(workspace):
    (workspace.root / "params.yaml").write_text(
        "a: 1e-06\nb: 1.5e3\nc: 0.1\nd: 12e\ne: '1e5'\nf: 43e4fc08.dir\n"
    )
    assert workspace.params == {
        "a": 1e-6,
        "b": 1500.0,
        "c": 0.1,
        "d": "12e",
        "e": "1e5",
        "f": "43e4fc08.dir",
    }
    assert workspace.stages == {} and workspace.text("nothing") is None


def test_table_reads_columns_and_repeated_texts_as_dictionaries(workspace):
    pq.write_table(
        pa.table({"item": ["a", "a"], "value": [1.0, 2.0]}), workspace.root / "t.parquet"
    )
    table = workspace.table("t.parquet", ["item"])
    assert table.column_names == ["item"] and pa.types.is_dictionary(table["item"].type)
    assert np.array_equal(workspace.table("t.parquet", ["value"])["value"], [1, 2])


@pytest.mark.parametrize("read", ["table", "md5", "files"])
def test_missing_file_names_the_command(workspace, read):
    arguments = (["item"],) if read == "table" else ()
    with pytest.raises(InputError, match="workspace: data/x is missing; `dvc repro` makes it"):
        getattr(workspace, read)("data/x", *arguments)


def test_table_that_is_none_is_named(workspace):
    (workspace.root / "t.parquet").write_text("no table")
    with pytest.raises(InputError, match=r"workspace: t\.parquet: not a readable Parquet table"):
        workspace.table("t.parquet", ["item"])


def test_repository_is_found_from_a_folder_in_it(workspace, monkeypatch, tmp_path_factory):
    (workspace.root / "docs").mkdir()
    monkeypatch.chdir(workspace.root / "docs")
    assert repository() == workspace.root
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    with pytest.raises(InputError, match="run this inside one"):
        repository()
