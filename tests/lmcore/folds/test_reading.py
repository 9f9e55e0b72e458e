"""Reading times: which words count in which score, and where the surprisals come from.

tests/agreement/test_reading.py compares the official scores with statsmodels' formulas.
"""

import numpy as np
import pyarrow as pa
import pytest

from lmcore.errors import InputError
from lmcore.folds.by_text import text_stats
from lmcore.folds.reading import N_FOLDS, READING, SEED, reading_metrics
from lmcore.statistics.regression import folds_of, held_out_gain, with_products
from lmcore.suites.readings import COLUMNS, MEASURES
from tests.lmcore.token_tables import items_of, tokens_of

N = 140


def suite(n: int = N) -> tuple[pa.Table, dict[str, list]]:
    """Items `w0000` ... of a word and of the word before it, and their numbers."""
    options, readings = {}, {}
    rng = np.random.default_rng(0)
    for number in range(n):
        name = f"w{number:04d}"
        options[name] = [(f"the p{number}", f" {name}"), ("the", f" p{number}")]
        readings[name] = rng.gamma(9, 1, len(COLUMNS)).round(6).tolist()
    return items_of(options), readings


def said(draw: int, before: tuple[str, ...], word: str) -> float:
    return -1.0 - abs(np.sin(sum(map(ord, word)) * (draw + 1) + len(before)))


def numbers_of(readings: dict[str, list]) -> dict[str, np.ndarray]:
    table = np.array(list(readings.values()), float)
    return {column: table[:, i] for i, column in enumerate(COLUMNS)}


def metrics_of(items, readings, tokens=None):
    tokens = tokens_of(items, said) if tokens is None else tokens
    return reading_metrics(text_stats(items, tokens, "tokens"), readings, "tokens")


def test_every_metric_has_a_value_for_each_word_and_draw():
    items, readings = suite()
    metrics = metrics_of(items, readings, tokens_of(items, said, draws=2))
    assert set(metrics) == set(READING)
    for values, weights in metrics.values():
        assert values.shape == weights.shape == (2, N)
    first, second = metrics["eye_tracking"][0].mean(1)
    assert first != second


def test_word_with_a_gap_counts_where_its_number_is_not_asked_for():
    items, readings = suite()
    readings["w0003"][COLUMNS.index("previous_length")] = None
    readings["w0005"][COLUMNS.index("go_past")] = None
    metrics = metrics_of(items, readings)
    weights = {name: weight[0, [3, 5]].tolist() for name, (_, weight) in metrics.items()}
    assert weights["surprisal"] == weights["first_pass"] == [1, 1]
    assert weights["previous_surprisal"] == weights["self_paced"] == [0, 1]
    assert weights["go_past"] == [1, 0]
    assert weights["eye_tracking"] == [1, 1]
    assert weights["gain_go_past"] == [0, 0]


@pytest.mark.parametrize("total", ["eye_tracking", "gain"])
def test_total_is_the_mean_of_its_measures_though_they_have_gaps_in_different_words(total):
    items, readings = suite()
    for name in list(readings)[:9]:
        readings[name][COLUMNS.index("go_past")] = None
    metrics = metrics_of(items, readings)
    names = MEASURES[:4] if total == "eye_tracking" else [f"gain_{name}" for name in MEASURES]
    means = [np.average(metrics[name][0], weights=metrics[name][1]) for name in names]
    assert np.average(metrics[total][0], weights=metrics[total][1]) == pytest.approx(np.mean(means))


@pytest.mark.parametrize("has_masses", [False, True])
def test_gain_is_that_of_both_surprisals_corrected_where_masses_are_known(has_masses):
    items, readings = suite()
    tokens = tokens_of(items, said)
    masses = -np.random.default_rng(1).gamma(2, 1, (2, tokens.num_rows)).astype(np.float32)
    if has_masses:
        for name, column in zip(("bow_logprob", "next_bow_logprob"), masses):
            tokens = tokens.append_column(name, pa.array(column))
    found = metrics_of(items, readings, tokens)["gain_go_past"][0][0]
    surprisal = -np.asarray(tokens["logprob"]).astype(float)
    if has_masses:  # each target is one token
        surprisal += masses[0] - masses[1].astype(float)
    surprisal = surprisal[np.asarray(tokens["is_target"])].reshape(N, 2)
    numbers = numbers_of(readings)
    words = [
        with_products(np.column_stack([numbers[f"{word}frequency"], numbers[f"{word}length"]]))
        for word in ("", "previous_")
    ]
    baseline = np.column_stack([*words, numbers["context_length"]])
    folds = folds_of(np.arange(N), N_FOLDS, SEED)
    expected = held_out_gain(numbers["go_past"], baseline, surprisal, folds)
    assert found == pytest.approx(expected, abs=1e-9)


def test_too_few_words_are_refused_and_too_few_with_a_frequency_give_no_gain():
    items, readings = suite()
    for name in list(readings)[:50]:
        readings[name][COLUMNS.index("previous_frequency")] = None
    assert not any(name.startswith("gain") for name in metrics_of(items, readings))
    items, readings = suite(60)
    with pytest.raises(InputError, match="tokens: 60 words have first_fixation and frequency"):
        metrics_of(items, readings)
