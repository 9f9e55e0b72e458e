"""Two folders stand for two revisions, since a workspace is read like any other revision.

What needs git and DVC is in tests/test_revisions.py.
"""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from lmcore.comparing.diff import diff, settings_of
from lmcore.comparing.diff_text import as_data, as_markdown, as_text
from lmcore.errors import InputError
from lmcore.history.revisions import Revision
from lmcore.tables import ITEMS, SCORES, TOKENS, items_table, read, write
from tests.lmcore.comparing.test_model_pairs import SECTION
from tests.lmcore.score_tables import scores
from tests.yaml_files import write_yaml

SUITES = {"pairs": {"kind": "pairs"}, "text": {"kind": "text"}}
RNG = np.random.default_rng(0)
NOISE = {"agreement": RNG.random(200), "islands": RNG.random(80)}
TEXT = RNG.normal(3, 0.3, 30)
MODELS = {"good": (0.7, 2.0), "untrained": (0.5, 3.0)}  # accuracy, bits per byte


@pytest.fixture
def revision(tmp_path):
    """A function that makes a revision of models with these accuracies and bits per byte."""

    def make(
        name: str, models: dict | None = None, n: int = 200, text_noise: float = 0.0, **section
    ) -> Revision:
        root = tmp_path / name
        models = MODELS if models is None else models
        for model, (share, bits) in models.items():
            folder = root / "data/scores" / model
            pairs = {
                "agreement": (NOISE["agreement"][:n] < share).astype(float),
                "islands": (NOISE["islands"] < share).astype(float),
            }
            write(scores(pairs, suite="pairs"), SCORES, folder / "pairs.parquet")
            noise = text_noise * np.random.default_rng(len(model)).normal(size=30)
            text = scores({"emma": TEXT + bits + noise}, "surprisal_per_byte", 50.0, "text")
            write(text, SCORES, folder / "text.parquet")
        params = {
            "models": list(models),
            "suites": SUITES,
            "train_model": {"lr": 0.1},
            "compare_models": SECTION | section,
        }
        write_yaml(params, root / "params.yaml")
        return Revision(root, None)

    return make


def test_diff_names_what_only_one_revision_scored(revision):
    old, new = revision("old"), revision("new")
    entry = {"kind": "pairs", "models": ["untrained"]}
    write_yaml(new.params | {"suites": SUITES | {"pairs": entry}}, new.root / "params.yaml")
    (new.root / "data/scores/good/pairs.parquet").unlink()
    found = compared(old, Revision(new.root, None))
    assert found.not_compared == ["good on pairs: only A scored it"]
    assert compared(Revision(new.root, None), old).not_compared == []


def test_diff_calls_a_subset_one(revision):
    a, b = revision("a"), revision("b", {**MODELS, "good": (0.9, 2.0)})
    for one in (a, b):
        one.params["suites"] = {"pairs": {"task": "blimp", "items": 280}, "text": SUITES["text"]}
    result = compared(a, b)
    line = "pairs is a subset: 280 of 67,000 items."
    assert line in as_text(result, colour=False) and line in as_markdown(result)
    (row,) = json.loads(as_data(result))["rows"]
    assert row["subset"] == "subset: 280 of 67,000 items"


def compared(a: Revision, b: Revision, *, metric=None, margin=None, **options):
    defaults = {"suites": [], "models": [], "common": False, "groups": False, "n_items": 0}
    return diff(a, b, **(defaults | options), **settings_of(b.params, metric, margin))


def verdicts(found) -> dict:
    return {(row.model, row.suite): row.comparison.verdict for row in found.rows}


def test_diff_of_a_revision_with_itself_has_no_verdict(revision):
    a = revision("a")
    found = compared(a, a)
    assert found.rows == [] and len(found.unchanged) == 4
    assert "unchanged (no item differs): good, untrained on pairs, text" in as_text(
        found, colour=False
    )


def test_diff_puts_the_worst_first_and_says_what_is_unchanged(revision):
    found = compared(revision("a"), revision("b", {"good": (0.6, 1.9), "untrained": (0.5, 3.0)}))
    assert list(verdicts(found).items()) == [
        (("good", "pairs"), "worse"),
        (("good", "text"), "better"),
    ]
    assert found.unchanged == [("untrained", "pairs"), ("untrained", "text")]
    text = as_text(found, colour=False)
    assert "these two models differ; seed noise unknown" in text
    assert "bits_per_byte" in text and "\x1b" not in text
    assert "\x1b[31mworse" in as_text(found, colour=True)


