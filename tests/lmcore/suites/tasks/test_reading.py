"""Reading times: rows of the CSV become items, and what is refused."""

from pathlib import Path

import pytest

from lmcore.errors import InputError
from lmcore.suites.build import build_suite
from lmcore.suites.readings import COLUMNS
from lmcore.tables import scoring_of

HEADER = (
    ",item,word,sent_id,context_length,Subtlex_log10,length,RTfirstfix,RTfirstpass,RTgopast,"
    "RTrightbound,self_paced_reading_time,prev_word,prev_item,prev_length"
)
ROWS = [
    "0,The old man,looked,7,3,9.5,6,101,102,103,104,105,man,The old,3",
    "1,Arthur,placed,8,1,,6,101,102,103,104,105,,,-1",
    "2,,of,9,1,14.1,2,101,102,103,104,105,,,-1",
    "3,None of,them,9,2,12.5,4,101,102,103,104,105,of,None,2",
    "4,None of them,of,9,3,14.1,2,101,102,103,104,105,them,None of,4",
    "5,The tea and,them.,9,3,12.5,4,101,102,103,104,105,and,The tea,3",
]


def build(folder: Path, rows: list[str], **entry):
    (folder / "reading_data.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    path = str(folder / "reading_data.csv")
    return build_suite("reading", {"path": path, "items": len(rows), **entry}, folder, folder)


def texts_of(items) -> list[tuple[str, str]]:
    return [(row["context"], row["target"]) for row in items.to_pylist()]


def test_official_words_stand_apart_from_their_contexts_and_sentences_are_clusters(tmp_path):
    items = build(tmp_path, ROWS, convention="babylm2025")
    assert texts_of(items)[:2] == [("The old man", "looked"), ("The old", "man")]
    scoring = scoring_of(items)
    assert (scoring["bos"], scoring["tokenisation"]) == ("tokenizer", "separate")
    assert items["item"][0].as_py() == "reading/0000"
    assert items["cluster"].to_pylist()[::2] == ["7", "8", "9", "9", "9", "9"]
    assert [row["gold"] for row in items.to_pylist()[:2]] == [True, False]


@pytest.mark.parametrize("entry", [{}, {"convention": "babylm2025", "tokenisation": "joint"}])
def test_joint_words_have_their_spaces(tmp_path, entry):
    items = build(tmp_path, ROWS, **entry)
    assert texts_of(items)[:2] == [("The old man", " looked"), ("The old", " man")]
    assert "tokenisation" not in scoring_of(items)


def test_word_none_is_a_context_but_no_previous_word_as_pandas_reads_it(tmp_path):
    items = build(tmp_path, ROWS, convention="babylm2025")
    texts, readings = texts_of(items), scoring_of(items)["readings"]
    assert texts[4:6] == [("None", "of"), ("None", "of")]
    assert texts[6:8] == [("None of", "them"), ("None of", "them")]
    assert texts[8:10] == [("None of them", "of"), ("None of", "them")]
    previous = [numbers[COLUMNS.index("previous_length")] for numbers in readings.values()]
    assert previous == [3, None, None, None, 4, 3]


def test_frequency_of_a_previous_word_is_that_of_its_form_elsewhere(tmp_path):
    readings = scoring_of(build(tmp_path, ROWS))["readings"]
    numbers = [dict(zip(COLUMNS, values, strict=True)) for values in readings.values()]
    assert numbers[4]["previous_frequency"] == 12.5  # of `them`, also in `them.`
    assert numbers[0]["previous_frequency"] is None
    assert numbers[1]["frequency"] is None
    assert numbers[0]["self_paced"] == 105


def test_number_that_is_none_is_refused_with_its_line(tmp_path):
    with pytest.raises(InputError, match=r"line 2: column 'RTgopast' must be a number or empty"):
        build(tmp_path, [ROWS[0].replace("103", "fast")])


def test_other_number_of_words_than_the_published_one_is_refused(tmp_path):
    with pytest.raises(InputError, match="found 2 items, expected 1,726 as published"):
        build(tmp_path, ROWS[:2], items=None)


def test_published_file_has_its_numbers(data):
    path = data / "babylm_eval" / "fast_eval" / "reading" / "reading_data.csv"
    items = build_suite("reading", {"path": str(path)}, path.parent, path.parent)
    assert items.num_rows == 2 * 1726
    assert len(set(items["cluster"].to_pylist())) == 205


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"tokenisation": "apart"}, 'tokenisation: expected joint or separate, not "apart"'),
        ({"convention": "babylm2025", "scoring": {"bow": True}}, "bow needs tokenisation: joint"),
        ({"task": "wug_adj", "tokenisation": "joint"}, "tokenisation needs kind reading, not grad"),
    ],
)
def test_entry_that_makes_no_sense_is_refused(tmp_path, entry, message):
    with pytest.raises(InputError, match=message):
        build_suite("mine", {"task": "reading", "path": "x.csv", **entry}, tmp_path, tmp_path)
