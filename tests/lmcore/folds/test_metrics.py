import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats as reference

from lmcore.errors import InputError
from lmcore.files import rounded
from lmcore.folds.metrics import STEPS_OF_SE, aggregate, rounded_by_se, suite_metrics
from lmcore.statistics.bayes import beta_interval
from lmcore.statistics.stats import wilson
from lmcore.tables import OPTIONAL_CLUSTER, SCORES, write

# accuracies (%) of babyllama-10m-2024, from the README of the BabyLM 2024 evaluation pipeline, and
# sizes of the filtered supplement
SUPPLEMENT = {
    "hypernym": (49.6, 842),
    "qa_congruence_easy": (54.7, 64),
    "qa_congruence_tricky": (41.2, 165),
    "subject_aux_inversion": (86.0, 3867),
    "turn_taking": (66.1, 280),
}


def scores_of(
    values: dict[str, list[float]], metric: str = "accuracy", weight: float = 1.0, draw: int = 0
) -> pa.Table:
    """Scores of one metric from {group: values of its items}."""
    rows = [
        {
            "item": f"s/{group}/{i:04d}",
            "draw": draw,
            "variant": "",
            "group": group,
            "metric": metric,
            "value": value,
            "weight": weight,
            "content_hash": 1,
        }
        for group, items in values.items()
        for i, value in enumerate(items)
    ]
    return pa.Table.from_pylist(rows, SCORES)


def test_suite_metrics_supplement_macro_is_not_micro():
    values = {
        group: [1.0] * round(n * share / 100) + [0.0] * (n - round(n * share / 100))
        for group, (share, n) in SUPPLEMENT.items()
    }
    metrics, intervals = suite_metrics(scores_of(values), 0.95)
    assert metrics["accuracy"] == pytest.approx(0.5952, abs=5e-4)
    assert metrics["accuracy_micro"] == pytest.approx(0.7726, abs=5e-4)
    assert intervals["accuracy"]["se"] == pytest.approx(0.016, abs=5e-4)
    shares, sizes = np.array(list(SUPPLEMENT.values())).T
    # Source: pooled_sample_stderr of lm_eval/api/metrics.py
    pooled = (
        (sizes * shares / 100 * (1 - shares / 100)).sum() / (sizes.sum() - len(sizes)) / sizes.sum()
    )
    assert np.sqrt(pooled) == pytest.approx(0.0054, abs=5e-5)
    assert intervals["accuracy"]["n"] == 5218


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_suite_metrics_interval_of_groups_all_right_or_all_wrong_has_a_width(value):
    # two groups of 4 and 12 items tell as much of their macro mean as 12 items in one group
    _, intervals = suite_metrics(scores_of({"a": [value] * 4, "b": [value] * 12}), 0.95)
    found = intervals["accuracy"]
    low, high = wilson(12 * value, 12, 0.95)
    assert found["low"] == pytest.approx(low) and found["high"] == pytest.approx(high)
    assert high - low > 0.2


def test_suite_metrics_interval_of_yes_and_no_in_one_group_is_wilsons():
    _, intervals = suite_metrics(scores_of({"all": [0.0] * 500}), 0.95)
    assert (intervals["accuracy"]["low"], intervals["accuracy"]["high"]) == wilson(0, 500, 0.95)


def test_suite_metrics_interval_of_decisions_is_that_of_the_posterior_on_request():
    table = scores_of({"a": [0.0, 1, 0.5, 1, 1], "b": [1.0, 0, 0]})
    _, intervals = suite_metrics(table, 0.9, method="bayes")
    found = intervals["accuracy"]
    assert (found["low"], found["high"]) == beta_interval(np.array([3.5, 1]), np.array([5, 3]), 0.9)
    assert found["se"] == suite_metrics(table, 0.9)[1]["accuracy"]["se"]
    micro = reference.beta.interval(0.9, 4.5 + 0.5, 3.5 + 0.5)
    found = intervals["accuracy_micro"]
    assert (found["low"], found["high"]) == pytest.approx(micro)


def test_suite_metrics_of_no_decisions_are_the_same_whatever_the_interval_of_decisions():
    for metric, values in (("probability", [0.1, 0.7, 0.2]), ("logprob", [-1.0, -2, -3])):
        table = scores_of({"a": values, "b": values}, metric)
        assert suite_metrics(table, 0.95, method="bayes") == suite_metrics(table, 0.95)


