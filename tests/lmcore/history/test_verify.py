"""What differs between two contents, and in which order stages are rebuilt.

The rebuilding itself is in tests/test_revisions.py.
"""

import io
import json
import subprocess
import sys
import time

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save

from lmcore.errors import InputError
from lmcore.history.verify import Output, as_text, content_difference, inputs, selected


def stage(deps: list[str], outs: list[str]) -> dict:
    return {"deps": [{"path": path} for path in deps], "outs": [{"path": path} for path in outs]}


STAGES = {
    "fold": stage(["data/tokens"], ["data/scores"]),
    "extract@a": stage(["data/models/a", "data/items/s.parquet"], ["data/tokens/a/s"]),
    "extract@b": stage(["data/models/b", "data/items/s.parquet"], ["data/tokens/b/s"]),
    "items": stage(["data/suites"], ["data/items"]),
    "train": stage([], ["data/models/a", "metrics/train.json"]),
}


def parquet(**columns) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def test_selected_stages_stand_behind_those_they_read():
    order = selected(STAGES, [])
    assert sorted(order) == sorted(STAGES) and order[-1] == "fold"
    assert order.index("items") < order.index("extract@b") and order.index("train") < order.index(
        "extract@a"
    )
    assert selected(STAGES, ["fold", "extract"]) == ["extract@a", "extract@b", "fold"]
    with pytest.raises(InputError, match=r"no stage 'gone'; it has fold, extract, items, train"):
        selected(STAGES, ["gone"])


def test_inputs_are_outputs_of_the_stages_that_are_not_rebuilt():
    assert inputs(STAGES, ["extract@a"]) == ["data/items", "data/models/a", "metrics/train.json"]
    assert inputs(STAGES, ["fold", "extract@a"]) == [
        "data/tokens/b/s",
        "data/items",
        "data/models/a",
        "metrics/train.json",
    ]
    assert inputs(STAGES, list(STAGES)) == []


def test_table_difference_names_columns_rows_and_the_greatest_difference():
    old = parquet(item=["a", "b", "c"], logprob=[-1.0, -2.0, -3.0], rank=[1, 2, 3])
    new = parquet(item=["a", "b", "d"], logprob=[-1.0, -2.5, -3.25], rank=[1, 2, 3])
    expected = "of 3 rows item differs in 1 rows, logprob differs in 2 rows by up to 0.5"
    assert content_difference("t.parquet", old, new) == expected
    assert (
        content_difference("t.parquet", old, parquet(item=["a"], logprob=[-1.0], rank=[1]))
        == "3 rows → 1 rows"
    )
    assert content_difference("t.parquet", old, parquet(item=["a"])).startswith("other columns: ")


def test_json_difference_names_values():
    old, new = (json.dumps({"a": {"b": value}, "c": 1}).encode() for value in (0.5, 0.25))
    assert content_difference("m.json", old, new) == "1 values differ: a.b 0.5 → 0.25"
    assert content_difference("m.json", old, old + b"\n") == "the same values, written otherwise"


def test_weights_difference_says_how_many_tensors_differ_by_how_much():
    weights = {"a": torch.zeros(3), "b": torch.ones(2, 2, dtype=torch.bfloat16)}
    changed = weights | {"a": torch.tensor([0.0, 0.0, 1e-3])}
    assert (
        content_difference("m.safetensors", save(weights), save(changed))
        == "1 of 2 tensors differ, by up to 0.001"
    )
    assert (
        content_difference("m.safetensors", save(weights), save({"a": torch.zeros(3)}))
        == "other tensors"
    )


def test_other_files_differ_by_size():
    assert content_difference("x.html", b"abc", b"abcd") == "3 bytes → 4 bytes"
    assert content_difference("x.html", b"abc", b"abd") == "other content of 3 bytes"


def test_nan_in_both_tables_is_no_difference():
    old, new = parquet(x=[np.nan, 1.0]), parquet(x=[np.nan, 2.0])
    assert content_difference("t.parquet", old, new) == "of 2 rows x differs in 1 rows by up to 1"


def test_columns_that_differ_by_nothing_but_nans_are_the_same_values():
    old, new = parquet(x=[np.nan, 1.0], y=[1, 2]), parquet(x=[np.nan, 1.0], y=[1, 3])
    same = "the same values, written otherwise"
    assert content_difference("t.parquet", old, old) == same
    assert content_difference("t.parquet", old, new) == "of 2 rows y differs in 1 rows by up to 1"
    big = parquet(x=[2**53 + 1]), parquet(x=[2**53])
    assert content_difference("t.parquet", *big).startswith("of 1 rows x differs in 1 rows")


def test_as_text_counts_what_is_identical():
    text = as_text([Output("a", "data/a", ""), Output("long@name", "data/b", "x: 3 rows → 1 rows")])
    assert text.splitlines() == [
        "identical  a          data/a",
        "DIFFERS    long@name  data/b",
        "           x: 3 rows → 1 rows",
        "1 of 2 outputs are byte-identical to dvc.lock",
    ]


@pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux tells a process that its parent has ended"
)
def test_command_that_rebuilds_ends_with_a_killed_verify(tmp_path):
    code = (
        "from pathlib import Path; from lmcore.history.verify import _run;"
        "_run(Path(), 'sh', '-c', 'echo $$ > pid; exec sleep 600')"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path)
    while not (tmp_path / "pid").is_file() or not (tmp_path / "pid").read_text().strip():
        time.sleep(0.05)
    child = psutil.Process(int((tmp_path / "pid").read_text()))
    parent.terminate()
    parent.wait(10)
    psutil.wait_procs([child], timeout=10)
    assert not child.is_running()
