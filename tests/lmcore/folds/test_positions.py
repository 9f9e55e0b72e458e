import csv
from pathlib import Path

import pytest

from lmcore.folds.by_text import text_stats
from lmcore.folds.fold import fold_scores
from lmcore.folds.positions import by_position, position_lines
from lmcore.tables import ITEMS, TOKENS, write
from tests.lmcore.folds.test_fold import OPTIONS, by_word, constant
from tests.lmcore.token_tables import fold, items_of, tokens_of, value_of

ITEM = items_of({"0": [("he", " a b c"), ("he", " a d")], "1": [("she", " d"), ("she", " a")]})
WORDS = {"a": -1.0, "b": -5.0, "c": -1.0, "d": -3.0}


def test_by_position_running_choice_by_hand():
    table = by_position(text_stats(ITEM, tokens_of(ITEM, by_word(**WORDS)), "tokens"), "half")
    # item 0: tied at first, then -6 against -4, then -7 against -4 still
    # item 1: -3 against -1 throughout
    assert table["accuracy"].tolist() == [0.25, 0.0, 0.0]
    assert table["logprob"].tolist() == [-2.0, -5.0, -1.0]
    assert table["n"].tolist() == [2, 1, 1]


def test_by_position_standard_error_is_that_of_the_mean_over_items():
    table = by_position(text_stats(ITEM, tokens_of(ITEM, by_word(**WORDS)), "tokens"), "half")
    # the accuracies of the two items: 1/2 and 0 at first, then 0 and 0
    assert table["accuracy_se"].tolist() == pytest.approx([0.25, 0, 0])
    one = items_of({"0": [("x", " a"), ("x", " d")]})
    alone = by_position(text_stats(one, tokens_of(one, by_word(**WORDS)), "tokens"), "half")
    assert alone["accuracy_se"].tolist() == [0]


def test_by_position_last_accuracy_is_that_of_the_whole_endings():
    tokens = tokens_of(ITEM, lambda draw, before, word: WORDS.get(word, -1.0) * (1 + draw), draws=2)
    scores = fold(ITEM, tokens, kind="choices", **OPTIONS)
    whole = [value_of(scores, "accuracy", item, draw) for item in "01" for draw in (0, 1)]
    assert by_position(text_stats(ITEM, tokens, "tokens"), "half")["accuracy"][-1] == sum(whole) / 4


@pytest.mark.parametrize(("ties", "accuracy"), [("half", 0.5), ("win", 1.0), ("loss", 0.0)])
def test_by_position_endings_that_begin_alike_follow_the_tie_policy(ties, accuracy):
    items = items_of({"0": [("x", " a b"), ("x", " a c")]})
    assert (
        by_position(text_stats(items, tokens_of(items, constant), "tokens"), ties)[
            "accuracy"
        ].tolist()
        == [accuracy] * 2
    )


def test_fold_scores_writes_positions_of_suites_of_kind_choices_alone(tmp_path: Path):
    for suite in ("mine", "other"):
        write(ITEM, ITEMS, tmp_path / "items" / f"{suite}.parquet")
        part = tmp_path / "tokens" / "one" / suite / "part-00000.parquet"
        write(tokens_of(ITEM, constant), TOKENS, part)
    model = tmp_path / "models" / "one"
    model.mkdir(parents=True)
    (model / "config.json").write_text('{"model_type": "lmcore_dummy", "vocab_size": 50}')
    (model / "tokenizer.json").write_text("{}")
    suites = {
        "mine": {"kind": "choices", "path": "x.csv"},
        "other": {"kind": "completion", "path": "y.csv"},
    }
    paths = [tmp_path / name for name in ("items", "tokens", "models", "scores", "out")]
    fold_scores(["one"], suites, *paths, top_k=10)
    written = [path.relative_to(paths[-1]).as_posix() for path in paths[-1].rglob("*.csv")]
    assert written == ["one/mine.csv"]
    with (paths[-1] / "one" / "mine.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["position"] for row in rows] == ["1", "2", "3"]
    assert set(rows[0]) == {"position", "accuracy", "accuracy_se", "logprob", "n"}
    by_hand = position_lines(text_stats(ITEM, tokens_of(ITEM, constant), "tokens"), "half")
    assert [float(row["accuracy"]) for row in rows] == [row["accuracy"] for row in by_hand]