def test_diff_exchanged_flips_every_sign_and_no_p(revision):
    a = revision("a")
    b = revision("b", {"good": (0.6, 1.9), "untrained": (0.55, 3.1)}, text_noise=0.3)
    there = {(row.model, row.suite): row.comparison for row in compared(a, b).rows}
    back = {(row.model, row.suite): row.comparison for row in compared(b, a).rows}
    assert there.keys() == back.keys() and len(there) == 4
    for key, one in there.items():
        other = back[key]
        assert (one.p, one.p_corrected) == (other.p, other.p_corrected)
        assert (one.difference, one.low, one.high) == pytest.approx(
            (-other.difference, -other.high, -other.low)
        )


def test_diff_noise_alone_is_no_evidence_and_says_what_would_have_shown(revision):
    found = compared(revision("a"), revision("b", text_noise=0.5), suites=["text"], models=["good"])
    assert verdicts(found) == {("good", "text"): "no evidence"}
    text = as_text(found, colour=False)
    assert "no evidence (0.2" in text or "no evidence (0.3" in text


def test_diff_margin_of_the_command_makes_small_differences_equal(revision):
    a, b = revision("a"), revision("b", {"good": (0.7, 2.003), "untrained": (0.5, 3.0)})
    assert verdicts(compared(a, b)) == {("good", "text"): "worse"}
    found = compared(a, b, margin=0.01)
    assert verdicts(found) == {("good", "text"): "equal"}
    assert "equal within 0.01" in as_markdown(found)


def test_diff_other_items_are_refused_and_common_compares_the_rest(revision):
    a, b = revision("a"), revision("b", {"good": (0.6, 2.0), "untrained": (0.5, 3.0)}, n=150)
    found = compared(a, b)
    assert set(found.refused) == {("good", "pairs"), ("untrained", "pairs")} and not found.rows
    refusal = (
        "good, untrained on pairs: not the same items: 50 only in A (e.g. pairs/agreement/0150)"
    )
    assert refusal in as_text(found, colour=False) and "--common" in as_markdown(found)
    found = compared(a, b, common=True)
    assert not found.refused
    assert [(row.n_lost, row.comparison.n_items) for row in found.rows] == [(50, 230)]
    assert "50 items fell out, 230 compared" in as_text(found, colour=False)
    with pytest.raises(InputError, match=r"not the same items.*nothing else to compare"):
        compared(a, b, suites=["pairs"])


def test_diff_by_group_corrects_over_the_groups_of_a_model(revision):
    found = compared(
        revision("a"), revision("b", {"good": (0.5, 2.0), "untrained": (0.5, 3.0)}), groups=True
    )
    groups = found.rows[0].groups
    assert set(groups) == {"agreement", "islands"}
    assert all(comparison.p_corrected >= comparison.p for comparison in groups.values())
    assert "good on pairs, by group" in as_text(found, colour=False)
    assert "islands" in as_markdown(found)


def three_seeds(
    rng: np.random.Generator, accuracy: float, bits: float, noise: float
) -> dict[str, tuple[float, float]]:
    """Three models of one recipe: their accuracies and bits per byte."""
    seeds = {}
    for i in range(3):
        seeds[f"s{i}"] = (accuracy + noise * rng.normal(), bits + noise * rng.normal())
    return seeds


def test_diff_of_recipes_covers_seeds_and_names_the_recipe(revision):
    recipes = {"recipe": ["s0", "s1", "s2"]}
    rng = np.random.default_rng(1)
    low = three_seeds(rng, 0.4, 3, noise=0.01)
    high = three_seeds(rng, 0.9, 2, noise=0.01)
    found = compared(revision("a", low, recipes=recipes), revision("b", high, recipes=recipes))
    assert verdicts(found) == {("recipe", "pairs"): "better", ("recipe", "text"): "better"}
    assert all(row.comparison.claim == "this recipe is better" for row in found.rows)
    assert "recipe (3 and 3 seeds)" in as_text(found, colour=False)
    assert "speak of the recipe" in as_markdown(found)


def as_masked(revision: Revision, model: str) -> None:
    """Give a model's scores of running text the name that those of masked LMs have."""
    path = revision.root / f"data/scores/{model}/text.parquet"
    table = read(path, SCORES)
    names = [
        name.replace("surprisal_", "pseudo_surprisal_") for name in table["metric"].to_pylist()
    ]
    write(table.set_column(table.column_names.index("metric"), "metric", [names]), SCORES, path)


