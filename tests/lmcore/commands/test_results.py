import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from lmcore.commands.results import SUBTASKS, SUITES, write_results
from lmcore.errors import InputError
from lmcore.tables import SCORES, write
from tests.lmcore.folds.test_metrics import scores_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Metrics, scores and weights of one model.

    On the supplement it is right in the first two subtasks, and wrong in the others.
    """
    values = {
        suite: {"accuracy": 0.6, "length_baseline": 0.51, "convention": "lm_eval"}
        for suite in SUITES
    }
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "one.json").write_text(json.dumps(values))
    (tmp_path / "metrics" / "other.json").write_text(json.dumps({"heldout": {}}))
    intervals = {"one": {suite: {"accuracy": {"low": 0.58, "high": 0.63}} for suite in SUITES}}
    (tmp_path / "intervals.json").write_text(json.dumps(intervals))
    groups = {name: [float(number < 2)] * 4 for number, name in enumerate(SUBTASKS)}
    write(scores_of(groups), SCORES, tmp_path / "scores" / "one" / "blimp_supplement.parquet")
    (tmp_path / "models" / "one").mkdir(parents=True)
    save_file(
        {"w": np.zeros((1000, 1234), np.float32)}, tmp_path / "models" / "one" / "model.safetensors"
    )
    return tmp_path


def run(folder: Path) -> list[str]:
    paths = [
        folder / name for name in ("metrics", "intervals.json", "scores", "models", "results.md")
    ]
    return write_results(*paths, date="2026-01-02", commit="abc1234")


def test_results_page_sets_models_beside_published_rows(folder: Path):
    assert run(folder) == ["one"]
    page = (folder / "results.md").read_text()
    assert "| one | 1.2M | 60.00 ± 2.50 | 60.00 ± 2.50 | 100.0 | 100.0 | 0.0 | 0.0 | 0.0 |" in page
    assert (
        "| one | 51.00 | 51.00 |" in page
        and "2026-01-02, commit `abc1234`, convention `lm_eval`" in page
    )
    rows = [
        line for line in page.splitlines() if line.startswith("| ") and "parameters" not in line
    ]
    assert any("69.8 | 59.5 | 49.6" in row for row in rows) and all(
        row.count("|") in (4, 10) for row in rows
    )


def test_results_without_the_suites_or_of_two_conventions_fail(folder: Path):
    values = json.loads((folder / "metrics" / "one.json").read_text())
    values["blimp_filtered"]["convention"] = "lmcore"
    (folder / "metrics" / "one.json").write_text(json.dumps(values))
    with pytest.raises(InputError, match=r"different conventions \(lm_eval, lmcore\)"):
        run(folder)
    (folder / "metrics" / "one.json").unlink()
    message = (
        r"no model has blimp_filtered and blimp_supplement; "
        r"run the pipeline with experiments/results\.yaml"
    )
    with pytest.raises(InputError, match=message):
        run(folder)
    assert not (folder / "results.md").exists()


def test_results_of_a_supplement_with_other_subtasks_fail(folder: Path):
    write(
        scores_of({"hypernym": [1.0]}),
        SCORES,
        folder / "scores" / "one" / "blimp_supplement.parquet",
    )
    with pytest.raises(
        InputError, match="groups are hypernym; expected hypernym, qa_congruence_easy"
    ):
        run(folder)
