"""The report's figures in HTML: those of lmcore.figures go in, elements for the page come out.

The specification stands in the page as JSON, under the figure's name, and figures.js draws it in
the page's colours. Beside it stands what the figure shows in words, and its numbers as a table, for
readers without JavaScript and for those who cannot see it.
"""

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from markupsafe import Markup

from lmcore.figures.files import bundle
from lmcore.figures.specification import Figure
from lmcore.figures.theme import Palette, config
from lmcore.report.layout import macros, script_json

MOST_ROWS = 250  # of a table of numbers
NAMED = "data-figure"  # the attribute that names the figure of a script element
# the page's own colours, by their names in layout.css; figures.js looks up what they are
OF_PAGE = Palette(
    paper="--card",
    text="--text",
    muted="--muted",
    rule="--rule",
    strong="--strong",
    series=tuple(f"--h{number}" for number in range(8)),
)


def drawn(figure: Figure, *, table: bool = True) -> Markup:
    """The figure, and its numbers as a table unless the page has them in a `table` of its own."""
    heads = [field.title for field in figure.fields]
    rows = []
    if table and len(figure.rows) <= MOST_ROWS:
        for row in figure.rows:
            rows.append([field.written(row) for field in figure.fields])
    spec = script_json(figure.chart)
    return macros(__name__).figure(figure.name, figure.label, spec, heads, rows)


def script() -> str:
    """What draws the figures of a page: Vega and figures.js, in a scope of their own."""
    ours = Path(__file__).with_suffix(".js").read_text("utf-8")
    theme = f"const THEME = {script_json(config(OF_PAGE))};"
    return f"(() => {{\n{bundle()}\n{theme}\n{ours}\n}})();"


def figures_of(page: str) -> dict[str, dict[str, Any]]:
    """The specifications of the figures in a page, by name. Raises ValueError for broken JSON."""
    parser = _Scripts()
    parser.feed(page)
    parser.close()
    return {name: json.loads(text) for name, text in parser.found.items()}


class _Scripts(HTMLParser):
    """Notes the texts of the script elements that hold a figure."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, str] = {}
        self._name: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._name = dict(attrs).get(NAMED) if tag == "script" else None

    def handle_endtag(self, tag: str) -> None:
        self._name = None

    def handle_data(self, data: str) -> None:
        if self._name is not None:
            self.found[self._name] = self.found.get(self._name, "") + data
