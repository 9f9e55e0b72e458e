import pytest

from lmcore.babylm_year import RULES, entry_name, ladder, ladder_entries, revision_name
from lmcore.errors import InputError
from lmcore.params.schema import check
from lmcore.training.kept import KeptSteps


@pytest.mark.parametrize("year", [2025, 2026])
def test_ladder_is_that_of_the_official_collation(year):
    # STRICT_SMALL_FAST_REVISIONS and OTHER_FAST_REVISIONS of collate_preds.py
    small = [f"chck_{i}M" for i in range(1, 10)] + [f"chck_{i * 10}M" for i in range(1, 11)]
    other = [f"chck_{i}M" for i in range(1, 10)] + [f"chck_{i * 10}M" for i in range(1, 10)]
    other += [f"chck_{i * 100}M" for i in range(1, 11)]
    assert [revision_name(words) for words in ladder(year, "strict_small")] == small
    assert [revision_name(words) for words in ladder(year, "strict")] == other
    assert (len(small), len(other)) == (19, 28)


def test_names_of_a_checkpoint_in_the_tree_and_in_params():
    assert revision_name(1_000_000) == "chck_1M" and revision_name(10**9) == "chck_1000M"
    assert entry_name("babyllama", 90_000_000) == "babyllama_chck_90m"


def test_ladder_entries_are_entries_of_keep_checkpoint():
    entries = ladder_entries("mine", 2026, "strict_small")
    check(entries, KeptSteps, "keep_checkpoint")
    assert list(entries)[:2] == ["mine_chck_1m", "mine_chck_2m"]
    assert entries["mine_chck_100m"] == {"model": "mine", "words": 100_000_000}
    assert len(entries) == 19


@pytest.mark.parametrize("words", [0, 999_999, 1_500_000])
def test_revision_name_is_of_whole_millions(words):
    with pytest.raises(InputError, match=f"whole millions of words; .*, not {words:,}"):
        revision_name(words)


@pytest.mark.parametrize(
    ("year", "track", "message"),
    [
        (2024, "strict", "BabyLM 2024 are not known; those of 2025 and 2026 are"),
        (2026, "loose", "unknown track 'loose'; expected strict_small or strict"),
    ],
)
def test_ladder_of_an_unknown_year_or_track_is_refused(year, track, message):
    with pytest.raises(InputError, match=message):
        ladder(year, track)


def test_rules_of_both_years_allow_ten_epochs():
    assert {rules.epochs for rules in RULES.values()} == {10}
    assert RULES["babylm2026_strict_small"].words == 10_000_000
    assert RULES["babylm2025_strict"].words == 100_000_000