def test_suite_metrics_draws_are_averaged_within_items():
    draws = [[1.0, 0.0, 1.0, 0.0], [1.0, 1.0, 0.0, 0.0]]
    metrics, intervals = suite_metrics(
        pa.concat_tables(
            [scores_of({"all": values}, draw=draw) for draw, values in enumerate(draws)]
        ),
        0.95,
    )
    assert (metrics["accuracy"], metrics["n_items"], metrics["n_draws"]) == (0.5, 4, 2)
    assert intervals["accuracy"]["se"] == pytest.approx(reference.sem([1, 0.5, 0.5, 0]))


def test_suite_metrics_items_that_share_a_draws_numbers_widen_its_interval():
    draws = [
        scores_of({"a": [float(draw % 2)] * 50, "b": [1.0, 0.0] * 25}, draw=draw)
        for draw in range(4)
    ]
    _, intervals = suite_metrics(pa.concat_tables(draws), 0.95)
    assert intervals["accuracy"]["se"] == pytest.approx(reference.sem([0, 1, 0, 1]) / 2)


def test_suite_metrics_perplexity_interval_encloses_it_and_grows_from_the_log():
    metrics, intervals = suite_metrics(
        scores_of({"a": [-2.0, -4.0], "b": [-3.0, -3.0]}, "logprob", weight=10), 0.95
    )
    found = intervals["perplexity"]
    assert set(found) == {"low", "high", "n"}, "the standard error is that of the log"
    assert found["low"] < metrics["perplexity"] < found["high"] and metrics[
        "perplexity"
    ] == pytest.approx(np.exp(3))
    assert found["low"] * found["high"] == pytest.approx(np.exp(6))


def test_suite_metrics_micro_is_of_accuracy_alone():
    accuracy = scores_of({"a": [1.0, 1.0, 1.0], "b": [0.0]})
    baseline = scores_of({"a": [0.25, 0.25, 0.25], "b": [0.25]}, "length_baseline")
    found, _ = suite_metrics(pa.concat_tables([accuracy, baseline]), 0.95)
    assert (found["accuracy"], found["accuracy_micro"]) == (0.5, 0.75)
    assert "length_baseline_micro" not in found


def test_suite_metrics_of_one_item_have_no_standard_error():
    found, intervals = suite_metrics(scores_of({"a": [1.0]}), 0.95)
    assert found["accuracy"] == 1 and set(intervals["accuracy"]) == {"low", "high", "n"}
    found, intervals = suite_metrics(scores_of({"a": [-2.0]}, "logprob"), 0.95)
    assert found["perplexity"] == pytest.approx(np.exp(2)) and intervals == {}


def test_suite_metrics_of_ranks_is_their_median_within_its_order_statistics():
    metrics, intervals = suite_metrics(scores_of({"a": [1.0, 2, 3, 4, 1000.0]}, "rank"), 0.5)
    assert metrics["median_rank"] == 3
    assert intervals["median_rank"] == {"low": 2, "high": 4, "n": 5}


def test_suite_metrics_of_texts_of_unequal_size_record_their_effective_number():
    values, weights = [3.0, 2.0, 4.0, 2.5], [90.0, 80.0, 3.0, 2.0]
    rows = scores_of({"a": values}, "surprisal_per_byte").to_pylist()
    rows = [row | {"weight": weight} for row, weight in zip(rows, weights)]
    _, intervals = suite_metrics(pa.Table.from_pylist(rows, SCORES), 0.95)
    found = intervals["bits_per_byte"]
    assert found["n_effective"] == pytest.approx(175**2 / sum(weight**2 for weight in weights))
    quantile = reference.t.ppf(0.975, found["df"])
    assert 1 <= found["df"] < 2
    assert found["high"] - found["low"] == pytest.approx(2 * quantile * found["se"])
    _, alike = suite_metrics(scores_of({"a": values}, "surprisal_per_byte"), 0.95)
    assert set(alike["bits_per_byte"]) == {"low", "high", "n", "se"}


def test_rounded_writes_whole_floats_as_ints():
    found = rounded({"n": 12.0, "none": -0.0, "large": 123456789.0, "half": 0.5}, 6)
    assert json.dumps(found) == '{"n": 12, "none": 0, "large": 123457000, "half": 0.5}'


def test_rounded_keeps_significant_digits_and_whole_numbers():
    assert rounded({"a": {"b": 0.000123456789, "n": 12.0, "c": 1234567.8, "name": "x"}}, 6) == {
        "a": {"b": 0.000123457, "n": 12, "c": 1234570, "name": "x"}
    }


