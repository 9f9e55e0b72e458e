"""The race of two models: when it stops, what it asks the models for, and what it says."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from lmcore.commands.main import app
from lmcore.comparing.race import Race, Rules, Suite, as_data, as_lines, read_suite, recorded, run
from lmcore.errors import InputError
from lmcore.models.dummy import DummyConfig, DummyForCausalLM
from lmcore.models.folder import read_config
from lmcore.shown import for_json
from lmcore.statistics.anytime import Level
from lmcore.tables import ITEMS, SCORES, TOKENS, check, write
from tests.lmcore.nasty import NASTY, assert_lines_are_clean
from tests.lmcore.scored_items import score_items
from tests.lmcore.scoring.conftest import save_llama, save_tokenizer
from tests.lmcore.token_tables import fold, items_of
from tests.yaml_files import write_yaml

WORDS = ("cats", "ships", "letters", "captains", "Tim", "Derek")
NAMES = ("one", "other")
LEVEL = Level(0.95)
# `params.yaml` of the small project
PARAMS = {
    "suites": {"s": {"kind": "pairs", "path": "s.csv"}, "t": {"kind": "text", "path": "t.csv"}},
    "extract_tokens": {"dtype": "float32", "token_budget": 64, "shard_chars": 1000},
    "compare_models": {"margin": {"accuracy": 0.005}},
}


def suite_of(path: Path, sizes: dict[str, int]) -> Suite:
    """A suite of pairs with so many items in each group; its file is written to `path`."""
    options = {}
    for group, size in sizes.items():
        for number in range(size):
            subject = WORDS[number % len(WORDS)]
            good = f"The {subject} annoy {number} {group}."
            options[f"{group}/{number:04d}"] = [("", good), ("", f"The {number} annoys {subject}.")]
    write(items_of(options), ITEMS, path)
    return read_suite(path, "pairs", "half")


@pytest.fixture
def suite(tmp_path) -> Suite:
    return suite_of(tmp_path / "items" / "s.parquet", {"a": 200, "b": 100})


class Asked:
    """Values of items, and the items that were asked for."""

    def __init__(self, values):
        self.values = np.asarray(values, float)
        self.numbers: list[int] = []

    def __call__(self, numbers: np.ndarray) -> np.ndarray:
        self.numbers += numbers.tolist()
        return self.values[numbers]


def race(a, b, suite: Suite, *, margin=None, block=30, seed=0, level=LEVEL) -> Race:
    return run(a, b, NAMES, suite, Rules(level, margin, block, seed))


def test_race_stops_when_it_is_clear_and_asks_both_models_for_the_same_items_once(suite):
    rng = np.random.default_rng(0)
    a, b = Asked(rng.random(300) < 0.3), Asked(rng.random(300) < 0.9)
    found = race(a, b, suite)
    assert (found.verdict, found.a, found.b) == ("better", *NAMES)
    assert found.n_items + found.n_saved == 300 and 0 < found.n_items < 150
    assert a.numbers == b.numbers and len(set(a.numbers)) == found.n_items
    assert found.n_items % 30 == 0, "it looks after whole blocks"
    assert race(b, a, suite).verdict == "worse"
    assert 0 < found.low <= found.difference <= found.high


def test_race_differences_are_of_the_macro_mean_of_the_items_used(suite):
    values = np.where(suite.groups == 0, 1.0, 0.0)  # 200 items turned right, none of the 100
    found = race(Asked(np.zeros(300)), Asked(values), suite)
    assert (found.mean_a, found.mean_b, found.difference) == (0, 0.5, 0.5)
    assert found.n_groups == 2 and found.n_better > found.n_items / 2 and found.n_worse == 0


def test_race_of_alike_models_ends_as_equal_or_unchanged(suite):
    alike = Asked(np.ones(300))
    found = race(alike, alike, suite, margin=0.1)
    assert found.verdict == "equal" and found.n_saved > 0
    found = race(alike, alike, suite, margin=0.001)
    assert (found.verdict, found.n_items, found.n_saved) == ("unchanged", 300, 0)
    assert found.low < 0 < found.high, "of other items it is not certain"
    found = race(alike, alike, suite, level=Level(0.95, of_suite=True))
    assert found.verdict == "unchanged" and found.low == pytest.approx(0) == found.high


def test_race_that_is_not_clear_uses_every_item(suite):
    rng = np.random.default_rng(1)
    found = race(Asked(rng.random(300) < 0.5), Asked(rng.random(300) < 0.5), suite)
    assert (found.verdict, found.n_items, found.claim) == ("no evidence", 300, "")


def test_race_repeats_with_the_seed(suite):
    rng = np.random.default_rng(2)
    a, b = Asked(rng.random(300) < 0.3), Asked(rng.random(300) < 0.7)
    assert race(a, b, suite, seed=3) == race(a, b, suite, seed=3)
    first, again = Asked(np.zeros(300)), Asked(np.zeros(300))
    race(first, first, suite, seed=3)
    race(again, again, suite, seed=4)
    assert first.numbers != again.numbers


def test_small_group_says_how_often_the_race_can_stop(tmp_path):
    small = suite_of(tmp_path / "s.parquet", {"a": 50, "b": 2})
    found = race(Asked(np.zeros(52)), Asked(np.ones(52)), small, block=1)
    assert found.n_rounds == 2 and found.n_items in (26, 52)
    assert any("can stop at 2 places alone" in line for line in as_lines(found))


def test_verdict_about_a_suite_says_so(suite):
    level = Level(0.95, of_suite=True)
    found = race(Asked(np.zeros(300)), Asked(np.ones(300)), suite, level=level)
    assert found.verdict == "better" and found.claim.startswith("on these items, these two models")
    assert "the verdict is about the figure of this suite" in as_lines(found)[2]


def test_lines_and_json_of_every_verdict_are_clean(suite):
    found = race(Asked(np.zeros(300)), Asked(np.ones(300)), suite, margin=0.005)
    for name in NASTY.values():
        for verdict in ("better", "worse", "equal", "unchanged", "no evidence"):
            named = found._replace(a=name, b=name, suite=name, verdict=verdict)
            assert_lines_are_clean("\n".join(as_lines(named)))
            assert_lines_are_clean(for_json(as_data(named), indent=2))


def test_running_text_is_refused(tmp_path):
    with pytest.raises(InputError, match="s: a race needs a suite of kind pairs, choices or"):
        read_suite(tmp_path / "s.parquet", "text", "half")


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A small project: a suite of 60 pairs, two Llamas, a copy of the first, and a dummy."""
    root = tmp_path_factory.mktemp("project")
    write_yaml(PARAMS, root / "params.yaml")
    suite = suite_of(root / "data/items/s.parquet", {"a": 36, "b": 24})
    models = root / "data/models"
    save_llama(models / "one")
    save_llama(models / "copy")
    save_llama(models / "other", initializer_range=0.3, hidden_size=32)
    DummyForCausalLM(DummyConfig(vocab_size=300, seeds=[3, 4])).save_pretrained(models / "dummy")
    save_tokenizer(models / "dummy")
    for name in ("one", "other", "dummy"):
        tokens = check(score_items(models / name, suite.table), TOKENS)
        config = read_config(models / name)
        settings = {"kind": "pairs", "ties": "half", "top_k": 1}
        sizes = {"vocab_size": config["vocab_size"], "window": 512}
        scores = fold(suite.table, tokens, **settings, **sizes)
        write(scores, SCORES, root / "data/scores" / name / "s.parquet")
    return root


