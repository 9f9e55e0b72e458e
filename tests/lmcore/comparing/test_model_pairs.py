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
        }
        models = changes.pop("models", ["good", "untrained", "twin", "other"])
        compare_models(models=models, suites=SUITES, **paths, **(SECTION | changes))
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


def test_subjects_are_recipes_and_the_models_that_belong_to_none():
    assert subjects(["a", "b", "c"], {"r": ["a", "c"]}) == {"r": ["a", "c"], "b": ["b"]}


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
