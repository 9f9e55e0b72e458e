"""Which models cannot be told from the best of a suite, on pairs that are written by hand."""

from lmcore.report.best import Standing, standing


def pairs(**verdicts: str) -> dict:
    """Comparisons of accuracy on the suite `s`, by MODEL_vs_AGAINST."""
    return {
        name: {"s": {"metric": "accuracy", "verdict": verdict}}
        for name, verdict in verdicts.items()
    }


def test_models_stand_to_the_best_as_the_pairs_say_in_either_direction() -> None:
    values = {"a": 0.5, "b": 0.9, "c": 0.8, "d": 0.7, "e": 0.6}
    compared = pairs(b_vs_a="better", b_vs_c="no evidence", d_vs_b="equal", c_vs_d="better")
    found = standing(values, "accuracy", "s", compared, lower_is_better=False)
    assert found == Standing(best=["b"], tied=["c", "d"], unknown=["e"], compared_by="")
    assert [found.mark(model) for model in "abcde"] == ["", "best", "≈ best", "≈ best", "≈ ?"]
    assert found.sentences() == [
        "Best is b.",
        "Not distinguishable from it: c, d.",
        "Not compared with it: e.",
    ]


def test_lower_is_best_where_lower_is_better() -> None:
    found = standing({"a": 1.5, "b": 2.5}, "x", "s", {}, lower_is_better=True)
    assert found.best == ["a"] and found.unknown == ["b"]


def test_models_of_the_same_figure_are_all_best() -> None:
    """One comparison with one of them is enough to know; the other was not made."""
    compared = pairs(c_vs_b="worse")
    found = standing({"a": 1.0, "b": 1.0, "c": 0.0}, "x", "s", compared, lower_is_better=False)
    assert (found.best, found.tied, found.unknown) == (["a", "b"], [], [])
    assert found.sentences()[0] == "Best are a, b."


def test_other_metric_of_the_comparisons_is_named() -> None:
    compared = {"b_vs_a": {"s": {"metric": "surprisal_per_byte", "verdict": "equal"}}}
    values = {"a": 1.0, "b": 2.0}
    found = standing(values, "bits_per_byte", "s", compared, lower_is_better=True)
    assert found.compared_by == "", "a score that becomes this metric is no other"
    found = standing(values, "accuracy", "s", compared, lower_is_better=True)
    assert found.sentences()[-1] == "Pairs are compared by bits per byte."


def test_comparison_on_another_suite_says_nothing() -> None:
    found = standing({"a": 1.0, "b": 2.0}, "x", "t", pairs(a_vs_b="equal"), lower_is_better=False)
    assert found.tied == [] and found.unknown == ["a"]


def test_single_model_has_no_standing() -> None:
    assert standing({"a": 1.0}, "x", "s", {}, lower_is_better=False) is None
