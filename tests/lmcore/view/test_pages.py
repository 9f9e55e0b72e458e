"""What `lmcore view` answers is what the report carries, item by item."""

from collections import Counter
from pathlib import Path

import pytest

from lmcore.errors import InputError
from lmcore.items.embedded import embedded
from lmcore.report.items import files_set
from lmcore.view.pages import CELLS, Choice, Page, Pages, suites_there
from tests.lmcore.nasty import NASTY
from tests.lmcore.view.toy_data import KINDS, MODELS, write_data

ALL, FIRST = Choice(0, 0, 1), Page()


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
        answer = pages.page(ALL._replace(suite=number), FIRST)
        assert [row["id"] for row in answer["rows"]] == sorted(items)
        assert answer["total"] == len(items)
        for row in answer["rows"]:
            item = items[row["id"]]
            for name, side in zip("ab", item["sides"], strict=True):
                assert row[name] == {key: side[key] for key in ("right", "value", "rank")}
            assert pages.item(number, 0, 1, row["number"]) == item


def test_pages_are_cut_sorted_and_filtered(data: Path) -> None:
    pages = pages_of(data)
    rows = pages.page(ALL, FIRST)["rows"]
    some = pages.page(ALL, Page(offset=2, limit=3))
    assert (some["total"], some["rows"]) == (6, rows[2:5])
    for sort, sign in (("a", 1), ("a", -1)):
        values = [
            row["a"]["value"]
            for row in pages.page(ALL, Page(sort=sort, is_descending=sign < 0))["rows"]
        ]
        assert values == sorted(values, reverse=sign < 0)
    sizes = [
        abs(row["b"]["value"] - row["a"]["value"])
        for row in pages.page(ALL, Page(sort="size", is_descending=True))["rows"]
    ]
    assert sizes == sorted(sizes, reverse=True)
    differing = [row for row in rows if row["a"]["right"] != row["b"]["right"]]
    assert 0 < len(differing) < 6
    assert pages.page(ALL._replace(only_different=True), FIRST)["rows"] == differing
    of_group = pages.page(ALL._replace(group=1), FIRST)["rows"]
    assert of_group == [row for row in rows if row["group"] == "g1"] != []


def test_items_are_counted_by_their_values_as_the_page_counts_them(data: Path) -> None:
    pages = pages_of(data)
    rows = pages.page(ALL, FIRST)["rows"]
    pairs = Counter((row["a"]["value"], row["b"]["value"]) for row in rows)
    found = pages.circles(ALL)
    assert {(c["a"], c["b"]): c["n"] for c in found["circles"]} == pairs
    values = [value for pair in pairs for value in pair]
    assert (found["low"], found["high"]) == (min(values), max(values))
    of_group = pages.circles(ALL._replace(group=1))["circles"]
    assert sum(circle["n"] for circle in of_group) == 3


def test_near_values_share_a_circle_at_their_mean(tmp_path: Path) -> None:
    pages = pages_of(write_data(tmp_path, n=300))
    rows = pages.page(ALL, FIRST)["rows"]
    circles = pages.circles(ALL)["circles"]
    assert len(circles) <= CELLS**2 and sum(circle["n"] for circle in circles) == 300
    mean = sum(circle["a"] * circle["n"] for circle in circles) / 300
    every = [*rows, *pages.page(ALL, Page(offset=200))["rows"]]
    assert mean == pytest.approx(sum(row["a"]["value"] for row in every) / 300)


def test_a_rectangle_of_values_holds_its_items_alone(data: Path) -> None:
    pages = pages_of(data)
    rows = pages.page(ALL, FIRST)["rows"]
    low, *_, high = sorted({row["b"]["value"] for row in rows})
    wanted = [row for row in rows if row["b"]["value"] < high]
    assert 0 < len(wanted) < len(rows)
    some = ALL._replace(within=(-1e9, 1e9, low, high - 0.5))
    assert pages.page(some, FIRST)["rows"] == wanted


def test_a_model_may_stand_on_both_sides(data: Path) -> None:
    answer = pages_of(data).page(ALL._replace(b=0, only_different=True), FIRST)
    assert answer == {"total": 0, "rows": []}


def test_values_follow_files_that_change(data: Path) -> None:
    pages = pages_of(data)
    before = pages.page(ALL, FIRST)
    write_data(data.parent, n=8)
    after = pages.page(ALL, FIRST)
    assert (before["total"], after["total"]) == (6, 8)


def test_names_and_texts_are_shown_and_asked_by_number(tmp_path: Path) -> None:
    text = NASTY["bidirectional"] + "';--"
    pages = pages_of(write_data(tmp_path, text=text))
    shown = "user\\u202etxt.exe\\u2066x\\u2069';--"
    assert pages.sets()[0]["groups"] == [f"g0{shown}", f"g1{shown}"]
    rows = pages.page(ALL._replace(group=0), FIRST)["rows"]
    assert len(rows) == 3 and rows[0]["group"] == f"g0{shown}"
    item = pages.item(0, 0, 1, rows[0]["number"])
    assert "".join(item["options"][0]["cuts"][0]["pieces"]) == f"he0{shown} yes"


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (ALL._replace(suite=3), "no suite 3"),
        (ALL._replace(a=2), "no model 2"),
        (ALL._replace(b=-1), "no model -1"),
        (ALL._replace(group=2), "no group 2"),
    ],
)
def test_a_number_that_nothing_has_raises(data: Path, choice: Choice, message: str) -> None:
    with pytest.raises(InputError, match=message):
        pages_of(data).page(choice, FIRST)
    with pytest.raises(InputError, match="no item 6"):
        pages_of(data).item(0, 0, 1, 6)


def test_without_tables_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no suite with items, scores and tokens"):
        suites_there(tmp_path, MODELS, KINDS)


def test_a_model_without_tokens_is_left_out(data: Path) -> None:
    suites = suites_there(data, [*MODELS, "third"], KINDS)
    assert [model.name for model in suites[0].models] == MODELS
