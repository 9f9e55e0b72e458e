import json

import pytest

from lmcore.errors import InputError
from lmcore.suites.build import build_suite
from lmcore.tables import scoring_of

WORDS = {
    "dog": [{"context": " I saw a ", "word_in_context_stats": {}}, {"context": "\ufeffA big"}],
    "all": [{"context": "We ate it"}],
}


@pytest.fixture
def words(tmp_path):
    (tmp_path / "cdi_childes.json").write_text(json.dumps(WORDS))
    return {"task": "aoa", "path": str(tmp_path), "items": 3}


def build(entry, tmp_path):
    return build_suite("aoa", entry, tmp_path, tmp_path)


def test_aoa_joins_context_and_word_by_a_space_and_numbers_the_contexts(words, tmp_path):
    table = build(words, tmp_path)
    rows = [tuple(row[key] for key in ("item", "group")) for row in table.to_pylist()]
    assert rows == [("aoa/all/0000", "all"), ("aoa/dog/0000", "dog"), ("aoa/dog/0001", "dog")]
    texts = [(row["context"], row["target"]) for row in table.to_pylist()]
    assert texts == [("We ate it", " all"), ("I saw a", " dog"), ("A big", " dog")]
    official = build({**words, "convention": "babylm2025"}, tmp_path)
    texts = [(row["context"], row["target"]) for row in official.to_pylist()]
    assert texts == [("We ate it ", "all"), ("I saw a ", "dog"), ("A big ", "dog")]
    assert scoring_of(official)["bos"] == "tokenizer"


def test_aoa_without_contexts_is_the_word_after_bos_alone(words, tmp_path):
    table = build({**words, "contexts": "none", "bos": "prefix", "leading_space": False}, tmp_path)
    assert table["context"].to_pylist() == ["", "", ""]
    assert table["target"].to_pylist() == ["all", "dog", "dog"]
    assert scoring_of(table)["bos"] == "prefix"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "must be a JSON object of lists of contexts by word, not"),
        ('{"dog": {"context": "a"}}', "'dog' must be a list of objects with a context"),
        ('{"dog": [{"text": "a"}]}', "'dog': context 0: a record has no 'context'"),
        ('{"dog": [{"context": 3}]}', "'dog': context 0: column 'context'"),
    ],
)
def test_aoa_of_another_form_is_refused_by_word_and_context(content, message, words, tmp_path):
    (tmp_path / "cdi_childes.json").write_text(content)
    with pytest.raises(InputError, match=f"cdi_childes.json.*{message}"):
        build(words, tmp_path)


def test_aoa_checks_the_published_numbers(words, tmp_path):
    del words["items"]
    with pytest.raises(InputError, match="found 3 items, expected 8,005 as published"):
        build(words, tmp_path)


def test_aoa_takes_the_published_file_whole(data, tmp_path):
    table = build({"path": str(data / "babylm_eval" / "aoa")}, tmp_path)
    assert len(table) == 8005 and len(set(table["group"].to_pylist())) == 485
