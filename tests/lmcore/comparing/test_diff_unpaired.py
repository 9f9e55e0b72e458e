"""A diff of two revisions whose tables are nowhere: two folders with nothing but metrics."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from scipy import stats as reference
from statsmodels.stats.proportion import confint_proportions_2indep, proportions_ztest

from lmcore.comparing.diff import diff, settings_of
from lmcore.comparing.diff_text import as_data, as_markdown, as_text
from lmcore.comparing.diff_unpaired import figures, unpaired
from lmcore.errors import InputError
from lmcore.files import rounded
from lmcore.folds.metrics import suite_metrics
from lmcore.history.revisions import Revision
from tests.lmcore.comparing.test_model_pairs import SECTION
from tests.lmcore.score_tables import scores
from tests.yaml_files import write_yaml

SUITES = {"pairs": {"kind": "pairs"}, "text": {"kind": "text"}}
RNG = np.random.default_rng(0)
NOISE = RNG.random(400)
TEXT = RNG.normal(3, 0.3, 30)
MODELS = {"good": (0.7, 2.0), "untrained": (0.5, 3.0)}  # accuracy, bits per byte


@pytest.fixture
def revision(tmp_path):
    """A function that makes a revision of models with these accuracies and bits per byte."""

    def make(name: str, models: dict, n: int = 400, **section) -> Revision:
        root = tmp_path / name
        values: dict[str, dict] = {}
        intervals: dict[str, dict] = {}
        for model, (share, bits) in models.items():
            tables = {
                "pairs": scores({"all": (NOISE[:n] < share).astype(float)}, suite="pairs"),
                "text": scores({"emma": TEXT + bits}, "surprisal_per_byte", 50.0, "text"),
            }
            values[model], intervals[model] = {}, {}
            for suite, table in tables.items():
                values[model][suite], intervals[model][suite] = suite_metrics(table, 0.95)
        write_metrics(root, values, intervals)
        params = {"models": list(models), "suites": SUITES, "aggregate": {"confidence": 0.95}}
        write_yaml(params | {"compare_models": SECTION | section}, root / "params.yaml")
        return Revision(root, None)

    return make


def write_metrics(root: Path, values: dict, intervals: dict) -> None:
    (root / "metrics/models").mkdir(parents=True)
    for model, suites in values.items():
        (root / f"metrics/models/{model}.json").write_text(json.dumps(rounded(suites, 6)))
    (root / "metrics/intervals.json").write_text(json.dumps(rounded(intervals, 6)))


def compared(a: Revision, b: Revision, *, metric=None, margin=None, **options):
    defaults = {"suites": [], "models": [], "common": False, "groups": False, "n_items": 0}
    return diff(a, b, **(defaults | options), **settings_of(b.params, metric, margin))


def figures_of(table) -> dict:
    """The figures of a scores table, from its metrics in six digits."""
    values, intervals = suite_metrics(table, 0.95)
    return figures(rounded(values, 6), rounded(intervals, 6), 0.95)


def test_shares_of_one_group_are_compared_as_statsmodels_does():
    right = {"a": (NOISE < 0.7).astype(float), "b": (NOISE < 0.6).astype(float)}
    a, b = (figures_of(scores({"all": values}))["accuracy"] for values in right.values())
    comparison, method = unpaired("accuracy", a, b, 0.95, (0.95, 0.95))
    counts = int(right["b"].sum()), int(right["a"].sum())
    low, high = confint_proportions_2indep(counts[0], 400, counts[1], 400, method="newcomb")
    assert method == "newcombe"
    assert (comparison.low, comparison.high) == pytest.approx((low, high), abs=1e-6)
    assert comparison.p == pytest.approx(proportions_ztest(counts, [400, 400])[1], rel=1e-3)


def test_shares_with_intervals_of_their_posteriors_are_compared_as_shares():
    table = scores({"all": (NOISE < 0.7).astype(float)})
    values, intervals = suite_metrics(table, 0.95, method="bayes")
    found = figures(rounded(values, 6), rounded(intervals, 6), 0.95)["accuracy"]
    assert found.are_decisions and found.low != figures_of(table)["accuracy"].low
    assert unpaired("accuracy", found, found, 0.95, (0.95, 0.95))[1] == "newcombe"


def test_ratios_over_a_corpus_are_compared_by_welchs_test():
    a, b = TEXT, TEXT[::-1] * 1.7 - 2
    found = [
        figures_of(scores({"emma": values}, "surprisal_per_byte", 50.0, "text"))
        for values in (a, b)
    ]
    name = "surprisal_per_byte"
    comparison, method = unpaired(name, found[0][name], found[1][name], 0.95, (0.95, 0.95))
    expected = reference.ttest_ind(b, a, equal_var=False)
    interval = expected.confidence_interval(0.95)
    assert method == "welch"
    assert comparison.p == pytest.approx(expected.pvalue, rel=1e-3)
    assert comparison.df == pytest.approx(expected.df, rel=1e-3)
    assert (comparison.low, comparison.high) == pytest.approx(
        (interval.low, interval.high), abs=1e-4
    )


def test_a_perplexity_is_compared_by_its_logarithm():
    logprobs = -np.abs(RNG.normal(3, 1, 50)), -np.abs(RNG.normal(3.4, 1, 50))
    a, b = (figures_of(scores({"all": values}, "logprob", 1.0)) for values in logprobs)
    comparison, _ = unpaired("logprob", a["logprob"], b["logprob"], 0.95, (0.95, 0.95))
    expected = reference.ttest_ind(logprobs[1], logprobs[0], equal_var=False)
    assert comparison.a == pytest.approx(logprobs[0].mean(), abs=1e-4)
    assert comparison.p == pytest.approx(expected.pvalue, rel=1e-3)


def test_a_macro_mean_keeps_the_degrees_of_freedom_of_its_groups():
    groups = {"one": (NOISE[:8] < 0.5).astype(float), "two": (NOISE[8:200] < 0.5).astype(float)}
    values, intervals = suite_metrics(scores(groups), 0.95)
    figure = figures(rounded(values, 6), rounded(intervals, 6), 0.95)["accuracy"]
    half = intervals["accuracy"]["high"] - values["accuracy"]
    df = figure.estimate.df
    assert not figure.are_decisions and df < 20
    assert reference.t.ppf(0.975, df) * figure.estimate.se == pytest.approx(half, rel=1e-4)


def test_medians_are_compared_by_their_bounds():
    values = {"median_rank": 100, "n_items": 9}
    a = figures(values, {"median_rank": {"low": 80, "high": 140, "n": 9}}, 0.95)["rank"]
    b = a._replace(estimate=a.estimate._replace(mean=200.0), low=170.0, high=260.0)
    comparison, method = unpaired("rank", a, b, 0.95, (0.95, 0.95))
    assert method == "bounds"
    assert comparison.low == pytest.approx(100 - 50)  # the hypotenuse of 30 and 40
    assert comparison.high == pytest.approx(100 + np.hypot(60, 20))
    assert comparison.p == pytest.approx(2 * reference.norm.sf(100 / (50 / 1.959964)), rel=1e-4)


def test_p_of_shares_is_uniform_where_nothing_differs():
    rng = np.random.default_rng(3)
    n_found = 0
    for _ in range(400):
        a, b = (
            figures_of(scores({"all": (rng.random(120) < 0.6).astype(float)}))["accuracy"]
            for _ in range(2)
        )
        n_found += unpaired("accuracy", a, b, 0.95, (0.95, 0.95))[0].p < 0.05
    assert 8 <= n_found <= 34  # 20 are expected, with a standard deviation of 4.4


def test_diff_without_tables_says_that_it_is_unpaired_and_what_to_do(revision):
    a, b = revision("a", MODELS), revision("b", {"good": (0.55, 2.0), "untrained": (0.5, 3.0)})
    found = compared(a, b)
    assert [(row.model, row.suite, row.method) for row in found.rows] == [
        ("good", "pairs", "newcombe")
    ]
    assert found.rows[0].comparison.verdict == "worse"
    assert found.unchanged == [("untrained", "pairs"), ("good", "text"), ("untrained", "text")]
    for text in (as_text(found, colour=False), as_markdown(found)):
        assert text.count("unpaired, so less sharp: ") == 1
        assert "commit what is here, then bring the tables of A: " in text
        assert "Newcombe" in text
        assert re.findall("(.*) other metrics differ", text) == ["1 of 6"]
    assert "unchanged (no recorded figure differs): untrained" in as_text(found, colour=False)
    values = json.loads(as_data(found))
    assert values["rows"][0]["method"] == "newcombe"
    assert not {"n_better", "n_worse", "df"} & set(values["rows"][0])
    assert {row["metric"] for row in values["without_tables"]["others"]} == {"accuracy_micro"}


def test_diff_without_tables_leaves_out_what_needs_them_and_says_so(revision):
    a, b = revision("a", MODELS), revision("b", {"good": (0.55, 2.0), "untrained": (0.5, 3.0)})
    text = as_text(compared(a, b, groups=True, n_items=3, common=True), colour=False)
    for option in ("--by-group", "--items", "--common"):
        assert f"note   {option} is left out: it needs the tables\n" in text


def test_diff_without_tables_corrects_as_the_paired_one(revision):
    a, b = revision("a", MODELS), revision("b", {"good": (0.62, 2.1), "untrained": (0.4, 3.1)})
    one, *_ = compared(a, b, models=["good"], suites=["pairs"]).rows
    both = {(row.model, row.suite): row.comparison for row in compared(a, b).rows}
    assert len(both) == 4
    assert one.comparison.p_corrected == one.comparison.p
    assert both["good", "pairs"].p == one.comparison.p < both["good", "pairs"].p_corrected


def test_diff_without_tables_of_other_items_is_refused(revision):
    a, b = revision("a", MODELS), revision("b", MODELS, n=300)
    found = compared(a, b)
    assert set(found.refused) == {("good", "pairs"), ("untrained", "pairs")}
    assert "pairs: not the same items: 400 in A, 300 in B" in as_text(found, colour=False)


def test_diff_without_tables_of_a_recipe_is_not_compared(revision):
    a = revision("a", MODELS, recipes={"both": list(MODELS)})
    text = as_text(compared(a, a), colour=False)
    assert "note   the recipe both on pairs needs the tables of its models: not compared" in text


def test_diff_without_tables_and_with_the_same_lock_says_that_nothing_changed(revision):
    a = revision("a", MODELS)
    outs = [{"path": "data/scores", "md5": "1.dir"}]
    write_yaml({"stages": {"fold_scores": {"outs": outs}}}, a.root / "dvc.lock")
    found = compared(Revision(a.root, None), Revision(a.root, None))
    assert not found.rows and len(found.unchanged) == 4
    assert "the same ones in A and B: nothing changed" in as_text(found, colour=False)


def test_diff_without_tables_and_without_intervals_names_the_table(revision):
    a = revision("a", MODELS)
    (a.root / "metrics/intervals.json").unlink()
    with pytest.raises(InputError, match=r"good/pairs\.parquet is missing; `dvc repro` makes it"):
        compared(Revision(a.root, None), Revision(a.root, None))


def test_diff_without_tables_of_a_metric_that_is_not_there_lists_what_is(revision):
    a = revision("a", MODELS)
    with pytest.raises(InputError, match=r"good on pairs: .* no metric gone .* it has accuracy"):
        compared(a, a, metric="gone")


def test_figures_of_texts_of_unequal_size_have_the_recorded_degrees_of_freedom():
    weight = {"emma": np.random.default_rng(2).lognormal(3, 1.5, 30)}
    table = scores({"emma": TEXT}, "surprisal_per_byte", weight)
    found, (_, intervals) = figures_of(table)["surprisal_per_byte"], suite_metrics(table, 0.95)
    recorded = intervals["bits_per_byte"]
    assert found.estimate.df == pytest.approx(recorded["df"], rel=1e-4) and found.estimate.df < 20
    assert found.n_effective == pytest.approx(recorded["n_effective"], rel=1e-4)
    words = scores({"emma": TEXT}, "surprisal_per_word", weight)
    estimate = figures_of(words)["surprisal_per_word"].estimate
    assert estimate.se == pytest.approx(found.estimate.se, rel=1e-3)
    comparison, _ = unpaired("surprisal_per_word", found, found, 0.95, (0.95, 0.95))
    assert comparison.n_effective == found.n_effective


def test_unpaired_diff_says_where_a_few_texts_hold_most_bytes(revision):
    a, b = (revision(name, {"good": (0.7, bits)}) for name, bits in (("a", 2.0), ("b", 1.9)))
    weight = {"emma": np.where(np.arange(30) < 2, 5000.0, 20.0)}
    for root, bits in ((a.root, 2.0), (b.root, 1.9)):
        table = scores({"emma": TEXT + bits}, "surprisal_per_byte", weight, "text")
        values, intervals = suite_metrics(table, 0.95)
        for path, found in (("models/good.json", values), ("intervals.json", intervals)):
            recorded = json.loads((root / "metrics" / path).read_text())
            of_model = recorded["good"] if path == "intervals.json" else recorded
            of_model["text"] = rounded(found, 6)
            (root / "metrics" / path).write_text(json.dumps(recorded))
    found = compared(a, b)
    assert "good on text: its 30 texts count like 2.2" in as_text(found, colour=False)
    assert json.loads(as_data(found))["rows"][0]["note"]
