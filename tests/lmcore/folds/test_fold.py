import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from lmcore.errors import InputError
from lmcore.folds.fold import fold_scores, refuse_orphans, window_of
from lmcore.folds.metrics import suite_metrics
from lmcore.folds.ties import settle
from lmcore.suites.build import build_suite
from lmcore.tables import (
    ITEM_KEY,
    ITEMS,
    SCORE_KEY,
    SCORES,
    TOKENS,
    check,
    items_table,
    scoring_of,
    write,
)
from tests.lmcore.token_tables import fold, items_of, tokens_of, value_of

PAIR = items_of({"g/0": [("", " the cat sleeps"), ("", " the cat sleep")]})
OPTIONS = {"ties": "half", "top_k": 10, "vocab_size": 50, "window": 100, "source": "tokens"}


def constant(draw: int, before: tuple[str, ...], word: str) -> float:
    return -2.0


def by_word(**logprobs: float):
    return lambda draw, before, word: logprobs.get(word, -1.0)


def test_fold_pair_likelier_good_sentence_counts_one():
    scores = fold(PAIR, tokens_of(PAIR, by_word(sleeps=-1.0, sleep=-3.0)), kind="pairs", **OPTIONS)
    assert value_of(scores, "accuracy") == 1 and value_of(scores, "tie") == 0
    assert value_of(scores, "logprob") == -1  # nats a token of the good sentence
    assert value_of(scores, "surprisal_per_byte") == pytest.approx(
        3 / math.log(2) / len(" the cat sleeps")
    )


@pytest.mark.parametrize(("ties", "value"), [("half", 0.5), ("win", 1.0), ("loss", 0.0)])
def test_fold_constant_logits_tie_by_policy(ties, value):
    scores = fold(PAIR, tokens_of(PAIR, constant), kind="pairs", **{**OPTIONS, "ties": ties})
    assert value_of(scores, "accuracy") == value and value_of(scores, "tie") == 1


def test_fold_constant_logits_shorter_sentence_wins():
    items = items_of({"g/0": [("", " who slept here"), ("", " who slept")]})
    assert (
        value_of(fold(items, tokens_of(items, constant), kind="pairs", **OPTIONS), "accuracy") == 0
    )


def test_fold_identical_sentences_are_a_tie_and_baseline_is_half():
    items = items_of({"g/0": [("", " same words"), ("", " same words")]})
    scores = fold(items, tokens_of(items, by_word(words=-0.3)), kind="pairs", **OPTIONS)
    assert [value_of(scores, name) for name in ("accuracy", "tie", "length_baseline")] == [
        0.5,
        1,
        0.5,
    ]


def test_fold_word_permutation_of_unigram_model_is_an_exact_tie():
    words = {"a": -0.1, "b": -2.7, "c": -13.9, "d": -7.77}
    items = items_of({"g/0": [("", " a b c d"), ("", " d c b a")]})
    assert (
        value_of(fold(items, tokens_of(items, by_word(**words)), kind="pairs", **OPTIONS), "tie")
        == 1
    )


def accuracy_of_items(scores: pa.Table) -> dict[str, float]:
    rows = scores.to_pylist()
    return {row["item"]: row["value"] for row in rows if row["metric"] == "accuracy"}


def test_fold_good_and_bad_swapped_gives_one_minus_accuracy():
    rng = np.random.default_rng(0)
    sentences = {
        f"g/{i}": [("", f" x{i % 7} w{rng.integers(5)}"), ("", f" y{i % 5} w{rng.integers(5)}")]
        for i in range(60)
    }
    logprob = by_word(**{f"w{i}": float(-i) for i in range(5)})
    items, swapped = (
        items_of(sentences),
        items_of({item: texts[::-1] for item, texts in sentences.items()}),
    )
    one, other = (fold(t, tokens_of(t, logprob), kind="pairs", **OPTIONS) for t in (items, swapped))
    values = [accuracy_of_items(scores) for scores in (one, other)]
    assert {0.0, 0.5, 1.0} == set(values[0].values())
    assert all(values[1][item] == 1 - value for item, value in values[0].items())


def test_fold_pair_shared_beginning_does_not_enter_length_baseline():
    pair = items_of(
        {"g/0": [("", " a long shared beginning one"), ("", " a long shared beginning other two")]}
    )
    short = items_of({"g/0": [("", " one"), ("", " other two")]})
    values = [
        value_of(
            fold(items, tokens_of(items, constant), kind="pairs", **OPTIONS), "length_baseline"
        )
        for items in (pair, short)
    ]
    assert values[0] == values[1] > 0.9


