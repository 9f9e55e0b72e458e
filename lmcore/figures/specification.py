"""What all figures have in common: fields with their titles, tooltips, legends that can be clicked.

Rows and the names of their fields go in, a specification of Vega-Lite comes out, the same bytes
every time: names are given, where Altair would count, and data stand in the specification. Titles
of tooltips become part of an expression, so they are ours; everything from data is a value.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import altair as alt

from lmcore.shown import for_terminal

PICKED = "picked"  # the selection of the series that were clicked in the legend
PLOT = "plot"  # the name of the view that holds it
FAINT = 0.08  # how much is left of the series that were not picked
HEIGHT = 260  # pixels
COLUMN = 150  # pixels of a name in the legend

Rows = list[dict[str, Any]]


class Field(NamedTuple):
    """A field of the rows, what tooltips and tables call it, and how it is written.

    `form` is a format that Python and D3 share (`.1%`); empty for text.
    """

    name: str
    title: str
    form: str = ""

    @property
    def of_type(self) -> str:
        """The field with its type, as Altair reads it."""
        return f"{self.name}:{'Q' if self.form else 'N'}"

    def tooltip(self) -> alt.Tooltip:
        if self.form:
            return alt.Tooltip(self.of_type, title=self.title, format=self.form)
        return alt.Tooltip(self.of_type, title=self.title)

    def written(self, row: dict[str, Any]) -> str:
        """The field of a row as a table shows it; empty where the row lacks it."""
        value = row.get(self.name)
        if value is None:
            return ""
        return format(value, self.form) if self.form else str(value)


class Figure(NamedTuple):
    """A figure: its name, what it shows in a sentence, its specification, and its numbers."""

    name: str
    label: str
    chart: dict[str, Any]
    rows: Rows
    fields: Sequence[Field]  # those of `rows` that a table shows


def data(rows: Rows) -> alt.InlineData:
    """The rows as the data of a chart, their text made visible."""
    return alt.InlineData(values=visible(rows), name="rows")


def visible(value: Any) -> Any:
    """`value` with every text in it as it may be shown (see lmcore.shown)."""
    if isinstance(value, str):
        return for_terminal(value)
    if isinstance(value, dict):
        return {key: visible(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [visible(entry) for entry in value]
    return value


def picking(series: Field) -> alt.Parameter:
    """The selection of series by clicks on their names; nothing picked is everything."""
    return alt.selection_point(
        name=PICKED, fields=[series.name], bind="legend", toggle="true", on="none"
    )


def colour(series: Field, names: Sequence[str], *, legend: bool = True) -> alt.Color:
    """The colour of each series, the n-th of the theme for the n-th name, and its legend."""
    shown = None
    if legend:
        columns = alt.ExprRef(f"max(1, floor(width / {COLUMN}))")
        shown = alt.Legend(title=None, orient="top", columns=columns, symbolType="circle")
    return alt.Color(
        series.of_type, scale=alt.Scale(domain=visible(list(names))), legend=shown, sort=None
    )


def dimmed(full: float = 1.0) -> Any:
    """The opacity of a mark: `full`, or faint where other series were picked."""
    return (
        alt.when(alt.selection_point(name=PICKED))
        .then(alt.value(full))
        .otherwise(alt.value(FAINT * full))
    )


def diagonal(low: float, high: float, name: str | None = None) -> alt.Chart:
    """A dashed line from (low, low) to (high, high); `name` is that of its two rows {at, is}."""
    ends = [{"at": low, "is": low}, {"at": high, "is": high}]
    named = alt.InlineData(values=ends, name=alt.Undefined if name is None else name)
    dashed = alt.Chart(named).mark_line(style="middle", strokeDash=[3, 3], strokeWidth=1.5)
    return dashed.encode(x="at:Q", y="is:Q")


def finished(chart: Any, name: str, label: str, rows: Rows, fields: Sequence[Field]) -> Figure:
    """The figure of a chart, which fills the width of the page."""
    with alt.data_transformers.enable(consolidate_datasets=False):
        spec = chart.properties(width="container", description=visible(label)).to_dict()
    spec.pop("config", None)  # the theme's (lmcore.figures.theme)
    return Figure(name, label, spec, rows, fields)
