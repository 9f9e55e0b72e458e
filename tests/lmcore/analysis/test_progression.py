"""Curves over an ordered list of models: by hand."""

import pytest

from lmcore.analysis.checkpoints import Amounts
from lmcore.analysis.progression import progression
from lmcore.errors import InputError


def summary(logprob: float) -> dict:
    return {"logprob_mean": logprob, "entropy": {"mean": 2.0}, "top_1_accuracy": 0.25}


SUMMARIES = {
    "early": {"text": summary(-5.0), "pairs": summary(-4.0)},
    "late": {"text": summary(-3.0)},
}


def test_progression_follows_the_order_on_the_suites_that_all_models_have():
    found = progression(["late", "early"], SUMMARIES)
    assert list(found) == ["text"], "the suite that one of them lacks has no curve"
    assert [(row["place"], row["model"], row["loss"]) for row in found["text"]] == [
        (1, "late", 3.0),
        (2, "early", 5.0),
    ]


def test_progression_takes_the_suites_own_accuracy_where_it_has_one():
    metrics = {"early": {"text": {"accuracy": 0.75}}, "late": {"text": {"perplexity": 9.0}}}
    found = progression(["early", "late"], SUMMARIES, metrics)["text"]
    assert [row["accuracy"] for row in found] == [0.75, 0.25]


def test_progression_of_checkpoints_has_what_they_had_read_and_spearman_of_graded_suites():
    metrics = {"early": {"text": {"spearman": 0.5}}, "late": {"text": {"spearman": 0.75}}}
    amounts = Amounts("words", [1_000_000, 2_000_000])
    found = progression(["early", "late"], SUMMARIES, metrics, amounts)["text"]
    assert list(found[0])[:3] == ["place", "words", "model"]
    assert [row["words"] for row in found] == [1_000_000, 2_000_000]
    assert [row["spearman"] for row in found] == [0.5, 0.75]


def test_progression_of_an_unknown_model_is_refused_by_name():
    with pytest.raises(InputError, match="there is no model 'gone'; there are early, late"):
        progression(["early", "gone"], SUMMARIES)
