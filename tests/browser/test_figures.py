"""Figures in a real browser: legends that pick models, tooltips, and figures saved as files."""

from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from lmcore.figures.specification import FAINT
from lmcore.report.figures import drawn, script
from lmcore.report.layout import whole_page
from tests.lmcore.figures.some_figures import some_figures

LINKED = ("over_bins", "by_group")  # both of the models `one` and `other`
FAMILIES = (*LINKED, "points")


@pytest.fixture
def page(visit, tmp_path: Path) -> Page:
    """A page of one figure of each family, drawn."""
    figures = some_figures()
    sections = {name: (name, drawn(figures[name])) for name in FAMILIES}
    path = tmp_path / "figures.html"
    path.write_text(whole_page("Figures", "", sections, scripts=[script()]), "utf-8")
    page = visit(path)
    page.wait_for_selector("html[data-figures=drawn]")
    return page


def faint(page: Page, family: str) -> Locator:
    """The marks of a figure that are faint."""
    return page.locator(f"#{family} [opacity='{FAINT}']")


def label(page: Page, family: str, name: str) -> Locator:
    """A name in the legend of a figure."""
    return page.locator(f"#{family} .role-legend-label text", has_text=name)


def test_a_click_in_one_legend_picks_a_model_in_all_figures_of_models(page: Page) -> None:
    for family in FAMILIES:
        expect(faint(page, family)).to_have_count(0)
    for first, second in (LINKED, LINKED[::-1]):
        label(page, first, "other").click()
        for family in LINKED:
            expect(faint(page, family)).not_to_have_count(0)
        expect(faint(page, "points")).to_have_count(0)  # its series are no models
        label(page, second, "other").click()
        for family in LINKED:
            expect(faint(page, family)).to_have_count(0)


@pytest.mark.parametrize("key", ["Enter", " "])
def test_a_legend_is_reached_and_picked_by_keys(page: Page, key: str) -> None:
    label(page, "over_bins", "one").focus()
    page.keyboard.press(key)
    for family in LINKED:
        expect(faint(page, family)).not_to_have_count(0)


def test_a_point_says_its_values(page: Page) -> None:
    page.locator("#points .mark-symbol.role-mark path").first.hover()
    tip = page.locator("#vg-tooltip-element.visible")
    expect(tip).to_contain_text("value")
    expect(tip).to_contain_text("one")


@pytest.mark.parametrize(("entry", "suffix"), [("Save as SVG", "svg"), ("Save as PNG", "png")])
def test_a_figure_is_saved_under_its_name(page: Page, entry: str, suffix: str) -> None:
    menu = page.locator("#points summary[aria-label='Save this figure']")
    menu.click()
    with page.expect_download() as started:
        page.locator("#points .vega-actions a", has_text=entry).click()
    assert started.value.suggested_filename == f"points.{suffix}"
