"""What a user may get wrong in a suite of their own.

The stage ends with one line that names the file and the item, and with exit status 1.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.yaml_files import write_yaml

REPOSITORY = Path(__file__).parents[3]
CASES = {
    "unequal": (
        "choices",
        [
            {"context": "x", "options": ["a", "b"], "gold": 0},
            {"context": "x", "options": ["a", "b", "c"], "gold": 0},
        ],
    ),
    "column": ("pairs", [{"good": "x", "worse": "y"}]),
}
LINES = {
    "unequal": (
        "line 2: item 'mine/0001' has 3 options, the items before it have 2; "
        "all must have the same number"
    ),
    "column": (
        "line 1: item 'mine/0000' has no 'bad'; kind pairs needs good, bad; columns are good, worse"
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_build_items_stage_ends_in_one_line_and_status_1(case, tmp_path: Path):
    kind, records = CASES[case]
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    write_yaml(
        {"models": ["dummy"], "suites": {"mine": {"kind": kind, "path": "mine.jsonl"}}},
        tmp_path / "params.yaml",
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    run = subprocess.run(
        [sys.executable, "-m", "stages.build_items"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert (run.returncode, run.stderr) == (1, f"error: mine.jsonl: {LINES[case]}\n")
    assert not (tmp_path / "data").exists()
