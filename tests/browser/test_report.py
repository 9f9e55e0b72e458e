"""The report in a real browser: it is drawn, it answers the reader, and names in it do nothing."""

import json
import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from lmcore.files import write_json
from lmcore.report import leaderboard
from lmcore.report.layout import whole_page
from lmcore.report.leaderboard import Line, Shown, Table
from lmcore.report.results import Results, all_metrics, results_table
from lmcore.report.seeds import seeds_section
from tests.lmcore.nasty import NASTY
from tests.lmcore.report import test_page

N_MORE = 12  # suites beside the three of the small run, so that not all columns fit
PAIRS = {"kind": "pairs", "path": "x.csv"}
ATTACKS = [
    "<script>window.pwned = 1</script>",
    "<img src=x onerror=window.pwned=2>",
    "\"'><svg onload=window.pwned=3>",
    "</style></script><script>window.pwned = 4</script>",
    "<a href=javascript:window.pwned=5>_</a>",
    "{{ 7 * 7 }}${window.pwned=6}",
    *NASTY.values(),
]
WIDTHS = (360, 768, 1280)


def add_suites(root: Path, names: list[str]) -> None:
    """Give the small run more suites, each a copy of minimal_pairs."""
    for name in names:
        items = root / "items"
        shutil.copy(items / "minimal_pairs.parquet", items / f"{name}.parquet")
        for model in test_page.MODELS:
            scores = root / "scores" / model
            shutil.copy(scores / "minimal_pairs.parquet", scores / f"{name}.parquet")
            tokens = root / "tokens" / model
            shutil.copytree(tokens / "minimal_pairs", tokens / name)
    paths = [root / "intervals.json", *(root / "metrics").glob("*.json")]
    for path in paths:
        values = json.loads(path.read_text())
        for of_suites in values.values() if path.name == "intervals.json" else [values]:
            of_suites |= dict.fromkeys(names, of_suites["minimal_pairs"])
        write_json(values, path)


@pytest.fixture(scope="session")
def report(tmp_path_factory) -> Path:
    """The report of two models on fifteen suites, whose groups have the names of attacks."""
    root = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        right = {}
        for model, groups in test_page.RIGHT.items():
            right[model] = dict(zip(ATTACKS, groups.values()))
        patch.setattr(test_page, "RIGHT", right)
        inputs = test_page.write_inputs(root)
    names = [f"knowledge_of_grammar_{n}" for n in range(N_MORE)]
    add_suites(root, names)
    inputs["suites"] = test_page.SUITES | dict.fromkeys(names, PAIRS)
    test_page.write_report_of(inputs)
    return root / "report" / "index.html"


@pytest.fixture(scope="session")
def attacked(tmp_path_factory) -> Path:
    """A page whose models and suites have the names of attacks."""
    values = {suite: {"accuracy": 0.5, "n_items": 4} for suite in ATTACKS}
    none = {suite: {} for suite in ATTACKS}
    kinds = dict.fromkeys(ATTACKS, "pairs")
    results = Results(
        ATTACKS,
        kinds,
        dict.fromkeys(ATTACKS, values),
        dict.fromkeys(ATTACKS, none),
        0.95,
        dict.fromkeys(ATTACKS, ATTACKS[0]),
    )
    spread = {"metric": "accuracy", "n_seeds": 3, "mean": 0.5, "sd": 0.1, "lowest": 0.4}
    spread |= {"highest": 0.6, "alike": 0.5}
    sections = {
        "results": (ATTACKS[0], results_table(results, {})),
        "seeds": (ATTACKS[1], seeds_section({ATTACKS[1]: {ATTACKS[2]: spread}}, ATTACKS)),
        "all": (ATTACKS[2], all_metrics(ATTACKS[3], results)),
    }
    path = tmp_path_factory.mktemp("attacked") / "index.html"
    path.write_text(whole_page(ATTACKS[0], ATTACKS[1], sections, ATTACKS[2]), "utf-8")
    return path