def test_fold_length_baseline_counts_no_tokens_of_the_contexts():
    """Options that differ only in their contexts, as Winogrande's, have as many tokens to score."""
    items = items_of({"0": [("a long name sat", " down here"), ("Tim sat", " down here")]})
    scores = fold(items, tokens_of(items, constant), kind="choices", **OPTIONS)
    assert value_of(scores, "length_baseline") == pytest.approx(0.5)


def test_fold_agreement_is_of_models_with_several_draws():
    def logprob(draw, before, word):
        return -3.0 if (word == "sleep") == (draw == 0) else -1.0

    tokens = tokens_of(PAIR, logprob, draws=3)  # the last two choose alike
    scores = fold(PAIR, tokens, kind="pairs", **OPTIONS)
    for draw in range(3):
        assert value_of(scores, "agreement", draw=draw) == pytest.approx(1 / 3)
    assert value_of(scores, "expected_agreement") == pytest.approx(0.5)
    alone = fold(PAIR, tokens_of(PAIR, logprob), kind="pairs", **OPTIONS)
    assert not {"agreement", "expected_agreement"} & set(alone["metric"].to_pylist())


def test_fold_only_target_tokens_count():
    items = items_of({"0": [("some context", " right"), ("some context", " wrong")]})
    scores = fold(
        items,
        tokens_of(items, by_word(some=-50.0, right=-1.0, wrong=-2.0)),
        kind="choices",
        **OPTIONS,
    )
    assert value_of(scores, "logprob") == -1 and value_of(scores, "accuracy") == 1


def test_fold_choice_length_flip_between_sum_and_per_char():
    items = items_of({"0": [("he", " a bb ccc dddd"), ("he", " ee")]})
    scores = fold(items, tokens_of(items, by_word(ee=-3.0)), kind="choices", **OPTIONS)
    got = {
        name: value_of(scores, name)
        for name in ("accuracy", "accuracy_per_char", "accuracy_per_byte", "accuracy_per_token")
    }
    assert got == {
        "accuracy": 0,
        "accuracy_per_char": 1,
        "accuracy_per_byte": 1,
        "accuracy_per_token": 1,
    }


def test_fold_choice_median_and_worst_token_decide_differently():
    words = {"a": -1.0, "b": -1.0, "c": -9.0, "d": -2.0, "e": -2.0, "f": -3.0}
    items = items_of({"0": [("x", " a b c"), ("x", " d e f")]})
    scores = fold(items, tokens_of(items, by_word(**words)), kind="choices", **OPTIONS)
    got = [
        value_of(scores, name)
        for name in ("accuracy_median_token", "accuracy_worst_token", "accuracy")
    ]
    assert got == [1, 0, 0]
    assert value_of(scores, "normalised_probability") == pytest.approx(
        math.exp(-11) / (math.exp(-11) + math.exp(-7))
    )


def test_fold_choice_non_ascii_ending_differs_per_char_and_per_byte():
    # 4 characters of 8 bytes against 6 of 6
    items = items_of({"0": [("x", " éééé"), ("x", " abcdef")]})
    scores = fold(
        items, tokens_of(items, by_word(éééé=-4.5, abcdef=-4.0)), kind="choices", **OPTIONS
    )
    assert value_of(scores, "accuracy_per_char") == 0 and value_of(scores, "accuracy_per_byte") == 1


def test_fold_four_equal_options_count_a_quarter():
    items = items_of({"0": [("x", f" w{i}") for i in range(4)]}, gold=2)
    scores = fold(items, tokens_of(items, constant), kind="choices", **OPTIONS)
    assert value_of(scores, "accuracy") == 0.25 and value_of(
        scores, "length_baseline"
    ) == pytest.approx(0.25, abs=1e-6)


def test_settle_win_takes_the_first_of_the_tied_options():
    values = np.array([[[1.0, 2.0, 2.0]]])
    assert [settle(values, np.array([gold]), "win")[0].item() for gold in (0, 1, 2)] == [0, 1, 0]


def test_fold_pmi_subtracts_the_ending_alone():
    rows = []
    for option, ending in enumerate((" rare", " common")):
        row = {"item": "0", "option": option, "group": "all", "target": ending, "gold": option == 0}
        rows += [
            {**row, "variant": "", "context": "x"},
            {**row, "variant": "ending_alone", "context": ""},
        ]
    items = items_table(rows, {"bos": "prefix"})

    def logprob(draw, before, word):
        return {
            ("rare", True): -5.0,
            ("rare", False): -9.0,
            ("common", True): -2.0,
            ("common", False): -2.0,
            ("x", False): -1.0,
        }[word, bool(before)]

    scores = fold(items, tokens_of(items, logprob), kind="choices", **OPTIONS)
    assert value_of(scores, "accuracy") == 0 and value_of(scores, "accuracy_pmi") == 1