def test_diff_of_a_recipe_of_causal_and_masked_lms_is_refused(revision):
    recipes = {"recipe": ["s0", "s1", "s2"]}
    rng = np.random.default_rng(1)
    a = revision("a", three_seeds(rng, 0.4, 3, noise=0.01), recipes=recipes)
    b = revision("b", three_seeds(rng, 0.9, 2, noise=0.01), recipes=recipes)
    for one in (a, b):
        as_masked(one, "s1")
    with pytest.raises(InputError, match=r"s0, s1, s2 on text: has causal and masked LMs"):
        compared(a, b)


@pytest.mark.parametrize("masked", ["a", "b"])
def test_diff_of_a_model_that_became_a_masked_lm_is_refused_on_likelihoods(revision, masked):
    revisions = {"a": revision("a"), "b": revision("b", {**MODELS, "good": (0.6, 2.5)})}
    as_masked(revisions[masked], "good")
    found = compared(**revisions)
    assert "a causal and a masked LM" in found.refused["good", "text"]
    assert ("good", "pairs") in verdicts(found)


def test_diff_of_one_recipe_with_other_seeds_raises_no_alarm(revision):
    recipes = {"recipe": ["s0", "s1", "s2"]}
    alarms = 0
    for trial in range(12):
        rng = np.random.default_rng(trial)
        a = revision(f"a{trial}", three_seeds(rng, 0.6, 2.5, noise=0.05), recipes=recipes)
        b = revision(f"b{trial}", three_seeds(rng, 0.6, 2.5, noise=0.05), recipes=recipes)
        found = compared(a, b)
        alarms += any(verdict in ("better", "worse") for verdict in verdicts(found).values())
    assert alarms <= 2


def test_diff_names_what_only_one_revision_has(revision):
    found = compared(
        revision("a", {"good": (0.7, 2.0), "old": (0.5, 3.0)}),
        revision("b", {"good": (0.7, 2.0), "new": (0.5, 3.0)}),
    )
    assert (found.only_a, found.only_b) == (["old"], ["new"])
    assert found.not_compared == ["the model old is not in B (renamed, or dropped?): not compared"]
    assert "only in B: new" in as_text(found, colour=False)


def test_diff_with_nothing_in_common_says_that_nothing_was_compared(revision):
    found = compared(revision("a", {"old": (0.5, 3.0)}), revision("b", {"new": (0.5, 3.0)}))
    assert not found.rows and not found.unchanged
    for shown in (as_text(found, colour=False), as_markdown(found), as_data(found)):
        assert "nothing was compared: A and B have no model on a suite in common" in shown


def test_diff_that_finds_no_change_still_says_that_items_fell_out(revision):
    found = compared(revision("a"), revision("b", n=150), common=True, suites=["pairs"])
    assert not found.rows and found.lost[0] == "good on pairs: 50 items fell out, no other differs"
    assert found.lost[0] in as_text(found, colour=False) and found.lost[0] in as_markdown(found)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_diff_of_scores_that_are_not_finite_is_refused(revision, value):
    a, b = revision("a"), revision("b")
    text = {"emma": np.where(np.arange(30) == 3, value, TEXT)}
    table = scores(text, "surprisal_per_byte", 50.0, "text")
    write(table, SCORES, b.root / "data/scores/good/text.parquet")
    with pytest.raises(
        InputError,
        match=r"good/text\.parquet: surprisal_per_byte has a value or weight that is not finite",
    ):
        compared(a, b)


def test_diff_settings_refuse_a_margin_within_which_all_is_equal():
    for margin in (float("inf"), float("nan"), -0.1):
        with pytest.raises(InputError, match=r"compare_models\.margin\.accuracy: expected"):
            settings_of({"compare_models": SECTION | {"margin": {"accuracy": margin}}}, None, None)
    with pytest.raises(InputError, match="metrics: expected at least"):
        settings_of({"compare_models": SECTION | {"metrics": []}}, None, None)


def test_diff_another_metric_and_unknown_names(revision):
    a, b = revision("a"), revision("b", {"good": (0.6, 1.9), "untrained": (0.5, 3.0)})
    assert compared(a, b, metric="entropy").rows == []
    with pytest.raises(
        InputError, match="there is no suite 'gone' in A or B; there are pairs, text"
    ):
        compared(a, b, suites=["gone"])
    with pytest.raises(InputError, match="there is no model 'gone'"):
        compared(a, b, models=["gone"])
    with pytest.raises(InputError, match=r"text\.parquet: there is no metric rank"):
        compared(a, b, suites=["text"], metric="rank")
    with pytest.raises(InputError, match="compare_models: the key 'metrics' is missing"):
        settings_of({"compare_models": {}}, None, None)