@pytest.fixture
def leaderboard_path(tmp_path: Path) -> Path:
    """A leaderboard of two tables: one model and a published one, which has no second score."""
    ours = Line("ours", False, [Shown("61.50", ["60.00 to 62.00"]), Shown("9.00", [])])
    theirs = Line("theirs", True, [Shown("71.66", []), None])
    tables = {
        "official": Table("By the official rule", "All.", [ours, theirs]),
        "ours": Table("Without a bonus for ties", "Ours alone.", [ours]),
    }
    page = leaderboard.Page("A leaderboard", "Scores.", ["BLiMP", "EWoK"], tables, [], {}, {})
    path = tmp_path / "index.html"
    path.write_text(leaderboard.leaderboard(page, "the end"), "utf-8")
    return path


def results_of(page: Page) -> Locator:
    """The table of results."""
    return page.get_by_role("group", name="Headline metric by model and suite")


def models_of(page: Page) -> list[str]:
    """The models whose rows are shown, from top to bottom."""
    return results_of(page).locator("tbody tr:visible th").all_inner_texts()


def head(page: Page, suite: str) -> Locator:
    return results_of(page).get_by_role("columnheader").filter(has_text=suite)


def colour(page: Page, element: str, name: str) -> str:
    """A colour of the first such element, as `rgb(…)`."""
    script = f"element => getComputedStyle(element).{name}"
    return page.locator(element).first.evaluate(script)


