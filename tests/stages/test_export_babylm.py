"""The stage export_babylm writes an entry from the pipeline's folders."""

import json
from pathlib import Path

import pytest

from lmcore.errors import InputError
from lmcore.params import yaml_text
from stages import export_babylm
from tests.lmcore.babylm.entries import CHECKPOINTS, make_entry, short_is_probable

ROOT = Path(__file__).parents[2]


@pytest.fixture
def pipeline(tmp_path: Path, tokenizer: Path, monkeypatch) -> dict:
    """The params of a project in the current folder, whose model has two checkpoints."""
    models = dict.fromkeys(["mine", *CHECKPOINTS], short_is_probable)
    project = make_entry(tmp_path / "data", tokenizer, models)
    monkeypatch.chdir(tmp_path)
    default = yaml_text.load_mapping((ROOT / "params.yaml").read_text(), "params.yaml")
    # the tasks reading and aoa are named as suites here, whether they are declared or not
    suites = {name: entry for name, entry in project.suites.items() if "path" in entry}
    return {
        "compare_models": default["compare_models"],
        "aggregate": default["aggregate"],
        "suites": suites,
        "keep_checkpoint": {
            name: {"model": "mine", "words": words} for name, words in CHECKPOINTS.items()
        },
        "export_babylm": {"first": {"year": 2026, "models": ["mine"], "words": 2_000_000}},
    }


def run(params: dict, name: str = "first") -> dict:
    Path("params.yaml").write_text(json.dumps(params))
    export_babylm.main(name)
    return json.loads(Path(f"metrics/babylm/{name}.json").read_text())


def test_stage_writes_the_entry_with_the_kept_checkpoints(pipeline):
    metrics = run(pipeline)
    assert metrics["year"] == 2026 and metrics["models"]["mine"]["n_checkpoints"] == 2
    assert Path("data/babylm/first/leaderboard.html").is_file()
    assert Path("data/babylm/first/results/mine/chck_2M/zero_shot/causal").is_dir()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"year": 2024}, "params.yaml: export_babylm.first.year: expected 2025 or 2026"),
        ({"track": "loose"}, "expected strict_small or strict"),
        ({"models": []}, "export_babylm.first.models"),
        ({"words": 0}, "export_babylm.first.words"),
        ({"checkpoint": {}}, "unknown key 'checkpoint'"),
        ({"checkpoints": {"mine": {"mine_chck_1m": "1M"}}}, "checkpoints.mine.mine_chck_1m"),
        ({"complete": True}, "complete: true, but"),
    ],
)
def test_bad_entry_is_one_line_and_writes_nothing(change, message, pipeline):
    pipeline["export_babylm"]["first"] |= change
    with pytest.raises(InputError, match=message):
        run(pipeline)
    assert not Path("data/babylm/first").exists() and not Path("metrics/babylm").exists()