def test_aggregate_writes_sorted_reproducible_files_and_fails_on_a_missing_table(tmp_path: Path):
    suites = {
        "mine": {"kind": "pairs", "path": "x.csv", "convention": "lm_eval", "ties": "half"},
        "blimp": None,
    }
    for suite in suites:
        write(
            scores_of({"b": [1.0, 0.0], "a": [0.5, 0.5]}),
            SCORES,
            tmp_path / "scores" / "one" / f"{suite}.parquet",
        )
    paths = {
        "scores": tmp_path / "scores",
        "out": tmp_path / "metrics" / "models",
        "intervals": tmp_path / "metrics" / "intervals.json",
        "headlines": tmp_path / "metrics" / "headline",
    }

    def run(suites: dict) -> list[bytes]:
        aggregate(["one"], suites, **paths, confidence=0.95, digits=6)
        names = ["models/one.json", "intervals.json", "headline/one.json"]
        return [(tmp_path / "metrics" / name).read_bytes() for name in names]

    first = run(suites)
    assert run(dict(reversed(suites.items()))) == first
    metrics, intervals, headlines = map(json.loads, first)
    assert metrics["mine"]["convention"] == "lm_eval ties=half"
    assert metrics["blimp"]["convention"] == "lmcore"
    assert set(intervals["one"]["mine"]["accuracy"]) == {"low", "high", "n", "se"}
    assert headlines == {suite: metrics[suite]["accuracy"] for suite in suites}
    with pytest.raises(InputError, match=r"one/new\.parquet: no such table"):
        run({**suites, "new": {"kind": "pairs"}})
    with pytest.raises(InputError, match=r"one/mine\.parquet: params\.yaml does not name it"):
        run({"blimp": None})
    assert (tmp_path / "metrics/models/one.json").read_bytes() == first[0]


def test_aggregate_writes_the_interval_of_decisions_that_is_asked_for(tmp_path):
    table = scores_of({"a": [1.0] * 9 + [0.0]})
    write(table, SCORES, tmp_path / "scores" / "model" / "s.parquet")
    found = {}
    for method in ("student", "bayes"):
        aggregate(
            ["model"],
            {"s": {"kind": "pairs"}},
            *(tmp_path / name for name in ("scores", "models", "intervals.json", "headline")),
            confidence=0.95,
            digits=6,
            interval=method,
        )
        intervals = json.loads((tmp_path / "intervals.json").read_text())
        found[method] = intervals["model"]["s"]["accuracy"]
    assert found["student"]["high"] == pytest.approx(wilson(9, 10, 0.95)[1], abs=0.01)
    posterior = reference.beta.interval(0.95, 9.5, 1.5)
    assert found["bayes"]["high"] == pytest.approx(posterior[1], abs=0.01)


def test_headlines_tell_of_ties(tmp_path):
    decisions, ties = scores_of({"a": [1.0, 0.5]}), scores_of({"a": [0.0, 1.0]}, "tie")
    table = pa.concat_tables([decisions, ties])
    for suite in ("one", "two"):
        write(table, SCORES, tmp_path / "scores" / "model" / f"{suite}.parquet")
    aggregate(
        ["model"],
        {"one": {"kind": "pairs"}, "two": {"kind": "choices"}},
        tmp_path / "scores",
        tmp_path / "models",
        tmp_path / "intervals.json",
        tmp_path / "headline",
        confidence=0.95,
        digits=6,
    )
    headlines = json.loads((tmp_path / "headline" / "model.json").read_text())
    assert headlines == {"one": 0.75, "two": 0.75, "n_ties": 2}


def test_rounded_by_se_keeps_what_the_standard_error_supports():
    metrics = {"accuracy": 0.627778, "perplexity": 1208.593, "sure": 0.25000001, "n_items": 72}
    intervals = {
        "accuracy": {"low": 0.611111, "high": 0.644444, "se": 0.0081234, "n": 72},
        "perplexity": {"low": 720.717, "high": 2026.71, "n": 72},
        "sure": {"low": 0.25, "high": 0.25, "se": 0.0, "n": 72},
    }
    values, bounds = rounded_by_se(metrics, intervals, 0.95, 6)
    assert values == {"accuracy": 0.6278, "perplexity": 1209, "sure": 0.25, "n_items": 72}
    assert bounds["accuracy"] == {"low": 0.6111, "high": 0.6444, "se": 0.0081, "n": 72}
    assert bounds["perplexity"] == {"low": 721, "high": 2027, "n": 72}


def test_rounded_by_se_keeps_the_lower_bound_of_a_wide_perplexity():
    intervals = {"perplexity": {"low": 123.456, "high": 3.2e12, "n": 9}}
    values, bounds = rounded_by_se({"perplexity": 4567.8}, intervals, 0.95, 6)
    assert values["perplexity"] == 4570
    assert bounds["perplexity"]["low"] == 123


