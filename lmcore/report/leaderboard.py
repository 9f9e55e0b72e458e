"""The page of a local leaderboard: tables of plain texts go in, HTML comes out.

The page needs no network, and holds no date and no path, so the same input gives the same bytes.
"""

from typing import NamedTuple

from markupsafe import Markup

from lmcore.report.layout import macros, whole_page


class Shown(NamedTuple):
    """One score as a cell shows it."""

    value: str
    notes: list[str]  # below it, a line each


class Line(NamedTuple):
    """One row of the table; `cells` in the order of the columns, None where there is no score."""

    name: str
    is_published: bool
    cells: list[Shown | None]


class Table(NamedTuple):
    """One rule's table: what it is about, and its rows in their order."""

    title: str
    lead: str
    lines: list[Line]


class Page(NamedTuple):
    title: str
    lead: str
    columns: list[str]
    tables: dict[str, Table]  # by anchor
    remarks: list[str]  # what enters the mean, and what is not scored
    missing: dict[str, list[str]]  # by model: what its submission lacks, and what does not fit
    sources: dict[str, str]  # by baseline


def leaderboard(page: Page, footer: str) -> str:
    """The whole page."""
    ours = macros(__name__)
    sections: dict[str, tuple[str, Markup]] = {}
    for anchor, table in page.tables.items():
        body = ours.scores(anchor, table.title, page.columns, table.lead, table.lines)
        sections[anchor] = table.title, body
    sections["mean"] = "The overall mean", ours.remarks(page.remarks)
    if page.missing:
        sections["missing"] = "What is missing or a subset", ours.missing(page.missing)
    if page.sources:
        sections["sources"] = "Where the published scores come from", ours.sources(page.sources)
    return whole_page(page.title, page.lead, sections, footer)
