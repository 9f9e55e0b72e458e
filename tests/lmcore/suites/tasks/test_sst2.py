from collections import Counter
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


def shots_of(context: str) -> list[str]:
    return context.split("\n\n")[:-1]


def test_sst2_shots_are_balanced_and_set_apart_from_the_items(sources: Path):
    records = sst2.build(sources / "sst2", shots=6, seed=0)
    (prompt,) = {tuple(shots_of(record["context"])) for record in records}
    assert len(records) == 866
    assert Counter(shot.rsplit(" ", 1)[1] for shot in prompt) == {"negative": 3, "positive": 3}
    asked = {record["context"].split("\n\n")[-1] for record in records}
    assert len(asked) == 866 and not asked & {shot.rsplit(" ", 1)[0] for shot in prompt}


def test_sst2_seed_decides_the_shots(sources: Path):
    def shots(seed: int) -> list[str]:
        return shots_of(sst2.build(sources / "sst2", shots=4, seed=seed)[0]["context"])

    prompts = [shots(seed) for seed in (0, 0, 1)]
    assert prompts[0] == prompts[1] != prompts[2]
    last = {shots(seed)[-1].rsplit(" ", 1)[1] for seed in range(9)}
    assert last == {"negative", "positive"}  # neither class always stands next to the question


def test_sst2_without_shots_is_the_question_alone(sources: Path):
    records = sst2.build(sources / "sst2", shots=0, seed=0)
    assert len(records) == 872
    question = "film 1 . \nQuestion: Is this sentence positive or negative?\nAnswer:"
    assert records[1] == {"context": question, "options": ["negative", "positive"], "gold": 1}


@pytest.mark.parametrize("shots", [3, -2, 400])
def test_sst2_shots_that_cannot_be_balanced_fail(shots, sources: Path):
    with pytest.raises(
        InputError,
        match=f"shots must be an even number from 0 to 64, half of each class, not {shots}",
    ):
        sst2.build(sources / "sst2", shots=shots, seed=0)


def test_sst2_other_than_the_validation_split_fails_naming_both_sizes(tmp_path: Path):
    (tmp_path / "sst2").mkdir()
    arrow(tmp_path / "sst2" / "data.arrow", RECORDS[:100])
    with pytest.raises(
        InputError, match="found 100 items, expected the 872 of its validation split"
    ):
        build_suite("sst2", {"shots": 2, "seed": 0}, tmp_path, tmp_path)


def test_sst2_classes_must_be_as_many_as_the_options(sources: Path):
    entry = {"shots": 2, "seed": 0, "classes": ["negative", "positive"]}
    assert build_suite("sst2", entry, sources, sources).num_rows == 2 * 870
    with pytest.raises(
        InputError, match="suite 'sst2': classes has 3 names, but an item has 2 options"
    ):
        build_suite("sst2", {**entry, "classes": ["a", "b", "c"]}, sources, sources)