def test_fold_completion_word_of_two_tokens_needs_both_at_rank_one():
    items = items_of({"0": [("so he", " cob bler")], "1": [("so he", " cob web")]})
    ranks = {"web": 3}
    tokens = tokens_of(
        items, by_word(cob=-0.5, bler=-0.25, web=-4.0), rank=lambda word: ranks.get(word, 1)
    )
    scores = fold(items, tokens, kind="completion", **OPTIONS)
    assert [value_of(scores, "accuracy", item) for item in "01"] == [1, 0]
    assert value_of(scores, "target_logprob", "0") == -0.75 and value_of(
        scores, "target_probability", "0"
    ) == math.exp(-0.75)
    assert suite_metrics(scores, 0.95)[0]["perplexity"] == pytest.approx(math.exp((0.75 + 4.5) / 2))


def test_fold_completion_first_token_gives_rank_and_success():
    items = items_of({"0": [("", " eleventh first")], "1": [("so", " tenth first")]})
    tokens = tokens_of(
        items, constant, rank=lambda word: {"eleventh": 11, "tenth": 10}.get(word, 1)
    )
    scores = fold(items, tokens, kind="completion", **OPTIONS)
    assert [value_of(scores, "success_at_10", item) for item in "01"] == [0, 1]
    assert [value_of(scores, "rank", item) for item in "01"] == [11, 10]
    assert value_of(scores, "reciprocal_rank", "1") == 0.1


@pytest.mark.parametrize(("ties", "value"), [("half", 0.5), ("win", 0.0), ("loss", 0.0)])
def test_fold_completion_constant_logits_are_no_greedy_success(ties, value):
    items = items_of({"0": [("x", " word")]})
    # rank 1 since no logit is larger, but another token comes first
    tokens = tokens_of(items, constant, top=lambda word: False)
    scores = fold(items, tokens, kind="completion", **{**OPTIONS, "ties": ties})
    assert value_of(scores, "accuracy") == value and value_of(scores, "tie") == 1


def test_fold_text_counts_words_and_bytes_of_the_original():
    items = items_of(
        {"0": [("", "one two")], "1": [("", "é")]},
        scoring={"bos": "prefix", "lengths": {"0": [5, 20]}},
    )
    scores = fold(items, tokens_of(items, constant), kind="text", **OPTIONS)
    weights = {(row["item"], row["metric"]): row["weight"] for row in scores.to_pylist()}
    assert [
        weights[item, name]
        for item in "01"
        for name in ("surprisal_per_word", "surprisal_per_byte", "logprob")
    ] == [5, 20, 2, 1, 2, 1]
    metrics = suite_metrics(scores, 0.95)[0]
    assert metrics["perplexity"] == pytest.approx(math.exp(2))
    assert metrics["bits_per_byte"] == pytest.approx(6 / math.log(2) / 22)
    assert metrics["byte_perplexity"] == pytest.approx(math.exp(6 / 22))
    assert metrics["word_perplexity"] == pytest.approx(math.exp(6 / 6))


def test_fold_text_longer_than_the_window_is_counted_with_its_prefix():
    items = items_of({"0": [("", "one two three")], "1": [("", "one two three four")]})
    for skip_first, window, expected in (
        (False, 3, [0, 1]),
        (False, 4, [0, 0]),
        (True, 2, [0, 1]),
        (False, 2, [1, 1]),
    ):
        scores = fold(
            items,
            tokens_of(items, constant, skip_first=skip_first),
            kind="text",
            **{**OPTIONS, "window": window},
        )
        assert [value_of(scores, "windowed", item) for item in "01"] == expected
        assert suite_metrics(scores, 0.95)[0]["n_windowed"] == sum(expected)


def test_fold_choice_counts_as_windowed_where_any_of_its_texts_is():
    items = items_of({"0": [("x y", " a b"), ("x y", " a")], "1": [("x", " a"), ("x", " b")]})
    scores = fold(items, tokens_of(items, constant), kind="choices", **{**OPTIONS, "window": 3})
    assert [value_of(scores, "windowed", item) for item in "01"] == [1, 0]