def open_everything(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")


def show_all_columns(page: Page) -> None:
    page.locator("summary").filter(has_text="Columns:").click()
    page.get_by_role("button", name="All columns").click()


def sideways(page: Page) -> int:
    """By how many pixels the page is wider than the window."""
    return page.evaluate("document.documentElement.scrollWidth - innerWidth")


def test_every_section_is_drawn(visit, report: Path) -> None:
    page = visit(report)
    links = page.get_by_role("navigation").get_by_role("link")
    assert links.count() >= 12
    for link in links.all():
        section = page.locator(link.get_attribute("href"))
        expect(section.get_by_role("heading").first).to_have_text(link.inner_text())
        assert section.bounding_box()["height"] > 60
        figures = section.locator("svg:visible")
        assert figures.evaluate_all("all => all.every(one => one.getBoundingClientRect().width)")
    link.click()
    expect(section).to_be_in_viewport()


@pytest.mark.parametrize("width", WIDTHS)
def test_page_never_scrolls_sideways(visit, report: Path, attacked: Path, width: int) -> None:
    for path in (report, attacked):
        page = visit(path, viewport={"width": width, "height": 740})
        assert sideways(page) == 0
        open_everything(page)
        page.get_by_role("button", name="All columns").click()
        assert sideways(page) == 0


@pytest.mark.parametrize(
    ("name", "width", "scheme"),
    [("desktop", 1280, "light"), ("dark", 1280, "dark"), ("phone", 360, "light")],
)
def test_page_is_photographed(
    visit, report: Path, screenshots: Path, name: str, width: int, scheme: str
) -> None:
    size = {"width": width, "height": 900}
    page = visit(report, viewport=size, color_scheme=scheme)
    page.screenshot(path=screenshots / f"report-{name}.png")
    assert (screenshots / f"report-{name}.png").stat().st_size > 10_000


def test_click_on_a_head_sorts_best_first_then_last_then_as_it_was(visit, report: Path) -> None:
    page = visit(report)
    show_all_columns(page)
    grammar = head(page, "knowledge_of_grammar_0")
    assert models_of(page) == ["llama", "noise"]
    orders = [("descending", 0), ("ascending", 1), (None, 0)]
    for order, first in orders:
        grammar.get_by_role("button").click()
        assert grammar.get_attribute("aria-sort") == order
        assert models_of(page)[0] == test_page.MODELS[first]
    head(page, "heldout").get_by_role("button").click()
    expect(head(page, "heldout")).to_have_attribute("aria-sort", "ascending")
    head(page, "model").get_by_role("button").click()
    expect(head(page, "heldout")).not_to_have_attribute("aria-sort", "ascending")
    expect(head(page, "model")).to_have_attribute("aria-sort", "ascending")


def test_sorting_puts_numbers_before_texts_and_dashes_last(visit, tmp_path: Path) -> None:
    texts = ["–", "1,000", "-2.5", "word", "1.5e+07", "3 of 4", "–", ".5", "12.5\N{THIN SPACE}% x"]
    rows = "".join(f"<tr><th scope=row>r</th><td>{text}</td></tr>" for text in texts)
    table = (
        "<table class=sortable><thead><tr><td></td><th scope=col>n</th></tr></thead>"
        f"<tbody>{rows}</tbody></table>"
    )
    path = tmp_path / "index.html"
    path.write_text(whole_page("t", "l", {}).replace("</main>", f"{table}</main>"), "utf-8")
    page = visit(path)
    expected = ["1.5e+07", "1,000", "12.5\N{THIN SPACE}% x", "3 of 4", ".5", "-2.5"]
    for numbers in (expected, expected[::-1]):
        page.get_by_role("button", name="n", exact=True).click()
        assert page.locator("tbody td").all_text_contents() == [*numbers, "word", "–", "–"]


def test_rows_are_filtered_by_the_name_of_the_model(visit, report: Path) -> None:
    page = visit(report)
    field = page.get_by_label("Rows whose name holds")
    field.fill(" NOI")
    assert models_of(page) == ["noise"]
    expect(page.get_by_text("1 of 2 rows")).to_be_visible()
    field.fill("nobody")
    assert models_of(page) == []
    field.fill("")
    assert models_of(page) == ["llama", "noise"]


def test_columns_are_those_that_fit_until_the_reader_chooses(visit, report: Path) -> None:
    page = visit(report)
    summary = page.locator("summary").filter(has_text="Columns:")
    box = results_of(page)
    n_shown = int(re.search(r"(\d+) of 15", summary.inner_text())[1])
    assert 4 < n_shown < 15
    assert box.evaluate("box => box.scrollWidth <= box.clientWidth")
    summary.click()
    page.get_by_role("button", name="All columns").click()
    expect(summary).to_have_text("Columns: 15 of 15")
    page.get_by_role("checkbox", name="minimal_pairs").uncheck()
    expect(summary).to_have_text("Columns: 14 of 15")
    expect(head(page, "minimal_pairs")).to_be_hidden()
    n_cells = box.locator("tbody tr").first.locator("td:visible").count()
    assert n_cells == 14
    page.reload()
    expect(summary).to_have_text("Columns: 14 of 15")
    summary.click()
    page.get_by_role("button", name="What fits").click()
    expect(summary).to_have_text(f"Columns: {n_shown} of 15")
    page.set_viewport_size({"width": 768, "height": 900})
    expect(summary).not_to_have_text(f"Columns: {n_shown} of 15")


def test_tables_of_the_leaderboard_are_sorted_and_narrowed_down_apart(
    visit, leaderboard_path: Path
) -> None:
    page = visit(leaderboard_path)
    official, ours = page.locator("[data-name]").all()
    official.get_by_role("button", name="BLiMP").click()
    assert re.findall(r"ours|theirs", official.locator("tbody").inner_text()) == ["theirs", "ours"]
    official.get_by_role("button", name="EWoK").click()
    assert re.findall(r"ours|theirs", official.locator("tbody").inner_text()) == ["ours", "theirs"]
    page.locator("summary").first.click()
    page.get_by_role("checkbox", name="EWoK").first.uncheck()
    expect(official.get_by_text("EWoK")).to_be_hidden()
    expect(ours.get_by_text("EWoK")).to_be_visible()


def test_phone_shows_value_and_interval_of_every_suite_in_a_box_that_scrolls(
    visit, report: Path
) -> None:
    page = visit(report, viewport={"width": 360, "height": 740})
    box, cell = results_of(page), results_of(page).locator("tbody td").last
    cell.scroll_into_view_if_needed()
    expect(cell).to_be_in_viewport(ratio=1)
    assert re.match(r"87\.5.%|37\.5.%", cell.inner_text())
    name = box.locator("tbody th").last
    expect(name).to_be_in_viewport(ratio=1)
    assert name.bounding_box()["width"] < 140


def test_everything_is_reached_by_the_keyboard(visit, report: Path) -> None:
    page = visit(report)
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the content")).to_be_focused()
    expect(page.get_by_text("Skip to the content")).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_label("Rows whose name holds")).to_be_focused()
    page.keyboard.type("llama")
    assert models_of(page) == ["llama"]
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="All columns")).to_be_visible()
    button = head(page, "lambada_flat").get_by_role("button")
    button.focus()
    page.keyboard.press("Enter")
    expect(head(page, "lambada_flat")).to_have_attribute("aria-sort", "descending")
    page.keyboard.press("Space")
    expect(head(page, "lambada_flat")).to_have_attribute("aria-sort", "ascending")
    assert button.evaluate("one => getComputedStyle(one).outlineStyle") == "solid"


