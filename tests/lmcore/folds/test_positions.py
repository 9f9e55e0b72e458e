import csv
from pathlib import Path

import pytest

from lmcore.errors import InputError
from lmcore.folds.by_text import text_stats
from lmcore.folds.fold import fold
from lmcore.folds.positions import by_position, fold_positions
from lmcore.tables import ITEMS, TOKENS, write
from tests.lmcore.folds.test_fold import OPTIONS, by_word, constant
from tests.lmcore.token_tables import items_of, tokens_of, value_of

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


def test_fold_positions_writes_the_suites_of_kind_choices_alone(tmp_path: Path):
    write(ITEM, ITEMS, tmp_path / "items" / "mine.parquet")
    write(
        tokens_of(ITEM, constant),
        TOKENS,
        tmp_path / "tokens" / "one" / "mine" / "part-00000.parquet",
    )
    suites = {
        "mine": {"kind": "choices", "path": "x.csv"},
        "other": {"kind": "text", "path": "y.csv"},
    }
    fold_positions(["one"], suites, tmp_path / "items", tmp_path / "tokens", tmp_path / "out")
    assert [
        path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.csv")
    ] == ["one/mine.csv"]
    with (tmp_path / "out" / "one" / "mine.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["position"] for row in rows] == ["1", "2", "3"] and set(rows[0]) == {
        "position",
        "accuracy",
        "accuracy_se",
        "logprob",
        "n",
    }
    write(
        tokens_of(ITEM, constant),
        TOKENS,
        tmp_path / "tokens" / "two" / "mine" / "part-00000.parquet",
    )
    with pytest.raises(InputError, match=r"two: params\.yaml does not name it"):
        fold_positions(["one"], suites, tmp_path / "items", tmp_path / "tokens", tmp_path / "out")
