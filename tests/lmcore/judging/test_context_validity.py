"""Verdicts on guesses and their sums, by hand."""

import math

import pyarrow as pa
import pytest

from lmcore.judging.context_validity import (
    JUDGED,
    VALIDITY,
    WAYS,
    last_sentence,
    summary,
    with_verdicts,
)
from lmcore.tables import check


def row(
    item: str,
    guess: str,
    *,
    target: str = " sea",
    context: str = "He looked at the",
    **values: float,
) -> dict:
    judged = {f"{word}_{way}": 0.0 for word in JUDGED for way in WAYS}
    return {
        "item": item,
        "context": context,
        "target": target,
        "prediction": guess,
        "content_hash": 1,
        **judged,
        **values,
    }


def verdicts(guess: str, **keywords) -> tuple[bool, bool]:
    judged = with_verdicts([row("a", guess, **keywords)], 0.5)[0]
    return judged["is_word"], judged["is_correct"]


@pytest.mark.parametrize(
    ("guess", "keywords", "expected"),
    [
        (" sea", {}, (True, True)),
        ("\n\nsea", {}, (True, True)),
        (" Sea", {}, (True, False)),
        (" seas", {}, (True, False)),
        ("sea", {}, (False, False)),  # it goes on in the context's last word
        ("sea", {"context": "the "}, (True, True)),
        ("sea", {"context": ""}, (True, True)),
        (".", {}, (False, False)),
        ("", {}, (False, False)),
        (" sea", {"target": " sea."}, (True, True)),
        (' "', {"target": ' "Nadia'}, (False, False)),
        (" of", {"target": " of\n\nPower"}, (True, False)),
        (" don't", {"target": " don't"}, (True, True)),
    ],
)
def test_guess_is_a_word_and_correct(
    guess: str, keywords: dict, expected: tuple[bool, bool]
) -> None:
    assert verdicts(guess, **keywords) == expected


def test_guess_is_valid_and_supported_from_the_targets_quantile_on() -> None:
    """Targets' log-probs are -1 to -5 and gains 1 to 5: the bars at one quarter are -4 and 2."""
    rows = [
        row(
            str(n),
            " a",
            target_logprob=-n,
            target_gain=n,
            prediction_logprob=guess,
            prediction_gain=gain,
        )
        for n, guess, gain in (
            (1, -4.0, 1.9),
            (2, -4.01, 2.0),
            (3, -9.0, 9.0),
            (4, 0.0, -1.0),
            (5, -math.inf, 0.0),
        )
    ]
    judged = with_verdicts(rows, 0.25)
    assert [one["is_valid"] for one in judged] == [True, False, False, True, False]
    assert [one["is_supported"] for one in judged] == [False, True, True, False, False]
    check(pa.Table.from_pylist([{"model": "llama", **one} for one in judged], VALIDITY), VALIDITY)


def test_summary_counts_words_and_compares_right_with_wrong() -> None:
    """Four items: one right word, two wrong ones, and one full stop.

    Of the wrong words, one is above the right one's log-prob, one is tied with its own target.
    """
    rows = with_verdicts(
        [
            row("a", " sea", prediction_logprob=-2.0, target_logprob=-2.0, swapped_logprob=-3.0),
            row("b", " the", prediction_logprob=-1.0, target_logprob=-4.0, swapped_logprob=-4.0),
            row("c", " ship", prediction_logprob=-6.0, target_logprob=-6.0, swapped_logprob=-1.0),
            row("d", ".", prediction_logprob=-0.5, target_logprob=-8.0, swapped_logprob=-9.0),
        ],
        0.5,  # the bar is -5
    )
    found = summary(rows)
    counts = {"n_items": 4, "n_words": 3, "n_correct": 1, "n_wrong": 2, "accuracy": 0.25}
    assert {name: found[name] for name in counts} == counts
    assert found["target_logprob"] == -5.0
    assert found["wrong_logprob"] == -3.5
    assert found["correct_logprob"] == -2.0
    assert found["swap_noticed_logprob"] == pytest.approx((1 + 0.5 + 0 + 1) / 4)
    assert found["auc_logprob"] == 0.5 and found["preferred_of_wrong_logprob"] == 0.75
    assert found["valid_of_correct"] == 1.0
    assert found["valid_of_wrong"] == 0.5
    assert found["agreement_valid"] == pytest.approx(2 / 3)


def test_summary_leaves_out_what_there_is_nothing_of() -> None:
    found = summary(with_verdicts([row("a", ".", prediction_logprob=-math.inf)], 0.25))
    about_nothing = {"auc_logprob", "wrong_logprob", "valid_of_wrong", "agreement_valid"}
    assert found["n_words"] == 0 and not about_nothing & set(found)
    assert all(math.isfinite(value) for value in found.values())


@pytest.mark.parametrize(
    ("context", "sentence"),
    [
        ("He came. She saw the", "She saw the"),
        ('"Is it you?" said the', "said the"),
        ("“Yes!”\nHe looked at the", "He looked at the"),
        ("it cost 1.5 or the", "it cost 1.5 or the"),
        ("the", "the"),
        ("He came.", "He came."),
        ("", ""),
    ],
)
def test_last_sentence_follows_the_last_mark_that_ends_one(context: str, sentence: str) -> None:
    assert last_sentence(context) == sentence
