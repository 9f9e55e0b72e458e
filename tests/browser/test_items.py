"""The explorer of items in a browser: pick, sort, filter, open, point; and data that do nothing.

It is skipped where there is no Chromium (see conftest.py).
"""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from markupsafe import Markup
from playwright.sync_api import Page, expect

from lmcore.items.embedded import embedded
from lmcore.report.figures import script
from lmcore.report.items import explorer
from lmcore.report.layout import whole_page
from lmcore.view.pages import Pages, suites_there
from lmcore.view.server import Server
from tests.lmcore.items.toy_sets import pairs_set
from tests.lmcore.nasty import NASTY
from tests.lmcore.view.toy_data import KINDS, MODELS, write_data

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
# nothing may be loaded, and nothing evaluated
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'"


@pytest.fixture
def page(browser):
    """A page that notes errors of scripts, and fails the test by them."""
    opened = browser.new_page()
    opened.set_default_timeout(10_000)
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    yield opened
    opened.close()
    assert errors == []


def write_page(folder: Path, n: int = 4, text: str = "") -> str:
    """A page with two sets, and its address."""
    first = pairs_set(n, f"one{text}", text)
    first = first._replace(sides=[s._replace(name=f"{s.name}{text}") for s in first.sides])
    section = explorer(embedded([first, pairs_set(2, "two")]), "suite", Markup(""))
    sections = {"items": ("Item by item", section)}
    html = whole_page("Items", "", sections, "end", scripts=[script()])
    policy = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    path = folder / "page.html"
    path.write_text(html.replace("<title>", f"{policy}<title>"), "utf-8")
    return path.as_uri()


def ids(page) -> list[str]:
    """The ids of the items in the table, in order."""
    page.wait_for_selector("#explorer thead")
    return page.locator("#explorer tbody th button").all_text_contents()


def test_items_that_differ_are_shown_and_all_on_demand(page, tmp_path: Path) -> None:
    page.goto(write_page(tmp_path))
    assert ids(page) == ["g1/1", "g1/3"]  # second is wrong in every second item
    assert "2 items" in page.locator("#explorer [role=status]").first.inner_text()
    page.get_by_label("only items on which").uncheck()
    assert sorted(ids(page)) == ["g0/0", "g0/2", "g1/1", "g1/3"]
    page.get_by_label("group").select_option("g0")
    assert sorted(ids(page)) == ["g0/0", "g0/2"]