def lmcore(project: Path, *arguments: str):
    """`lmcore race` with these arguments in the folder of the project."""
    before = Path.cwd()
    os.chdir(project)
    try:
        return CliRunner().invoke(app, ["race", *arguments])
    finally:
        os.chdir(before)


@pytest.mark.parametrize("other", ["other", "dummy"])
def test_race_of_models_is_that_of_their_recorded_scores(project, other):
    arguments = ("one", other, "s", "--block", "8", "--json")
    found = json.loads(lmcore(project, *arguments).stdout)
    replayed = json.loads(lmcore(project, *arguments, "--recorded").stdout)
    assert found.pop("recorded") is False and replayed.pop("recorded") is True
    assert found == replayed
    assert found["n_items"] + found["n_saved"] == 60 and found["n_groups"] == 2
    assert 0 < found["n_better"] + found["n_worse"] <= found["n_items"]


def test_race_of_a_model_and_its_copy_stops_as_equal(project):
    result = lmcore(project, "one", "data/models/copy", "s", "--margin", "0.5", "--block", "5")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[:2] == ["A  one", "B  data/models/copy"]
    assert "equal within 0.5" in lines
    assert any(line.startswith("10 of 60 items scored by each model; 50 saved") for line in lines)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["one", "one", "s"], "one: cannot race against itself"),
        (["one", "data/models/one", "s"], "one and data/models/one are one model"),
        (["one", "nobody", "s"], "nobody: no such model"),
        (["one", "other", "u"], "params.yaml: there is no suite 'u'; there are s, t"),
        (["one", "other", "t"], "t: a race needs a suite of kind pairs"),
        (["one", "other", "s", "--margin", "2"], "--margin: expected a number from 0 to 1"),
        (["one", "other", "s", "--confidence", "1"], "--confidence: expected a number above 0"),
        (["one", "copy", "s", "--recorded"], "data/scores/copy/s.parquet: no such table"),
    ],
)
def test_what_cannot_be_raced_is_one_line_and_1(project, arguments, message):
    result = lmcore(project, *arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"error: {message}") and result.stderr.count("\n") == 1


def test_recorded_scores_of_other_items_are_refused(project, tmp_path):
    changed = suite_of(tmp_path / "s.parquet", {"a": 36, "c": 24})
    with pytest.raises(InputError, match=r"s\.parquet: was not made of the items that s has now"):
        recorded(project / "data/scores/one/s.parquet", changed)
    fewer = suite_of(tmp_path / "s.parquet", {"a": 36})
    with pytest.raises(InputError, match="run `dvc repro fold_scores`"):
        recorded(project / "data/scores/one/s.parquet", fewer)
