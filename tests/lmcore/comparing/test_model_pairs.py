import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from lmcore.comparing.model_pairs import GROUPS, chosen_pairs, compare_models, subjects
from lmcore.errors import InputError
from lmcore.tables import SCORES, write
from tests.lmcore.score_tables import scores
from tests.yaml_files import write_yaml

SECTION = {
    "pairs": None,
    "against": "untrained",
    "recipes": {},
    "average": {},
    "metrics": ["target_logprob", "accuracy", "surprisal_per_byte"],
    "clusters": [],
    "margin": {"accuracy": 0.005},
    "confidence": 0.95,
    "interval": "student",
    "correction": "holm",
    "group_correction": "fdr_bh",
    "power": 0.8,
    "resamples": 1000,
    "seed": 0,
    "digits": 6,
}
SUITES = {"pairs": {"kind": "pairs"}, "text": {"kind": "text"}}


@pytest.fixture
def run(tmp_path):
    """A function that compares four models and returns the summary.

    `good` is better than `untrained`, and `twin` is a copy of `good`.
    """
    rng = np.random.default_rng(0)
    noise, text = rng.random((2, 60)), rng.normal(3, 0.3, 20)
    for model, share, bits in (
        ("untrained", 0.5, 3.0),
        ("good", 0.9, 2.0),
        ("twin", 0.9, 2.0),
        ("other", 0.55, 2.9),
    ):
        agreement, islands = np.random.default_rng(1).random((2, 60)) if model == "other" else noise
        values = {
            "agreement": (agreement < share).astype(float),
            "islands": (islands < share).astype(float),
        }
        write(scores(values, suite="pairs"), SCORES, tmp_path / "scores" / model / "pairs.parquet")
        books = {
            "emma": (text + bits)[:12],
            "persuasion": (text + bits)[12:19],
            "sanditon": (text + bits)[19:],
        }
        write(
            scores(books, "surprisal_per_byte", suite="text", weight=100.0),
            SCORES,
            tmp_path / "scores" / model / "text.parquet",
        )

    def call(**changes) -> dict:
        paths = {
            "scores": tmp_path / "scores",
            "summary": tmp_path / "comparisons.json",
            "out": tmp_path / "comparisons",
            "seeds": tmp_path / "seeds.json",
            "signal": tmp_path / "signal.json",
        }
        models = changes.pop("models", ["good", "untrained", "twin", "other"])
        suites = changes.pop("suites", SUITES)
        compare_models(models=models, suites=suites, **paths, **(SECTION | changes))
        return json.loads((tmp_path / "comparisons.json").read_text())

    call.folder = tmp_path
    return call


def test_compare_models_every_model_against_untrained_and_against_its_neighbour(run):
    found = run()
    assert list(found) == [
        "good_vs_untrained",
        "other_vs_twin",
        "other_vs_untrained",
        "twin_vs_untrained",
    ]
    good = found["good_vs_untrained"]
    assert good["pairs"]["verdict"] == good["text"]["verdict"] == "better"
    assert good["pairs"]["difference"] > 0 > good["text"]["difference"] == pytest.approx(-1)
    assert good["pairs"]["claim"] == "these two models differ; seed noise unknown"
    assert good["pairs"]["p_corrected"] > good["pairs"]["p"]
    assert "mcnemar_p" in good["pairs"] and "mcnemar_p" not in good["text"]


def test_a_suite_of_some_models_compares_these_alone(run):
    for model in ("untrained", "twin"):
        (run.folder / "scores" / model / "pairs.parquet").unlink()
    suites = SUITES | {"pairs": {"kind": "pairs", "models": ["other", "good"]}}
    recipes = {"both": ["good", "twin"]}  # not scored on `pairs` as a whole
    pairs = [{"model": "good", "against": "other"}, {"model": "both", "against": "untrained"}]
    found = run(suites=suites, recipes=recipes, pairs=pairs, against=None)
    assert list(found["good_vs_other"]) == ["pairs", "text"]
    assert list(found["both_vs_untrained"]) == ["text"]
    with pytest.raises(InputError, match=r"suites\.pairs\.models: there is no model 'nobody'"):
        run(suites=SUITES | {"pairs": {"kind": "pairs", "models": ["nobody", "good"]}})