def test_columns_sort_and_say_so(page, tmp_path: Path) -> None:
    page.goto(write_page(tmp_path))
    page.get_by_label("only items on which").uncheck()
    button = page.locator("#explorer thead button")
    button.nth(0).click()
    assert ids(page) == ["g0/0", "g0/2", "g1/1", "g1/3"]
    button.nth(0).click()
    assert ids(page) == ["g1/3", "g1/1", "g0/2", "g0/0"]
    button.nth(2).click()
    assert set(ids(page)[:2]) == {"g0/0", "g0/2"}
    assert page.locator("thead th[aria-sort=descending]").inner_text().startswith("B")


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag in the figure of values; places are parts of its width and height, from top left."""
    page.wait_for_selector("html[data-figures=drawn]")
    field = page.locator("#explorer-values .root > g > path.background").first
    field.scroll_into_view_if_needed()
    box = field.bounding_box()
    for number, (x, y) in enumerate((start, end)):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=5)
        page.mouse.down() if number == 0 else page.mouse.up()


def circles(page: Page) -> list[str]:
    """What a screen reader says of the circles."""
    page.wait_for_selector("html[data-figures=drawn]")
    drawn = page.locator("#explorer-values .mark-symbol path")
    expect(drawn).not_to_have_count(0)
    return [circle.get_attribute("aria-label") for circle in drawn.all()]


def test_a_rectangle_among_the_values_lists_its_items_alone(page, tmp_path: Path) -> None:
    page.goto(write_page(tmp_path))
    page.get_by_label("only items on which").uncheck()
    assert len(circles(page)) == 2  # B is wrong by the same on every second item
    status = page.locator("#explorer > [role=status]")
    drag(page, (0.02, 0.6), (0.98, 0.98))
    expect(status).to_contain_text("2 items in the rectangle")
    assert set(ids(page)) == {"g1/1", "g1/3"}
    page.mouse.dblclick(*centre(page))
    expect(status).to_have_text("4 items")
    assert len(ids(page)) == 4


def test_another_choice_takes_the_rectangle_away(page, tmp_path: Path) -> None:
    page.goto(write_page(tmp_path))
    page.get_by_label("only items on which").uncheck()
    drag(page, (0.02, 0.6), (0.98, 0.98))
    status = page.locator("#explorer > [role=status]")
    expect(status).to_contain_text("2 items in the rectangle")
    page.get_by_label("group").select_option("g0")
    expect(status).to_have_text("2 items")
    assert set(ids(page)) == {"g0/0", "g0/2"} and len(circles(page)) == 1
    brush = page.locator("#explorer-values .brush_brush path").first
    assert not brush.bounding_box() or brush.bounding_box()["width"] == 0


def test_a_late_answer_does_not_replace_a_newer_one(page, served: str) -> None:
    """The circles of the first suite come after those of the last."""
    held: list = []

    def hold(route) -> None:
        if "?set=0&" in route.request.url:
            held.append(route)
        else:
            route.continue_()

    page.route("**/circles*", hold)
    page.goto(served)
    page.wait_for_selector("html[data-figures=drawn]")
    page.get_by_label("only items on which").uncheck()
    page.get_by_label("suite").select_option("texts")
    expect(page.locator("#explorer-values .mark-symbol path")).to_have_count(3)
    for route in held:
        route.continue_()
    page.wait_for_timeout(300)
    assert held and len(circles(page)) == 3


def centre(page: Page) -> tuple[float, float]:
    """The middle of the field of values, in pixels."""
    box = page.locator("#explorer-values .root > g > path.background").first.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_an_open_item_has_texts_log_probs_and_tokens_of_both_sides(page, tmp_path: Path) -> None:
    page.goto(write_page(tmp_path))
    page.get_by_role("button", name="g1/1").click()
    page.wait_for_selector(".heat")
    assert page.locator(".option h4").all_text_contents() == [
        "option 1 · the right one · preferred by A",
        "option 2 · preferred by B",
    ]
    assert page.locator(".heat").all_text_contents() == ["he1 yes"] * 2 + ["he1 no"] * 2
    assert "B: log-prob −0.75 nats" in page.locator(".sides .key").nth(3).inner_text()
    page.locator(".heat").nth(3).locator("span").nth(1).hover()
    said = page.locator(".said").nth(3).inner_text()
    assert said == "“no” 0.4 bits, rank 3, entropy 1.0 nats; expected “<id 9999>” 100 %"


def test_an_item_opens_and_its_tokens_are_reached_by_keys_alone(page, tmp_path: Path) -> None:
    page.goto(write_page(tmp_path))
    page.get_by_role("button", name="g1/3").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".heat")
    assert page.evaluate("document.activeElement.textContent") == "g1/3"
    page.keyboard.press("Tab")
    for _ in range(2):
        page.keyboard.press("ArrowRight")
    assert page.locator(".said").first.inner_text().startswith("“yes” 1.4 bits, rank 1")


def test_another_suite_and_other_sides_are_picked(page, tmp_path: Path) -> None:
    page.goto(write_page(tmp_path))
    page.get_by_label("B", exact=True).select_option("first")
    assert ids(page) == []
    page.get_by_label("suite").select_option("two")
    assert ids(page) == ["g1/1"]


def test_many_items_come_page_by_page(page, tmp_path: Path) -> None:
    page.goto(write_page(tmp_path, n=50))
    assert len(ids(page)) == 20
    page.get_by_role("button", name="later").click()
    assert len(ids(page)) == 5
    assert "21 – 25 of 25" in page.locator(".pager").inner_text()


def test_without_javascript_there_is_a_table(browser, tmp_path: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(write_page(tmp_path))
    assert "he0 yes" in page.locator("#explorer-plain table").inner_text()
    context.close()


@pytest.mark.parametrize("name", ["elements", "bidirectional", "colour and title"])
def test_data_that_would_do_something_do_nothing(page, tmp_path: Path, name: str) -> None:
    page.goto(write_page(tmp_path, text=NASTY[name]))
    page.locator("#explorer tbody button").first.click()
    page.wait_for_selector(".heat")
    assert page.locator("xss").count() == 0
    assert page.title() == "Items"
    assert "\u202e" not in page.inner_text("body") and "\x1b" not in page.inner_text("body")


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[str]:
    """The address of `lmcore view` over two toy models."""
    data = write_data(tmp_path_factory.mktemp("served"), 50, NASTY["elements"])
    with Server(Pages(suites_there(data, MODELS, KINDS)), 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.url
        server.shutdown()
        thread.join()


def test_served_items_are_picked_paged_and_opened(page, served: str) -> None:
    page.goto(served)
    page.get_by_label("only items on which").uncheck()
    page.get_by_role("button", name="later").click()
    expect(page.locator(".pager")).to_contain_text("21 – 40 of 50")
    page.get_by_label("suite").select_option("texts")
    expect(page.locator("#explorer tbody tr")).to_have_count(3)
    assert len(circles(page)) == 3
    drag(page, (0.0, 0.0), (1.0, 1.0))
    expect(page.locator("#explorer > [role=status]")).to_contain_text("in the rectangle")
    assert 0 < page.locator("#explorer tbody tr").count() <= 3
    page.get_by_role("button", name="t/1").click()
    page.wait_for_selector(".heat")
    assert page.locator(".heat").first.inner_text().strip() == "a long text a long text"
    assert page.locator(".heat span").first.evaluate("span => span.style.length") == 1
    assert page.locator("xss").count() == 0