def test_window_of_is_the_models_or_the_suites_and_one_less_for_word_masses():
    rows = PAIR.drop_columns(["content_hash"]).to_pylist()
    for scoring, window in (
        ({}, 256),
        ({"window": 64}, 64),
        ({"bow": True}, 255),
        ({"window": 64, "bow": True}, 63),
    ):
        assert window_of(items_table(rows, scoring), {"max_position_embeddings": 256}) == window


def test_fold_unscored_first_token_does_not_count_its_bytes():
    items = items_of({"0": [("", "four six66")]})
    scores = fold(items, tokens_of(items, constant, skip_first=True), kind="text", **OPTIONS)
    assert {
        row["weight"] for row in scores.to_pylist() if row["metric"] == "surprisal_per_byte"
    } == {len(" six66")}


def test_fold_draws_give_one_score_each():
    tokens = tokens_of(
        PAIR, lambda draw, before, word: -3.0 if (word == "sleep") == (draw == 0) else -1.0, draws=2
    )
    scores = fold(PAIR, tokens, kind="pairs", **OPTIONS)
    assert [value_of(scores, "accuracy", draw=draw) for draw in (0, 1)] == [1, 0]
    metrics = suite_metrics(scores, 0.95)[0]
    assert metrics["accuracy"] == 0.5 and "bits_per_byte" in metrics
    assert "byte_perplexity" not in metrics, "it is for running text alone"


def test_fold_result_does_not_depend_on_the_order_of_rows():
    items = items_of({f"g/{i}": [("c", f" a{i} b"), ("c", f" b a{i} d")] for i in range(12)})
    tokens = tokens_of(
        items, lambda draw, before, word: -len(word) - draw - len(before) / 8, draws=2
    )
    order = np.random.default_rng(1).permutation(tokens.num_rows)
    one, other = (
        fold(items, table, kind="choices", **OPTIONS)
        for table in (tokens, tokens.take(pa.array(order)))
    )
    assert one.equals(other)
    check(one, SCORES)
    keys = list(zip(*(one[name].to_pylist() for name in SCORE_KEY)))
    assert keys == sorted(set(keys))


def without(tokens: pa.Table, row: int) -> pa.Table:
    return pa.concat_tables([tokens.slice(0, row), tokens.slice(row + 1)])


def test_fold_tokens_that_do_not_cover_the_items_fail():
    tokens = tokens_of(PAIR, constant)
    more = items_of(
        {
            "g/0": [("", " the cat sleeps"), ("", " the cat sleep")],
            "g/1": [("", " a b"), ("", " a c")],
        }
    )
    two_draws = tokens_of(PAIR, constant, draws=2)
    cases = [
        ("item 'g/1' option 0 has no tokens", more, tokens),
        ("which the items table does not have", PAIR, tokens_of(more, constant)),
        ("option 1 has no tokens", PAIR, tokens.slice(0, 3)),
        ("option 1 has no tokens in draw 1", PAIR, two_draws.slice(0, 9)),
        ("has tokens missing or twice", PAIR, without(tokens, 1)),
        ("has tokens missing or twice", PAIR, pa.concat_tables([tokens, tokens.slice(2, 1)])),
    ]
    for message, items, table in cases:
        with pytest.raises(InputError, match=message):
            fold(items, table, kind="pairs", **OPTIONS)


@pytest.mark.parametrize("value", [math.nan, -math.inf])
def test_fold_log_prob_that_is_not_finite_fails_naming_the_item(value):
    with pytest.raises(InputError, match="item 'g/0' option 0 has logprob"):
        fold(PAIR, tokens_of(PAIR, by_word(sleeps=value)), kind="pairs", **OPTIONS)


def test_fold_item_without_gold_option_fails():
    columns = PAIR.select([*ITEM_KEY, "group", "context", "target"])
    items = items_table([{**row, "gold": False} for row in columns.to_pylist()], {})
    with pytest.raises(InputError, match="0 gold options"):
        fold(items, tokens_of(items, constant), kind="pairs", **OPTIONS)


