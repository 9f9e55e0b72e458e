"""`lmcore figure`: a figure of a page as a file, and all that can be wrong in one line."""

import json
from pathlib import Path

import pytest
from markupsafe import Markup
from typer.testing import CliRunner

from lmcore.commands.main import app
from lmcore.report.figures import drawn, figures_of
from lmcore.report.layout import whole_page
from tests.lmcore.figures.some_figures import some_figures
from tests.lmcore.nasty import NASTY, assert_lines_are_clean


@pytest.fixture
def page(tmp_path: Path, monkeypatch) -> Path:
    """The report of a project, with one figure of each family, whose model has a hostile name."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "report" / "index.html"
    path.parent.mkdir()
    figures = some_figures(NASTY["elements"]).values()
    body = Markup("").join(drawn(figure) for figure in figures)
    path.write_text(whole_page("A page", "", {"all": ("All", body)}), "utf-8")
    return path


def lmcore(*arguments: str):
    return CliRunner().invoke(app, ["figure", *arguments])


def test_figure_without_a_name_lists_all_with_what_they_show(page: Path) -> None:
    result = lmcore()
    assert result.exit_code == 0, result.output
    assert [line.split()[0] for line in result.output.splitlines()] == list(some_figures())
    assert_lines_are_clean(result.output)


def test_figure_is_written_whole_and_the_same_twice(page: Path) -> None:
    for name in ("one", "two"):
        result = lmcore("by_group", "--out", f"{name}.svg")
        assert result.exit_code == 0 and result.output == f"wrote {name}.svg\n"
    files = [Path(f"{name}.svg").read_bytes() for name in ("one", "two")]
    assert files[0] == files[1] and files[0].startswith(b"<svg ") and b"<xss" not in files[0]
    assert sorted(path.name for path in Path().iterdir()) == ["one.svg", "report", "two.svg"]


def test_figure_as_json_is_that_of_the_page_with_colours(page: Path) -> None:
    assert lmcore("lines", "--format", "json").exit_code == 0
    chart = json.loads(Path("lines.json").read_text())
    assert chart.pop("config")["range"]["category"][0] == "#0b66b8"
    assert chart == figures_of(page.read_text("utf-8"))["lines"] | {"width": 640}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["none"],
            "report/index.html: there is no figure 'none'; `lmcore figure` lists the 7 names",
        ),
        (["\x1b[31m"], "report/index.html: there is no figure '\\x1b[31m'"),
        (["lines", "--format", "gif"], "--format gif: there is no such format; there are svg, png"),
        (["--page", "no.html"], "no.html: there is no such page; run `dvc repro write_report`"),
        (["--page", "empty.html"], "empty.html: the page has no figures; expected a page that"),
        (["--page", "bad.html"], "bad.html: a figure is not JSON: "),
    ],
)
def test_what_is_wrong_is_said_in_one_line(page: Path, arguments: list, message: str) -> None:
    Path("empty.html").write_text("<p>A page")
    Path("bad.html").write_text('<script type="application/json" data-figure="x">{</script>')
    result = lmcore(*arguments)
    assert result.exit_code == 1 and len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith(f"error: {message}")
    assert_lines_are_clean(result.stderr)
    assert not list(Path().glob("*.svg"))