def test_diff_missing_scores_of_the_workspace_name_the_command(revision):
    a, b = revision("a"), revision("b")
    (b.root / "data/scores/good/text.parquet").unlink()
    with pytest.raises(
        InputError,
        match=r"workspace: data/scores/good/text\.parquet is missing; `dvc repro` makes it",
    ):
        compared(a, b)


def test_diff_json_holds_everything_unrounded(revision):
    found = compared(
        revision("a"), revision("b", {"good": (0.6, 1.9), "untrained": (0.5, 3.0)}), groups=True
    )
    values = json.loads(as_data(found))
    row = values["rows"][0]
    assert row["model"] == "good"
    assert row["difference"] == found.rows[0].comparison.difference
    assert set(row["groups"]) == {"agreement", "islands"}
    assert values["unchanged"][0] == {"model": "untrained", "suite": "pairs"}


def test_diff_markdown_is_a_table_that_github_draws(revision):
    lines = as_markdown(
        compared(revision("a"), revision("b", {"good": (0.6, 1.9), "untrained": (0.5, 3.0)}))
    ).splitlines()
    assert lines[0].endswith("1 worse, 1 better, 2 unchanged")
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 4 and "**worse**" in table[2]
    assert len({line.count("|") for line in table}) == 1


def save_one_suite(root: Path, logprobs: dict[str, tuple[float, float]]) -> Revision:
    """A revision of one model on items with these log-probs of the right and the wrong option."""
    item_rows, token_rows = [], []
    for number, of_options in logprobs.items():
        for option, (word, logprob) in enumerate(zip(("The", "An"), of_options)):
            row = {"item": f"pairs/{number}", "option": option, "variant": ""}
            texts = {"context": "", "target": f" {word} cats."}
            item_rows.append({**row, "group": "all", **texts, "gold": option == 0})
            for position in range(2):
                token = {field.name: 0 for field in TOKENS} | row
                token |= {"position": position, "is_target": True, "logprob": logprob / 2}
                token_rows.append(token | {"entropy": 0.0, "top_logprob": 0.0})
    items = items_table(item_rows, {})
    write(items, ITEMS, root / "data/items/pairs.parquet")
    tokens = pa.Table.from_pylist(token_rows, TOKENS)
    write(tokens, TOKENS, root / "data/tokens/good/pairs/part-00000.parquet")
    hashes = dict(zip(items["item"].to_pylist(), items["content_hash"].to_pylist()))
    right = np.array([float(good > bad) for good, bad in logprobs.values()])
    score_rows = []
    for row in scores({"all": right}, suite="pairs").to_pylist():
        item = row["item"].replace("/all", "")
        score_rows.append(row | {"item": item, "content_hash": hashes[item]})
    score_table = pa.Table.from_pylist(score_rows, SCORES)
    write(score_table, SCORES, root / "data/scores/good/pairs.parquet")
    suites = {"pairs": {"kind": "pairs"}}
    params = {"models": ["good"], "suites": suites, "compare_models": SECTION}
    write_yaml(params, root / "params.yaml")
    return Revision(root, None)


def test_diff_items_show_what_flipped_both_ways_with_texts_and_logprobs(tmp_path):
    a = save_one_suite(tmp_path / "a", {"0000": (-3.0, -4.0), "0001": (-5.0, -4.0)})
    b = save_one_suite(tmp_path / "b", {"0000": (-4.5, -4.0), "0001": (-3.5, -4.0)})
    found = compared(a, b, n_items=3)
    worse, better = found.rows[0].items
    assert (worse["turned"], worse["item"]) == ("worse", "pairs/0000")
    assert (better["turned"], better["item"]) == ("better", "pairs/0001")
    assert worse["options"][0] == {
        "context": "",
        "target": " The cats.",
        "gold": True,
        "a": -3.0,
        "b": -4.5,
    }
    assert "*      -3.00 →     -4.50  The cats." in as_text(found, colour=False)


