import pytest

from lmcore.errors import InputError
from lmcore.params.schema import check
from lmcore.training.kept import Kept, KeptSteps, folder_of, kept_of

ENTRIES = {
    "last": {"model": "one", "words": 10_000_000},
    "first": {"model": "one", "words": 1_000_000},
    "early": {"model": "one", "step": 20},
    "other": {"model": "two", "step": 20},
}


def test_kept_of_names_a_folder_for_each_checkpoint_of_the_model():
    check(ENTRIES, KeptSteps, "params")
    assert kept_of("one", ENTRIES.values()) == {
        "step_000020": ENTRIES["early"],
        "words_0001000000": ENTRIES["first"],
        "words_0010000000": ENTRIES["last"],
    }
    assert folder_of(ENTRIES["other"]) == "step_000020"


@pytest.mark.parametrize("entry", [{"model": "one"}, {"model": "one", "step": 1, "words": 1}])
def test_kept_takes_a_step_or_words(entry):
    with pytest.raises(InputError, match=r"^params: exactly one of step and words"):
        check(entry, Kept, "params")


@pytest.mark.parametrize("key", ["step", "words"])
@pytest.mark.parametrize("value", [None, 0, "1M", 1.5])
def test_kept_takes_whole_numbers_alone(key, value):
    with pytest.raises(InputError, match=f"^params.{key}: expected a whole number"):
        check({"model": "one", key: value}, Kept, "params")
