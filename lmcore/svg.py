"""Drawing in SVG: numbers go in, elements come out, the same bytes every time.

A strip stands in a cell of a table; its coordinates are in per cent, and its colour is that of the
page's series. Figures that stand alone (`bars`, `scatter`) are the text of an SVG file, legible on
light and dark pages. Their colours say of what kind a prompt format is (natural, plain, unnatural),
as the legend does in words.
"""

import math
from typing import NamedTuple

from markupsafe import Markup

from lmcore.shown import for_html

# values that lie nearer to each other than this share of them differ by rounding alone
ROUNDING = 1e-12
LEAST_RANGE = 1e-300  # below it, a step of a scale is no normal float

COLOURS = {"natural": "#2a7f62", "plain": "#8a6d1d", "unnatural": "#b5403a"}
# pixels: of a figure that stands alone, from its edges to the bars, and of a row of bars
WIDTH, LEFT, RIGHT, ROW = 720, 150, 60, 24
TOP = 34  # pixels from the upper edge to the grid; the legend lies above it
STYLE = "font-family:system-ui,sans-serif;font-size:13px;background:#fff"

Box = tuple[float, float, float, float]  # left, top, right, bottom


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


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers that span [low, high]: the first is at most `low`, the last at least `high`.

    `about` is roughly the number of steps between them. They differ, however narrow the range is.
    """
    size, spread = max(abs(low), abs(high)), high - low
    if spread <= max(LEAST_RANGE, ROUNDING * size):  # a single value
        spread = max(1.0, ROUNDING * size)
    raw = spread / about
    power = math.floor(math.log10(raw))
    round_steps = [factor * 10**power for factor in (1, 2, 2.5, 5, 10)]
    step = next(step for step in round_steps if step >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    decimals = max(10, 1 - power)  # as many as a step of 2.5 times a power of 10 has
    return [round(number * step, decimals) for number in range(first, max(last, first + 1) + 1)]


def strip(mark: Mark, series: str) -> Markup:
    """One mark on a line from 0 to 1, as high as a line of text.

    `series` is the class that gives it its colour.
    """
    line = element("line", class_="grid", x1=0, x2="100%", y1=5, y2=5)
    drawn = joined([line, _mark(mark, series, 5)])
    return element("svg", drawn, class_="strip", aria_hidden="true")


def bars(rows: list[tuple[str, float, float, str]], label: str) -> str:
    """An SVG file: horizontal bars of (name, value, standard error, kind) from 0.

    Each has its value beside it. The bars are in the order given. `label` is the name of the axis.
    """
    ends = []
    for _, value, error, _ in rows:
        ends += [value - error, value + error]
    scale = ticks(min(0.0, *ends), max(0.0, *ends))
    bottom = TOP + ROW * len(rows)

    def x(value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (value - scale[0]) / (scale[-1] - scale[0])

    parts = [_grid_line(x(tick), TOP, bottom, f"{tick:g}") for tick in scale]
    for number, (name, value, error, kind) in enumerate(rows):
        y = TOP + ROW * number
        start, width = min(x(0), x(value)), abs(x(value) - x(0))
        bar = element(
            "rect",
            x=f"{start:.1f}",
            y=y + 4,
            width=f"{width:.1f}",
            height=ROW - 8,
            fill=COLOURS[kind],
            fill_opacity=".8",
        )
        span = f"M{x(value - error):.1f} {y + 12}H{x(value + error):.1f}"
        parts += [
            element("text", name, x=LEFT - 8, y=y + 16, text_anchor="end"),
            bar,
            element("path", d=span, stroke="#222"),
            element("text", f"{value:.2f}", x=WIDTH - RIGHT + 8, y=y + 16),
        ]
    return _file(parts, bottom + 44, label, (WIDTH + LEFT) / 2, bottom + 36)


def scatter(points: list[tuple[float, float, str, str]], x_label: str, y_label: str) -> str:
    """An SVG file: points of (x, y, name, kind), with x on a log scale, each named beside it."""
    logs = [math.log10(point[0]) for point in points]
    low, high = math.floor(min(logs) * 5 - 2) / 5, math.ceil(max(logs) * 5 + 0.5) / 5
    scale = ticks(min(point[1] for point in points), max(point[1] for point in points))
    left, bottom = 60, 420

    def x(value: float) -> float:
        return left + (WIDTH - left - 110) * (math.log10(value) - low) / (high - low)

    def y(value: float) -> float:
        return bottom - (bottom - TOP) * (value - scale[0]) / (scale[-1] - scale[0])

    parts = [_grid_line(x(tick), TOP, bottom, f"{tick:g}") for tick in _log_ticks(low, high)]
    for tick in scale:
        text_y = f"{y(tick) + 4:.1f}"
        parts += [
            element("path", d=f"M{left} {y(tick):.1f}H{WIDTH - 20}", stroke="#ddd"),
            element("text", f"{tick:g}", x=left - 6, y=text_y, text_anchor="end"),
        ]
    parts += _named_points([(x(at_x), y(at_y), name, kind) for at_x, at_y, name, kind in points])
    middle = (TOP + bottom) / 2
    turned = f"rotate(-90 14 {middle})"
    parts.append(element("text", y_label, x=14, y=middle, transform=turned, text_anchor="middle"))
    return _file(parts, bottom + 44, x_label, WIDTH / 2, bottom + 36)


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


def _log_ticks(low: float, high: float) -> list[float]:
    """The numbers 1, 2 and 5 times a power of 10 whose decimal logarithms are in [low, high]."""
    numbers = []
    for power in range(math.floor(low), math.ceil(high) + 1):
        numbers += [digit * 10.0**power for digit in (1, 2, 5)]
    return [number for number in numbers if low <= math.log10(number) <= high]


def _named_points(points: list[tuple[float, float, str, str]]) -> list[Markup]:
    """Points of (x, y, name, kind), in pixels, with their names where these are free."""
    parts = []
    taken = [(x - 6, y - 6, x + 6, y + 6) for x, y, _, _ in points]
    for x, y, name, kind in points:
        box, anchor = _free_place(x, y, 7.2 * len(name), taken)
        taken.append(box)
        left, _, right, bottom = box
        at = f"{left if anchor == 'start' else right:.1f}"
        parts += [
            element("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r=5, fill=COLOURS[kind]),
            element("text", name, x=at, y=f"{bottom - 3:.1f}", text_anchor=anchor),
        ]
    return parts


def _free_place(x: float, y: float, width: float, taken: list[Box]) -> tuple[Box, str]:
    """Where a name beside a point lies on nothing that is `taken`, and its anchor.

    It is right or left of the point, level with it or near that. Where no such place is free, it is
    right of the point and level with it.
    """
    candidates: list[tuple[Box, str]] = []
    for down in (0, -9, 9, -15, 15, -22, 22):
        candidates.append(((x + 9, y - 7 + down, x + 9 + width, y + 7 + down), "start"))
        candidates.append(((x - 9 - width, y - 7 + down, x - 9, y + 7 + down), "end"))
    for box, anchor in candidates:
        if not any(_overlap(box, other) for other in taken):
            return box, anchor
    return candidates[0]


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _grid_line(x: float, top: float, bottom: float, text: str) -> Markup:
    """An upright line of the grid with the text of its tick below it."""
    line = element("path", d=f"M{x:.1f} {top}V{bottom}", stroke="#ddd")
    return line + element("text", text, x=f"{x:.1f}", y=bottom + 16, text_anchor="middle")


def _file(parts: list[Markup], height: float, label: str, x: float, y: float) -> str:
    """The SVG file: the legend, the `parts`, and the `label` of the x axis around (x, y)."""
    keys = []
    for number, (kind, colour) in enumerate(COLOURS.items()):
        x_key = LEFT + 130 * number
        keys += [
            element("rect", x=x_key, y=10, width=12, height=12, fill=colour),
            element("text", kind, x=x_key + 18, y=20),
        ]
    axis_name = element("text", label, x=f"{x:.0f}", y=f"{y:.0f}", text_anchor="middle")
    paper = element("rect", width="100%", height="100%", fill="#fff")
    drawn = joined([paper, joined(keys), *parts, axis_name], "\n")
    file = element(
        "svg",
        Markup("\n") + drawn + "\n",
        xmlns="http://www.w3.org/2000/svg",
        width=WIDTH,
        height=f"{height:g}",
        viewBox=f"0 0 {WIDTH} {height:g}",
        style=STYLE,
        role="img",
        aria_label=label,
    )
    return f"{file}\n"
