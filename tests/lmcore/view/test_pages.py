"""What `lmcore view` answers is what the report carries, item by item."""

from pathlib import Path

import pytest

from lmcore.errors import InputError
from lmcore.items.embedded import embedded
from lmcore.report.items import files_set
from lmcore.view.pages import Pages, Query, suites_there
from tests.lmcore.nasty import NASTY
from tests.lmcore.view.toy_data import KINDS, MODELS, write_data

ALL = Query(0, 0, 1, -1, False, "item", False, 0, 100)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_data(tmp_path)


def pages_of(data: Path) -> Pages:
    return Pages(suites_there(data, MODELS, KINDS))


def carried(data: Path) -> list[dict]:
    """The sets as the report carries them."""
    folders = (data / "items", data / "scores", data / "tokens", data / "models")
    return embedded([files_set(suite, kind, MODELS, *folders) for suite, kind in KINDS.items()])


def test_sets_and_items_are_those_of_the_report(data: Path) -> None:
    pages = pages_of(data)
    for number, of_report in enumerate(carried(data)):
        items = {item["id"]: item for item in of_report.pop("items")}
        assert pages.sets()[number] == of_report
        answer = pages.page(ALL._replace(suite=number))
        assert [row["id"] for row in answer["rows"]] == sorted(items)
        assert answer["total"] == len(items)
        for row in answer["rows"]:
            item = items[row["id"]]
            for name, side in zip("ab", item["sides"], strict=True):
                assert row[name] == {key: side[key] for key in ("right", "value", "rank")}
            assert pages.item(number, 0, 1, row["number"]) == item


def test_pages_are_cut_sorted_and_filtered(data: Path) -> None:
    pages = pages_of(data)
    rows = pages.page(ALL)["rows"]
    some = pages.page(ALL._replace(offset=2, limit=3))
    assert (some["total"], some["rows"]) == (6, rows[2:5])
    for sort, sign in (("a", 1), ("a", -1)):
        values = [
            row["a"]["value"]
            for row in pages.page(ALL._replace(sort=sort, is_descending=sign < 0))["rows"]
        ]
        assert values == sorted(values, reverse=sign < 0)
    sizes = [
        abs(row["b"]["value"] - row["a"]["value"])
        for row in pages.page(ALL._replace(sort="size", is_descending=True))["rows"]
    ]
    assert sizes == sorted(sizes, reverse=True)
    differing = [row for row in rows if row["a"]["right"] != row["b"]["right"]]
    assert 0 < len(differing) < 6
    assert pages.page(ALL._replace(only_different=True))["rows"] == differing
    of_group = pages.page(ALL._replace(group=1))["rows"]
    assert of_group == [row for row in rows if row["group"] == "g1"] != []


def test_a_model_may_stand_on_both_sides(data: Path) -> None:
    answer = pages_of(data).page(ALL._replace(b=0, only_different=True))
    assert answer == {"total": 0, "rows": []}


def test_values_follow_files_that_change(data: Path) -> None:
    pages = pages_of(data)
    before = pages.page(ALL)
    write_data(data.parent, n=8)
    after = pages.page(ALL)
    assert (before["total"], after["total"]) == (6, 8)


def test_names_and_texts_are_shown_and_asked_by_number(tmp_path: Path) -> None:
    text = NASTY["bidirectional"] + "';--"
    pages = pages_of(write_data(tmp_path, text=text))
    shown = "user\\u202etxt.exe\\u2066x\\u2069';--"
    assert pages.sets()[0]["groups"] == [f"g0{shown}", f"g1{shown}"]
    rows = pages.page(ALL._replace(group=0))["rows"]
    assert len(rows) == 3 and rows[0]["group"] == f"g0{shown}"
    item = pages.item(0, 0, 1, rows[0]["number"])
    assert "".join(item["options"][0]["cuts"][0]["pieces"]) == f"he0{shown} yes"


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (ALL._replace(suite=3), "no suite 3"),
        (ALL._replace(a=2), "no model 2"),
        (ALL._replace(b=-1), "no model -1"),
        (ALL._replace(group=2), "no group 2"),
    ],
)
def test_a_number_that_nothing_has_raises(data: Path, query: Query, message: str) -> None:
    with pytest.raises(InputError, match=message):
        pages_of(data).page(query)
    with pytest.raises(InputError, match="no item 6"):
        pages_of(data).item(0, 0, 1, 6)


def test_without_tables_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no suite with items, scores and tokens"):
        suites_there(tmp_path, MODELS, KINDS)


def test_a_model_without_tokens_is_left_out(data: Path) -> None:
    suites = suites_there(data, [*MODELS, "third"], KINDS)
    assert [model.name for model in suites[0].models] == MODELS
