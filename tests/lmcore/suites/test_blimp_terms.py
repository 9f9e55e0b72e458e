"""BLiMP by field and phenomenon: the packaged table is that of the data."""

import json

import pytest

from lmcore.suites.blimp_terms import PARADIGMS, parts_of


def test_every_paradigm_is_in_one_field_and_one_term():
    paradigms = [name for names in PARADIGMS.values() for name in names]
    assert len(paradigms) == len(set(paradigms)) == 67
    parts = parts_of("blimp_filtered")
    assert len(parts) == 4 + 13
    assert sum(map(len, parts.values())) == 2 * 67


def test_task_that_is_no_blimp_has_no_parts():
    assert parts_of("blimp_supplement") == parts_of("") == {}


@pytest.mark.parametrize("folder", ["blimp", "blimp_filtered", "babylm_eval/fast_eval/blimp_fast"])
def test_table_is_that_of_the_published_files(folder, data):
    found = {}
    for path in sorted((data / folder).glob("*.jsonl")):
        for line in path.read_text("utf-8").splitlines():
            row = json.loads(line)
            names = row["field"].replace("/", "_"), row["linguistics_term"].replace("-", "_")
            found.setdefault(names, set()).add(row["UID"])
    assert found == {names: set(paradigms) for names, paradigms in PARADIGMS.items()}