def test_compare_models_table_has_a_row_for_every_group(run):
    run()
    table = pq.read_table(run.folder / "comparisons" / "groups.parquet")
    assert table.schema == GROUPS and not any(column.null_count for column in table.columns)
    rows = [
        row for row in table.to_pylist() if (row["model"], row["against"]) == ("good", "untrained")
    ]
    assert [(row["suite"], row["group"], row["n_items"]) for row in rows] == [
        ("pairs", "agreement", 60),
        ("pairs", "islands", 60),
        ("text", "emma", 12),
        ("text", "persuasion", 7),
        ("text", "sanditon", 1),
    ]
    assert rows[-1]["low"] == -np.inf and rows[-1]["verdict"] == "no evidence", (
        "one item cannot say"
    )
    assert rows[0]["verdict"] == "better" and rows[0]["p_corrected"] >= rows[0]["p"]


def test_compare_models_without_a_margin_says_nothing_of_it(run):
    found = run(margin=None, recipes=None, clusters=None)["good_vs_untrained"]["pairs"]
    assert found["verdict"] == "better" and "items_needed" not in found
    assert run()["good_vs_untrained"]["pairs"]["items_needed"] > 0


def test_compare_models_again_gives_the_same_bytes(run):
    run()
    files = [run.folder / "comparisons.json", run.folder / "comparisons" / "groups.parquet"]
    first = [path.read_bytes() for path in files]
    run()
    assert [path.read_bytes() for path in files] == first


def test_compare_models_that_are_equal_have_no_verdict(run):
    found = run(pairs=[{"model": "twin", "against": "good"}])
    assert list(found) == ["twin_vs_good"]
    pairs = found["twin_vs_good"]["pairs"]
    assert pairs["verdict"] == "unchanged" and pairs["p"] == 1 and "claim" not in pairs


def test_compare_models_recipe_takes_the_place_of_its_models(run):
    found = run(recipes={"recipe": ["good", "twin"]}, against="untrained")
    assert list(found) == ["other_vs_untrained", "recipe_vs_untrained"]
    pairs = found["recipe_vs_untrained"]["pairs"]
    assert (pairs["n_seeds_b"], pairs["n_seeds_a"]) == (2, 1)


def test_compare_models_clusters_draw_books_as_wholes(run):
    pair = [{"model": "other", "against": "untrained"}]
    assert run(pairs=pair)["other_vs_untrained"]["text"]["n_items"] == 20
    assert run(pairs=pair, clusters=["text"])["other_vs_untrained"]["text"]["n_items"] == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"against": "nobody"}, "there is no model or recipe 'nobody'; there are good"),
        ({"pairs": [{"model": "good"}]}, "there is no model or recipe ''"),
        ({"recipes": {"good": ["twin"]}}, "'good' is the name of a model"),
        ({"recipes": {"r": ["gone"]}}, "recipes: r: 'gone' is no model"),
        ({"recipes": {"r": ["good"], "q": ["good"]}}, "'good' is in two recipes"),
        ({"average": {"good": ["twin"]}}, "average: 'good' is the name of a model"),
        ({"average": {"r": ["gone"]}}, "average: r: 'gone' is no model"),
        ({"average": {"r": ["good", "good"]}}, "average: r: 'good' is in two averages"),
        (
            {"average": {"r": ["good"]}, "recipes": {"q": ["good"]}},
            "recipes: q: 'good' is in a recipe and an average",
        ),
        (
            {"average": {"r": ["good"]}, "recipes": {"r": ["twin"]}},
            "average: 'r' is the name of a recipe, too",
        ),
        ({"clusters": ["gone"]}, "clusters: there is no suite 'gone'"),
        ({"clusters": ["pairs"]}, "'pairs' is no running text"),
        (
            {"metrics": ["rank"]},
            r"pairs\.parquet: there is no metric rank; there are accuracy, entropy",
        ),
        ({"correction": "none"}, "unknown correction 'none'"),
        ({"models": ["good", "untrained"]}, r"other: params\.yaml does not name it"),
    ],
)
def test_compare_models_bad_params_are_named_and_nothing_is_written(run, changes, message):
    with pytest.raises(InputError, match=message):
        run(**changes)
    assert (
        not (run.folder / "comparisons").exists() and not (run.folder / "comparisons.json").exists()
    )


def test_chosen_pairs_name_each_pair_once():
    assert chosen_pairs(["a", "u", "b", "c"], "abcu", None, "u") == [
        ("a", "u"),
        ("b", "u"),
        ("c", "u"),
        ("c", "b"),
    ]
    assert chosen_pairs(["a", "b", "c"], "abc", None, None) == [("b", "a"), ("c", "b")]
    every = [("b", "a"), ("c", "a"), ("c", "b")]
    assert chosen_pairs(["a", "b", "c"], "abc", None, "all") == every
    assert chosen_pairs(["all", "a"], ["all", "a"], None, "all") == [("a", "all")]


