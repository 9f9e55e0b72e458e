"""Records of kind graded become two options, and a ratio that is no share is refused."""

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