def test_fold_scores_writes_every_model_and_suite_and_refuses_orphans(tmp_path: Path):
    write(PAIR, ITEMS, tmp_path / "items" / "mine.parquet")
    for model in ("one", "two"):
        write(
            tokens_of(PAIR, constant),
            TOKENS,
            tmp_path / "tokens" / model / "mine" / "part-00000.parquet",
        )
        (tmp_path / "models" / model).mkdir(parents=True)
        (tmp_path / "models" / model / "config.json").write_text(
            '{"model_type": "lmcore_dummy", "vocab_size": 50}'
        )
        (tmp_path / "models" / model / "tokenizer.json").write_text("{}")
    paths = [tmp_path / name for name in ("items", "tokens", "models", "scores", "positions")]
    suites = {"mine": {"kind": "pairs", "path": "mine.csv"}}
    fold_scores(["one", "two"], suites, *paths, top_k=10)
    assert sorted(p.relative_to(paths[3]).as_posix() for p in paths[3].rglob("*.parquet")) == [
        "one/mine.parquet",
        "two/mine.parquet",
    ]
    before = (paths[3] / "one/mine.parquet").read_bytes()
    with pytest.raises(InputError, match=r"tokens/two.*dvc checkout"):
        fold_scores(["one"], suites, *paths, top_k=10)
    write(PAIR, ITEMS, tmp_path / "items" / "other.parquet")
    with pytest.raises(InputError, match="tokens/one/other: no such table"):
        fold_scores(["one", "two"], {**suites, "other": {"kind": "pairs"}}, *paths, top_k=10)
    assert (paths[3] / "one/mine.parquet").read_bytes() == before


def test_fold_scores_of_a_part_of_the_models_refuses_the_tokens_of_others(tmp_path: Path):
    suites = {"all": {"kind": "pairs"}, "some": {"kind": "pairs", "models": ["one"]}}
    for suite in suites:
        write(PAIR, ITEMS, tmp_path / "items" / f"{suite}.parquet")
    for model in ("one", "two"):
        (tmp_path / "models" / model).mkdir(parents=True)
        config = '{"model_type": "lmcore_dummy", "vocab_size": 50}'
        (tmp_path / "models" / model / "config.json").write_text(config)
        (tmp_path / "models" / model / "tokenizer.json").write_text("{}")
    for place in ("one/all", "one/some", "two/all"):
        table = tmp_path / "tokens" / place / "part-00000.parquet"
        write(tokens_of(PAIR, constant), TOKENS, table)
    paths = [tmp_path / name for name in ("items", "tokens", "models", "scores", "positions")]
    fold_scores(["one", "two"], suites, *paths, top_k=10)
    written = sorted(path.relative_to(paths[3]).as_posix() for path in paths[3].rglob("*.parquet"))
    assert written == ["one/all.parquet", "one/some.parquet", "two/all.parquet"]
    table = tmp_path / "tokens" / "two" / "some" / "part-00000.parquet"
    write(tokens_of(PAIR, constant), TOKENS, table)
    with pytest.raises(InputError, match=r"tokens/two/some: params\.yaml does not name it"):
        fold_scores(["one", "two"], suites, *paths, top_k=10)
    with pytest.raises(InputError, match="suites: model 'three' is scored on none of them"):
        fold_scores(["one", "three"], {"some": suites["some"]}, *paths, top_k=10)


def test_refuse_orphans_names_the_suite_left_behind(tmp_path: Path):
    (tmp_path / "one" / "old").mkdir(parents=True)
    refuse_orphans(tmp_path, ["one"], {"new": {}})  # an empty folder, as `dvc checkout` leaves it
    (tmp_path / "one" / "old" / "part-00000.parquet").touch()
    with pytest.raises(InputError, match="one/old"):
        refuse_orphans(tmp_path, ["one"], {"new": {}})


def test_fold_fewest_words_win_on_filtered_blimp_gives_the_published_length_baseline(
    data: Path, tmp_path: Path
):
    (tmp_path / "blimp_filtered").symlink_to(data / "blimp_filtered")
    items = build_suite("blimp_filtered", {}, tmp_path, tmp_path)
    scores = fold(items, tokens_of(items, constant), kind="pairs", **OPTIONS)
    metrics = suite_metrics(scores, 0.95)[0]
    # DESIGN.md section 6: counted in words
    assert metrics["accuracy"] == pytest.approx(0.5105, abs=5e-5)
    assert metrics["n_items"] == 59_875 and metrics["n_ties"] > 40_000


def test_fold_takes_the_clusters_of_the_items_to_the_scores():
    options = {f"g/{number}": [("", " the cat sleeps"), ("", " the cat sleep")] for number in "01"}
    plain = items_of(options)
    rows = [{**row, "cluster": "cat"} for row in plain.drop(["content_hash"]).to_pylist()]
    items = items_table(rows, scoring_of(plain))
    scores = fold(items, tokens_of(items, constant), kind="pairs", **OPTIONS)
    assert set(scores["cluster"].to_pylist()) == {"cat"}
    without = fold(plain, tokens_of(plain, constant), kind="pairs", **OPTIONS)
    assert without.schema == SCORES and scores.drop(["cluster"]).equals(without)