def test_subjects_are_recipes_and_the_models_that_belong_to_none():
    assert subjects(["a", "b", "c"], {"r": ["a", "c"]}) == {"r": ["a", "c"], "b": ["b"]}
    found = subjects(["a", "b", "c", "d"], {"r": ["a"]}, {"late": ["b", "c"]})
    assert found == {"r": ["a"], "late": ["b", "c"], "d": ["d"]}


def test_stage_writes_where_the_pipeline_looks(run, monkeypatch):
    from stages import compare_models as stage

    (run.folder / "data").mkdir()
    (run.folder / "scores").rename(run.folder / "data" / "scores")
    params = {
        "models": ["good", "untrained", "twin", "other"],
        "suites": SUITES,
        "compare_models": SECTION,
    }
    write_yaml(params, run.folder / "params.yaml")
    monkeypatch.chdir(run.folder)
    stage.main()
    assert Path("metrics/comparisons.json").is_file()
    assert Path("data/comparisons/groups.parquet").is_file()
    assert Path("metrics/signal.json").is_file()


def test_compare_models_says_how_far_the_seeds_of_a_recipe_lie_apart(run):
    compared = run(recipes={"recipe": ["good", "untrained"]}, against="other")["recipe_vs_other"]
    found = json.loads((run.folder / "seeds.json").read_text())
    assert set(found) == {"recipe"} and set(found["recipe"]) == set(SUITES)
    text = found["recipe"]["text"]
    assert text["metric"] == "surprisal_per_byte" and text["alike"] == 0 and text["n_seeds"] == 2
    assert all(
        found["recipe"][suite]["mean"] == pytest.approx(compared[suite]["b"], abs=1e-5)
        for suite in SUITES
    )
    assert text["highest"] - text["lowest"] == pytest.approx(1, abs=1e-5)
    assert text["sd"] == pytest.approx(np.sqrt(0.5), abs=1e-5)


def test_an_average_is_one_model_whose_values_are_means_of_its_checkpoints(run):
    found = run(average={"late": ["good", "other"]}, against="untrained")["late_vs_untrained"]
    alone = {name: run(against="untrained")[f"{name}_vs_untrained"] for name in ("good", "other")}
    for suite in SUITES:
        expected = np.mean([alone[name][suite]["b"] for name in alone])
        assert found[suite]["b"] == pytest.approx(expected, abs=1e-5)
        assert (found[suite]["n_seeds_a"], found[suite]["n_seeds_b"]) == (1, 1)
    assert found["text"]["claim"] == "these two models differ; seed noise unknown"
    run(average={"late": ["good", "other"]}, against="untrained")
    spreads = json.loads((run.folder / "seeds.json").read_text())
    assert (
        spreads["late"]["text"]["n_checkpoints"] == 2 and "n_seeds" not in spreads["late"]["text"]
    )


def test_compare_models_says_what_a_suite_can_tell(run):
    run()
    found = json.loads((run.folder / "signal.json").read_text())
    assert set(found) == set(SUITES) and found["text"]["n_models"] == 4
    text = found["text"]
    assert text["signal"] == pytest.approx(text["highest"] - text["lowest"], abs=1e-5)
    assert text["signal"] == pytest.approx(1, abs=1e-5) and text["n_pairs"] == 4
    assert text["n_different"] == 4 and "cannot_tell" not in text and "noise" not in text
    run(pairs=[{"model": "other", "against": "untrained"}])
    pairs = json.loads((run.folder / "signal.json").read_text())["pairs"]
    assert pairs["cannot_tell"] == "none differs" and pairs["detectable"] > pairs["largest"]


def test_a_random_model_is_neither_signal_nor_noise_nor_a_pair(run):
    rng = np.random.default_rng(3)
    draws = {group: (rng.random((3, 60)) < 0.1).astype(float) for group in ("agreement", "islands")}
    path = run.folder / "scores" / "other" / "pairs.parquet"
    write(scores(draws, suite="pairs"), SCORES, path)
    found = run(pairs=[{"model": "other", "against": "untrained"}])
    assert found["other_vs_untrained"]["pairs"]["verdict"] == "worse"
    signal = json.loads((run.folder / "signal.json").read_text())["pairs"]
    assert signal["n_models"] == 3 and "noise" not in signal
    assert (signal["n_pairs"], signal["n_different"]) == (0, 0) and "cannot_tell" not in signal
