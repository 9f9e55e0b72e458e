import pytest
from typer.testing import CliRunner

from lmcore.babylm_year import ladder
from lmcore.commands.ladder import ladder_experiment
from lmcore.commands.main import app
from lmcore.errors import InputError
from lmcore.history.experiments import apply
from lmcore.params import yaml_text

PARAMS = """# mine
trained:
  mine: {seed: 0}
models: [mine, mine_chck_1m, dummy]
keep_checkpoint: {}
analyse_tokens: {progression: [], rows: gold}
"""


@pytest.mark.parametrize(("track", "n"), [("strict_small", 19), ("strict", 28)])
def test_ladder_writes_an_experiment_that_use_merges(tmp_path, monkeypatch, track, n):
    monkeypatch.chdir(tmp_path)
    params = tmp_path / "params.yaml"
    params.write_text(PARAMS)
    done = CliRunner().invoke(app, ["ladder", "mine", "--track", track])
    assert done.exit_code == 0, done.output
    (tmp_path / "ladder.yaml").write_text(done.stdout)
    apply(tmp_path / "ladder.yaml", params)
    values = yaml_text.load(params.read_text(), params)
    entries = values["keep_checkpoint"]
    assert [entry["words"] for entry in entries.values()] == ladder(2026, track)
    assert len(entries) == n and {entry["model"] for entry in entries.values()} == {"mine"}
    assert values["models"] == ["mine", "dummy", *entries]
    assert values["analyse_tokens"] == {"progression": list(entries), "rows": "gold"}
    assert params.read_text().startswith("# mine")


def test_ladder_of_a_model_that_is_not_trained_is_refused():
    params = yaml_text.load(PARAMS, "params.yaml")
    with pytest.raises(InputError, match=r"trained: there is no model 'dummy', .*there are mine"):
        ladder_experiment("dummy", 2026, "strict", params)
    with pytest.raises(InputError, match="BabyLM 2031"):
        ladder_experiment("mine", 2031, "strict", params)
