"""A strip in SVG, as it stands in a cell of a table: a number goes in, an element comes out.

Coordinates are in per cent of the width, and the colour is that of the page's series.
"""

from typing import NamedTuple

from markupsafe import Markup

from lmcore.shown import for_html


class Mark(NamedTuple):
    """A value between 0 and 1 as a strip shows it."""

    value: float
    interval: tuple[float, float] | None  # None where it is not known
    baseline: float | None  # the length baseline, if there is one
    title: str  # what to say of the value


def element(tag: str, content: str = "", /, **attributes: object) -> Markup:
    """An element with its attributes and content, which are escaped unless they are Markup.

    Of an attribute's name, `_` stands for `-`, and a last `_` is left out (`class_`).
    """
    named = ""
    for name, value in attributes.items():
        named += f' {name.rstrip("_").replace("_", "-")}="{for_html(str(value))}"'
    inside = content if isinstance(content, Markup) else for_html(content)
    # all that comes from data has been escaped above
    return Markup(f"<{tag}{named}>{inside}</{tag}>" if inside else f"<{tag}{named}/>")


def joined(parts: list[Markup], between: str = "") -> Markup:
    """Elements one after another."""
    return Markup(between).join(parts)


def strip(mark: Mark, series: str) -> Markup:
    """One mark on a line from 0 to 1, as high as a line of text.

    `series` is the class that gives it its colour.
    """
    line = element("line", class_="grid", x1=0, x2="100%", y1=5, y2=5)
    drawn = joined([line, _mark(mark, series, 5)])
    return element("svg", drawn, class_="strip", aria_hidden="true")


def _mark(mark: Mark, series: str, y: int) -> Markup:
    """An interval as a line, the value as a dot, and the length baseline as a tick."""
    parts = [element("title", mark.title)] if mark.title else []
    if mark.interval:
        low, high = (f"{100 * min(max(end, 0.0), 1.0):.2f}%" for end in mark.interval)
        parts.append(element("line", class_="span", x1=low, x2=high, y1=y, y2=y))
    if mark.baseline is not None:
        x = f"{100 * mark.baseline:.2f}%"
        parts.append(element("line", class_="tick", x1=x, x2=x, y1=y - 4, y2=y + 4))
    parts.append(element("circle", class_="dot", cx=f"{100 * mark.value:.2f}%", cy=y, r="3.5"))
    return element("g", joined(parts), class_=series)
