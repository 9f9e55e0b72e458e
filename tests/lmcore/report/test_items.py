"""The section on items: its data can do nothing, and without JavaScript there is a table."""

import json
import re

import pytest
from markupsafe import Markup

from lmcore.items.embedded import embedded
from lmcore.report.items import explorer
from lmcore.report.layout import script_json
from lmcore.shown import UNSEEN
from tests.lmcore.items.toy_sets import pairs_set
from tests.lmcore.nasty import NASTY, Parsed

OURS = {"p", "code", "div", "table", "thead", "tbody", "tr", "th", "td", "br", "script", "json"}
OURS |= {"figure", "noscript"}
NAMED = {"class", "id", "scope", "tabindex", "type", "hidden", "aria-label", "data-figure"}
SCHEMA = "https://vega.github.io/schema/"  # a name; it is not fetched


def section(text: str = "") -> str:
    """The section of one set, with `text` wherever data can be."""
    of = pairs_set(text=text)
    sides = [side._replace(name=f"{side.name}{text}") for side in of.sides]
    return str(
        explorer(embedded([of._replace(label=f"s{text}", sides=sides)]), "suite", Markup(""))
    )


def data_of(html: str) -> dict:
    """The data for the script."""
    found = re.search(r'<script type="application/json" id="explorer-data">(.*?)</script>', html)
    assert found is not None
    return json.loads(found[1])


@pytest.mark.parametrize("text", list(NASTY.values()))
def test_data_become_no_element_and_no_invisible_character(text: str) -> None:
    html = section(text)
    parsed = Parsed(html)
    assert parsed.tags <= OURS and parsed.attributes <= NAMED
    assert html.count("<script") == html.count("</script") == 3
    assert not set(UNSEEN.findall(html)) - {"\n", "\t"}
    assert data_of(html)["sets"][0]["sides"][0]["name"].startswith("first")


def test_json_cannot_end_the_script_nor_begin_a_comment() -> None:
    text = script_json(["</script><!-- <script>"])
    assert "<" not in text and json.loads(text) == ["</script><!-- <script>"]


def test_the_script_sets_no_markup_and_evaluates_nothing() -> None:
    html = section()
    for word in (
        "innerHTML",
        "outerHTML",
        "insertAdjacent",
        "eval(",
        "Function(",
        "document.write",
    ):
        assert word not in html
    assert not re.search(r"https?:|//|\bsrc=", html.replace(SCHEMA, ""))


def test_a_table_without_javascript_has_texts_and_values_of_both_sides() -> None:
    html = section()
    assert "✓ he0 yes<br>he0 no" in html
    assert "first: 2.00, right: 1<br>second: 2.00, right: 1" in html


def test_a_page_without_items_has_no_section() -> None:
    assert explorer([], "suite", Markup("")) == ""