def test_tables_are_tables_to_a_screen_reader(visit, report: Path) -> None:
    page = visit(report)
    open_everything(page)
    assert page.locator("thead th:not([scope=col])").count() == 0
    assert page.locator("tbody th:not([scope=row])").count() == 0
    table = results_of(page).get_by_role("table", name="Headline metric by model and suite")
    expect(table).to_have_count(1)
    expect(table.get_by_role("rowheader", name="llama")).to_have_count(1)
    for landmark in ("banner", "main", "navigation", "contentinfo"):
        expect(page.get_by_role(landmark)).to_have_count(1)
    unnamed = page.locator("button:visible, input:visible, summary:visible").evaluate_all(
        "all => all.filter(one => !(one.textContent.trim() || one.ariaLabel"
        " || one.labels?.length)).length"
    )
    assert unnamed == 0


def test_colours_follow_the_system_until_the_reader_chooses(visit, report: Path) -> None:
    page = visit(report, color_scheme="dark")
    dark, light = "rgb(20, 23, 27)", "rgb(252, 252, 250)"
    assert colour(page, "body", "backgroundColor") == dark
    button = page.get_by_role("button", name="Colours: as the system")
    button.click()
    assert colour(page, "body", "backgroundColor") == light
    page.reload()
    assert colour(page, "body", "backgroundColor") == light
    for name in ("light", "dark"):
        page.get_by_role("button", name=f"Colours: {name}").click()
    assert colour(page, "body", "backgroundColor") == dark
    page.emulate_media(media="print")
    assert colour(page, "body", "backgroundColor") == light


def test_paper_shows_whole_tables_and_what_is_folded_away(visit, report: Path) -> None:
    page = visit(report)
    page.emulate_media(media="print")
    expect(page.locator(".tools").first).to_be_hidden()
    assert results_of(page).evaluate("box => getComputedStyle(box).overflow") == "visible"
    assert page.locator("#all table").first.bounding_box()["height"] > 50


def test_page_is_whole_without_javascript(visit, report: Path) -> None:
    page = visit(report, java_script_enabled=False)
    assert page.locator("button, input").count() == 0
    shown = results_of(page).locator("thead th:visible").count()
    assert shown == 1 + 15
    assert models_of(page) == ["llama", "noise"]


def test_names_that_are_scripts_do_nothing(visit, report: Path, attacked: Path) -> None:
    for path in (report, attacked):
        page = visit(path)
        open_everything(page)
        page.get_by_role("button", name="All columns").click()
        for button in results_of(page).locator("th button").all()[:3]:
            button.click()
        page.get_by_label("Rows whose name holds").fill("<script>")
        page.get_by_role("checkbox").first.uncheck()
        page.reload()
        assert page.evaluate("window.pwned") is None
        assert page.locator("main script:not([type]), img, a[href^=javascript]").count() == 0
    assert page.locator("label", has_text=ATTACKS[1]).count() == 1


def test_policy_refuses_a_script_that_was_not_escaped(browser, report: Path, tmp_path) -> None:
    html = report.read_text("utf-8")
    raw = "<script>window.pwned = 1</script><img src=x onerror='window.pwned = 2'>"
    raw += "<img src='http://127.0.0.1:9/x.png' onload='window.pwned = 3'>"
    path = tmp_path / "index.html"
    path.write_text(html.replace("<main ", f"{raw}<main "), "utf-8")
    context = browser.new_context()
    page = context.new_page()
    lines, requests = [], []
    page.on("console", lambda line: lines.append(line.text))
    page.on("requestfinished", lambda request: requests.append(request.url))
    page.goto(path.as_uri())
    assert page.evaluate("window.pwned") is None
    assert requests == [path.as_uri()]
    assert any("Content Security Policy" in line for line in lines)
    context.close()
