"""Records of the kinds graded and reading become two options; numbers that are none are refused."""

import pytest

from lmcore.errors import InputError
from lmcore.suites.kinds import item_rows


@pytest.mark.parametrize("ratio", [1.2, -0.1, "half", True, float("nan")])
def test_graded_ratio_that_is_no_share_is_refused(ratio):
    record = {"first": "A.", "second": "B.", "ratio": ratio}
    options = {"suite": "s", "leading_space": True, "ending_alone": False, "source": "here"}
    with pytest.raises(InputError, match="column 'ratio' must be a number from 0 to 1, not"):
        item_rows("graded", [record], **options)


def test_graded_texts_are_two_options_of_which_the_first_is_marked():
    record = {"first": "A.", "second": "B.", "ratio": "0.25"}
    rows = item_rows(
        "graded", [record], suite="s", leading_space=True, ending_alone=False, source="here"
    )
    assert [(row["target"], row["gold"]) for row in rows] == [(" A.", True), (" B.", False)]


OPTIONS = {"suite": "s", "leading_space": True, "ending_alone": False, "source": "here"}


def test_reading_without_a_previous_word_has_the_word_twice():
    record = {"context": "The", "word": "man", "first_pass": "3.5"}
    rows = item_rows("reading", [record], **OPTIONS)
    assert [(row["context"], row["target"], row["gold"]) for row in rows] == [
        ("The", " man", True),
        ("The", " man", False),
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"go_past": "inf"}, "column 'go_past' must be a number or absent"),
        ({"previous_length": 3}, "has a previous_length, but no previous_word"),
        ({"context": " "}, "has an empty context"),
        ({"word": 3}, "column 'word'"),
    ],
)
def test_reading_that_cannot_be_scored_is_refused(changes, message):
    with pytest.raises(InputError, match=message):
        item_rows("reading", [{"context": "The", "word": "man", **changes}], **OPTIONS)