@pytest.mark.parametrize("se", [3e-7, 0.00499, 0.005, 0.0051, 0.3, 1.0, 77.0, 4e5])
def test_rounded_by_se_moves_a_metric_by_at_most_a_hundredth_of_its_standard_error(se):
    for value in np.random.default_rng(0).normal(0.5, 10 * se, 50):
        interval = {"low": value - 2 * se, "high": value + 2 * se, "se": se, "n": 9}
        values, _ = rounded_by_se({"x": value}, {"x": interval}, 0.95, 6)
        assert abs(values["x"] - value) <= se / STEPS_OF_SE / 2 * (1 + 1e-9)


def clustered_scores(values: dict[str, list[float]], n_each: int, metric: str = "accuracy"):
    """Scores of one metric; so many items after another share a cluster."""
    rows = scores_of(values, metric).to_pylist()
    for number, row in enumerate(rows):
        row["cluster"] = f"c{number // n_each}"
    return pa.Table.from_pylist(rows, pa.schema([*SCORES, *OPTIONAL_CLUSTER]))


def test_suite_metrics_of_items_in_clusters_have_intervals_over_clusters():
    values = {"a": [1.0] * 6 + [0.0] * 6 + [1.0] * 6}
    found, intervals = suite_metrics(clustered_scores(values, 3), 0.95)
    expected = reference.t.interval(0.95, 5, 2 / 3, reference.sem([1.0, 1, 0, 0, 1, 1]))
    of_accuracy = intervals["accuracy"]
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert (of_accuracy["n"], of_accuracy["n_clusters"], of_accuracy["df"]) == (18, 6, 5)
    assert of_accuracy["low"] == pytest.approx(expected[0])
    assert of_accuracy["high"] == pytest.approx(min(1, expected[1]))
    assert intervals["accuracy_micro"]["n_clusters"] == 6


def test_suite_metrics_of_items_that_share_no_cluster_are_what_they_were():
    values = {"a": [1.0, 0.0, 1.0, 1.0], "b": [0.5, 0.0]}
    assert suite_metrics(clustered_scores(values, 1), 0.95) == suite_metrics(
        scores_of(values), 0.95
    )


def test_suite_metrics_of_clusters_that_are_all_right_have_an_interval_with_a_width():
    _, intervals = suite_metrics(clustered_scores({"a": [1.0] * 12}, 3), 0.95)
    assert intervals["accuracy"]["low"] == pytest.approx(wilson(4, 4, 0.95)[0])
    assert suite_metrics(clustered_scores({"a": [1.0] * 12}, 3, "rank"), 0.95)[1] == {}
    _, intervals = suite_metrics(clustered_scores({"a": [-1.0, -2, -3, -4]}, 2, "logprob"), 0.95)
    assert intervals["perplexity"]["n_clusters"] == 2


def test_suite_metrics_of_a_part_are_those_of_its_groups_alone():
    """The macro mean over the part's groups, with its interval; a part without items has none."""
    table = scores_of({"a": [1.0, 1, 0, 1], "b": [0.0, 1], "c": [0.0, 0, 0]})
    parts = {"letters": {"a", "b", "z"}, "nothing": {"z"}}
    metrics, intervals = suite_metrics(table, 0.9, parts=parts)
    alone = scores_of({"a": [1.0, 1, 0, 1], "b": [0.0, 1]})
    expected, of_alone = suite_metrics(alone, 0.9)
    assert metrics["accuracy_letters"] == expected["accuracy"] == 0.625
    assert intervals["accuracy_letters"] == of_alone["accuracy"]
    assert "accuracy_nothing" not in metrics
    assert metrics["accuracy"] == suite_metrics(table, 0.9)[0]["accuracy"]


def test_suite_metrics_of_reading_have_no_bounds_and_count_words_that_weigh():
    """A gain may be below 0, and a surprisal above 1; words of weight 0 are no items of it."""
    gains, no_gain = scores_of({"all": [-2.0, 4.0]}, "gain"), scores_of({"all": [9.0]}, "gain")
    surprisal = scores_of({"all": [3.0, 5.0, 7.0]}, "surprisal")
    names = [f"{number}" for number in range(3)]
    gains = pa.concat_tables([gains, no_gain]).set_column(0, "item", pa.array(names))
    weights = pa.array([1.0, 1.0, 0.0])
    gains = gains.set_column(gains.column_names.index("weight"), "weight", weights)
    metrics, intervals = suite_metrics(
        pa.concat_tables([gains, surprisal.set_column(0, "item", pa.array(names))]), 0.95
    )
    assert (metrics["gain"], metrics["surprisal"]) == (1.0, 5.0)
    assert intervals["gain"]["low"] == pytest.approx(1 - 12.706 * 3, abs=0.01)
    assert (intervals["gain"]["n"], intervals["surprisal"]["n"]) == (2, 3)
