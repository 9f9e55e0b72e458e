from pathlib import Path

import pytest

from lmcore.errors import InputError
from lmcore.suites.build import build_suite
from lmcore.suites.tasks import sst2
from tests.lmcore.suites.test_declare import arrow

RECORDS = [{"sentence": f"film {n} . ", "label": n % 2} for n in range(872)]


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    (tmp_path / "sst2").mkdir()
    arrow(tmp_path / "sst2" / "data.arrow", RECORDS)
    return tmp_path


def test_sst2_asks_for_the_class_of_a_sentence(sources: Path):
    question = "film 1 . \nQuestion: Is this sentence positive or negative?\nAnswer:"
    expected = {"context": question, "options": ["negative", "positive"], "gold": 1}
    assert sst2.build(sources / "sst2")[1] == expected


def test_sst2_shots_are_the_ones_that_the_seed_has_always_drawn(sources: Path):
    """The examples of the versions in which the task drew them itself."""
    items = build_suite("sst2", {"shots": 6, "seed": 0}, sources, sources)
    (prompt,) = {text.rpartition("\n\n")[0] for text in items["context"].to_pylist()}
    drawn = [int(shot.split()[1]) for shot in prompt.split("\n\n")]
    assert drawn == [864, 776, 394, 265, 431, 41]


def test_sst2_other_than_the_validation_split_fails_naming_both_sizes(tmp_path: Path):
    (tmp_path / "sst2").mkdir()
    arrow(tmp_path / "sst2" / "data.arrow", RECORDS[:100])
    with pytest.raises(InputError, match="found 100 items, expected 872 as published"):
        build_suite("sst2", {"shots": 2, "seed": 0}, tmp_path, tmp_path)


def test_sst2_classes_must_be_as_many_as_the_options(sources: Path):
    entry = {"shots": 2, "seed": 0, "classes": ["negative", "positive"]}
    assert build_suite("sst2", entry, sources, sources).num_rows == 2 * 870
    with pytest.raises(
        InputError, match="suite 'sst2': classes has 3 names, but an item has 2 options"
    ):
        build_suite("sst2", {**entry, "classes": ["a", "b", "c"]}, sources, sources)