@pytest.mark.parametrize(
    ("change", "margin", "message"),
    [
        (
            {"confidence": 1.5},
            None,
            "params.yaml: compare_models.confidence:"
            " expected a number above 0 and below 1, not 1.5",
        ),
        (
            {"interval": "normal"},
            None,
            "params.yaml: compare_models.interval: expected student, percentile or bca",
        ),
        ({}, float("nan"), "--margin: expected a number from 0"),
        ({}, -1.0, "--margin: expected a number from 0"),
    ],
)
def test_settings_of_refuses_what_the_stage_would(change, margin, message):
    with pytest.raises(InputError) as error:
        settings_of({"compare_models": SECTION | change}, None, margin)
    assert str(error.value).startswith(message)


def test_diff_says_where_a_few_texts_hold_most_bytes(revision):
    a, b = revision("a"), revision("b", {"good": (0.7, 1.9), "untrained": (0.5, 3.0)})
    weight = {"emma": np.where(np.arange(30) < 2, 5000.0, 20.0)}
    for root, bits in ((a.root, 2.0), (b.root, 1.9)):
        text = scores({"emma": TEXT + bits}, "surprisal_per_byte", weight, "text")
        write(text, SCORES, root / "data/scores/good/text.parquet")
    found = compared(a, b)
    note = "good on text: its 30 texts count like 2.2 of equal size."
    assert note in as_text(found, colour=False) and note in as_markdown(found)
    (row,) = json.loads(as_data(found))["rows"]
    assert row["note"].startswith(note) and row["n_effective"] == pytest.approx(2.23, abs=0.01)


def test_diff_takes_the_clusters_of_a_suite(revision):
    a, b = revision("a"), revision("b", {"good": (0.6, 2.0), "untrained": (0.5, 3.0)})
    as_items = compared(a, b).rows[0].comparison
    names = [f"concept{number // 4}" for number in range(80)]
    clusters = {"agreement": names + [f"more{number // 4}" for number in range(120)]}
    clusters["islands"] = names
    values = {group: (noise < 0.6).astype(float) for group, noise in NOISE.items()}
    table = scores(values, suite="pairs", clusters=clusters)
    write(table, SCORES, b.root / "data/scores/good/pairs.parquet")
    found = compared(a, b, groups=True)
    (row,) = found.rows
    assert row.comparison.n_clusters == 50 and as_items.n_clusters is None
    assert row.comparison.difference == pytest.approx(as_items.difference)
    assert row.comparison.se != as_items.se and row.comparison.mcnemar_p is None
    assert row.groups["islands"].n_clusters == 20
    shown = as_text(found, colour=False)
    assert "pairs: its items lie in 50 clusters; intervals and p take whole clusters." in shown
    assert json.loads(as_data(found))["rows"][0]["n_clusters"] == 50


def test_diff_says_which_suite_cannot_tell_a_and_b_apart(revision):
    found = compared(revision("a"), revision("b", text_noise=0.5), suites=["text"])
    assert len(found.rows) == 2
    line = "Suites that cannot tell A and B apart, as no model differs: text ("
    assert line in as_text(found, colour=False) and line in as_markdown(found)
    assert json.loads(as_data(found))["cannot_tell"][0].startswith(line)
    other = compared(revision("c"), revision("d", {"good": (0.6, 1.9), "untrained": (0.5, 3.0)}))
    assert other.cannot_tell == []


def test_diff_says_which_difference_is_within_the_noise_of_seeds(revision):
    a, b = revision("a"), revision("b", {"good": (0.7, 1.9), "untrained": (0.5, 3.0)})
    (b.root / "metrics").mkdir()
    recorded = {"text": {"metric": "surprisal_per_byte", "between_runs": 0.12}}
    (b.root / "metrics/signal.json").write_text(json.dumps(recorded))
    (line,) = compared(a, b).cannot_tell
    assert line.startswith("good on text: two runs of one recipe differ by up to 0.12")
    recorded["text"]["between_runs"] = 0.08
    (b.root / "metrics/signal.json").write_text(json.dumps(recorded))
    assert compared(a, Revision(b.root, None)).cannot_tell == []


def test_diff_of_an_average_is_that_of_one_model(revision):
    average = {"late": ["good", "untrained"]}
    a = revision("a", average=average)
    b = revision("b", {"good": (0.6, 1.9), "untrained": (0.5, 3.0)}, average=average)
    found = {row.suite: row for row in compared(a, b).rows}
    assert {row.model for row in found.values()} == {"late"}
    comparison = found["text"].comparison
    assert (comparison.n_seeds_a, comparison.n_seeds_b) == (1, 1)
    assert comparison.difference == pytest.approx(-0.05)
