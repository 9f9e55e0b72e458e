"""Folds on any items: rows in any order, options exchanged, and ties by their policy."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmcore.folds.by_text import text_stats
from lmcore.folds.ties import settle
from tests.lmcore.folds.test_fold import OPTIONS
from tests.lmcore.token_tables import fold, items_of, tokens_of

LOGPROBS = {"a": -1.0, "b": -1.0, "c": -2.5, "d": -4.0}  # of each word; two are equal
WORDS = st.lists(st.sampled_from(list(LOGPROBS)), min_size=1, max_size=4)
ENDINGS = WORDS.map(lambda words: " " + " ".join(words))
TIES = st.sampled_from(["half", "win", "loss"])


@st.composite
def suites(draw, n_options: int = 2) -> dict[str, list[tuple[str, str]]]:
    """{item: [(context, target), ...]}; the options of an item share its context, perhaps empty."""
    found = {}
    for number in range(draw(st.integers(1, 5))):
        context = draw(st.sampled_from(["", "x", "x y"]))
        group = draw(st.integers(0, 1))
        found[f"g{group}/{number}"] = [(context, draw(ENDINGS)) for _ in range(n_options)]
    return found


def logprob(draw: int, before: tuple[str, ...], word: str) -> float:
    return LOGPROBS.get(word, -1.0) * (1 + draw)


def values_of(scores: pa.Table, metric: str) -> dict[tuple[str, int], float]:
    rows = [row for row in scores.to_pylist() if row["metric"] == metric]
    return {(row["item"], row["draw"]): row["value"] for row in rows}


def summed(target: str) -> float:
    return sum(LOGPROBS[word] for word in target.split())


@given(
    suites(3),
    st.sampled_from(["choices", "completion"]),
    st.integers(1, 2),
    st.randoms(use_true_random=False),
)
def test_fold_is_the_same_in_any_order_of_token_rows(options: dict, kind: str, draws: int, random):
    items = items_of(options)
    tokens = tokens_of(items, logprob, draws=draws)
    order = random.sample(range(tokens.num_rows), tokens.num_rows)
    one = fold(items, tokens, kind=kind, **OPTIONS)
    assert one.equals(fold(items, tokens.take(pa.array(order)), kind=kind, **OPTIONS))


@given(suites(), TIES)
def test_fold_decides_pairs_by_their_sums_and_ties_by_policy(options: dict, ties: str):
    items = items_of(options)
    scores = fold(items, tokens_of(items, logprob), kind="pairs", **{**OPTIONS, "ties": ties})
    accuracy, tie = values_of(scores, "accuracy"), values_of(scores, "tie")
    for item, ((_, good), (_, bad)) in options.items():
        is_tied = summed(good) == summed(bad)
        of_tie = {"half": 0.5, "win": 1.0, "loss": 0.0}[ties]
        assert tie[item, 0] == is_tied
        assert accuracy[item, 0] == (of_tie if is_tied else summed(good) > summed(bad))


@given(suites(), st.integers(1, 3))
def test_fold_of_exchanged_options_is_one_less_the_accuracy(options: dict, draws: int):
    exchanged = {item: texts[::-1] for item, texts in options.items()}
    found = []
    for suite in (options, exchanged):
        items = items_of(suite)
        found.append(
            values_of(
                fold(items, tokens_of(items, logprob, draws=draws), kind="pairs", **OPTIONS),
                "accuracy",
            )
        )
    assert found[0].keys() == found[1].keys() and len(found[0]) == draws * len(options)
    assert all(found[0][key] + found[1][key] == 1 for key in found[0])


@given(suites(4))
def test_fold_gives_each_option_a_share_and_all_of_them_one(options: dict):
    """When each option in turn is the right one, the shares of an item add up to 1."""
    tables = [items_of(options, gold=gold) for gold in range(4)]
    found = [fold(items, tokens_of(items, logprob), kind="choices", **OPTIONS) for items in tables]
    decisions = (
        "accuracy",
        "accuracy_per_char",
        "accuracy_per_byte",
        "accuracy_per_token",
        "accuracy_median_token",
    )
    for metric in (*decisions, "accuracy_worst_token", "normalised_probability", "length_baseline"):
        shares = [values_of(scores, metric) for scores in found]
        tolerance = 1e-2 if metric == "length_baseline" else 1e-9  # an integral in steps
        for key in shares[0]:
            assert sum(share[key] for share in shares) == pytest.approx(1, abs=tolerance), metric


@given(suites(3), st.integers(1, 2))
def test_text_stats_of_every_text_are_those_of_its_target(options: dict, draws: int):
    items = items_of(options)
    found = text_stats(items, tokens_of(items, logprob, draws=draws), "tokens")
    for number, row in enumerate(items.to_pylist()):
        words = row["target"].split()
        for draw in range(draws):
            own = np.array([logprob(draw, (), word) for word in words])
            assert found.n_tokens[draw, number] == len(words)
            assert found.n_bytes[draw, number] == len(row["target"].encode())
            assert found.logprob[draw, number] == pytest.approx(own.sum())
            assert found.probability[draw, number] == pytest.approx(np.exp(own).sum())
            assert (found.worst[draw, number], found.median[draw, number]) == (
                own.min(),
                np.median(own),
            )
            assert found.n_inputs[draw, number] == len((row["context"] + row["target"]).split())


@given(suites(3))
def test_tokens_behind_a_shared_beginning_are_those_that_no_other_option_has_at_their_place(
    options: dict,
):
    items = items_of(options)
    found = text_stats(items, tokens_of(items, logprob), "tokens").n_after_shared
    for item, row in zip(sorted(options), found.tolist(), strict=True):
        words = [target.split() for _, target in options[item]]
        n_shared = next(
            (n for n, column in enumerate(zip(*words)) if len(set(column)) > 1),
            min(map(len, words)),
        )
        assert row == [len(of_option) - n_shared for of_option in words]


@given(st.integers(1, 3), st.integers(1, 5), st.integers(2, 5), st.integers(0, 99), TIES)
def test_settle_shares_an_item_out_or_loses_its_ties(n_draws, n_items, n_options, seed, ties):
    values = np.random.default_rng(seed).integers(0, 3, (n_draws, n_items, n_options)).astype(float)
    found = [settle(values, np.full(n_items, gold), ties) for gold in range(n_options)]
    shares, is_tied = zip(*found)
    total, tied = np.sum(shares, 0), np.sum(is_tied, 0)
    n_best = (values == values.max(-1, keepdims=True)).sum(-1)
    expected = np.where(n_best > 1, 0.0, 1.0) if ties == "loss" else np.ones_like(total)
    assert total == pytest.approx(expected)
    assert (tied == np.where(n_best > 1, n_best, 0)).all()
