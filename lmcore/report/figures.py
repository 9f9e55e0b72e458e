"""The report's figures: numbers go in, HTML with inline SVG comes out, the same bytes every time.

Text is HTML, laid out by figures.html, and marks are SVG, drawn by lmcore.svg. So a figure fills a
phone as well as a screen, and its text keeps its size. Colours are variables of the page
(layout.css): the n-th series has the class that `series(n)` gives, in every figure.
"""

import math
from itertools import chain
from typing import NamedTuple

from markupsafe import Markup

from lmcore.report.layout import macros
from lmcore.svg import (
    SCALE,
    Mark,
    Point,
    area,
    dot,
    dot_row,
    from_top,
    histogram_bars,
    polyline,
    series,
    ticks,
    upright_mark,
)


class Tick(NamedTuple):
    """The text at a tick of an axis."""

    place: str  # how far from the left or upper end, as CSS
    text: str


class _Frame(NamedTuple):
    """What stands around the marks of a plot."""

    names: list[str]  # of the series
    note: str  # after the names; empty for none
    x_label: str
    y_label: str
    x_ticks: list[Tick]
    y_ticks: list[Tick]


def line_plot(
    lines: dict[str, list[Point]],
    x_label: str,
    y_label: str,
    mark: tuple[float, float, str] | None = None,
    *,
    log_x: bool = False,
) -> Markup:
    """Lines of (x, y) points over common axes, all named in a legend.

    `mark` is a point (x, y, text) to point out; it gets the colour of the last line. With `log_x`,
    the x axis is a log scale; every x is then above 0.
    """
    points = list(chain.from_iterable(lines.values())) or [(1.0, 0.0)]
    xs, ys = zip(*points)
    right = max(xs)
    x_scale = log_ticks(min(xs), right) if log_x else ticks(min(xs), right)
    y_scale = ticks(min(ys), max(ys))
    left = min(xs) if log_x else x_scale[0]
    distance = _log_distance if log_x else _distance

    def place(x: float, y: float) -> Point:
        across = 100 * distance(left, x) / (distance(left, right) or 1)
        return across, from_top(y, y_scale)

    curves = []
    for number, line in enumerate(lines.values()):
        curves.append(polyline([place(*point) for point in line], f"line {series(number)}"))
    marks, note = [], ""
    if mark:
        x, y, note = mark
        marks.append(dot(place(x, y), len(lines) - 1, note))
    x_ticks = []
    for x in x_scale:
        if x <= right:
            text = short_number(x) if log_x else f"{x:,g}"
            x_ticks.append(Tick(f"{place(x, y_scale[0])[0]:.2f}%", text))
    frame = _Frame(list(lines), note, x_label, y_label, x_ticks, _upwards(y_scale))
    return _plot(frame, curves, marks)


def dot_plot(rows: dict[str, list[Mark]], names: list[str], middle: float) -> Markup:
    """One mark of each series in every row, from 0 to 100 %, with a dashed line at `middle`.

    In a row the marks stand below each other in the order of the legend, which holds `names`.
    """
    has_baseline = any(mark.baseline is not None for mark in chain.from_iterable(rows.values()))
    drawn = {name: dot_row(marks, middle) for name, marks in rows.items()}
    return macros(__name__).dot_plot(names, has_baseline, SCALE, drawn)


def trend_plot(
    rows: dict[str, list[Mark | None]],
    names: list[str],
    y_label: str,
    x_label: str,
    unit: float = 1.0,
) -> Markup:
    """Marks over ordered bins, which are the `rows` from left to right.

    In a bin the series stand side by side in the order of the legend, which holds `names`. Faint
    lines join the marks of a series, which may lack a mark in a bin.

    `unit` is what a value of 1 reads on the y axis (100: per cent). The axis spans 0 and all
    intervals.
    """
    ends = [0.0]
    for mark in chain.from_iterable(rows.values()):
        if mark:
            ends += [unit * end for end in _ends(mark)]
    scale, width = ticks(min(ends), max(ends)), 100 / len(rows)
    curves, drawn = [], []
    for number in range(len(names)):
        points = []
        for at, marks in enumerate(rows.values()):
            if mark := marks[number]:
                x = width * (at + (number + 1) / (len(names) + 1))
                points.append((x, from_top(unit * mark.value, scale)))
                low, high = (from_top(unit * end, scale) for end in _ends(mark))
                drawn.append(upright_mark(mark.title, number, points[-1], (low, high)))
        curves.append(polyline(points, f"line faint {series(number)}"))
    x_ticks = [Tick(f"{width * (at + 0.5):.2f}%", name) for at, name in enumerate(rows)]
    return _plot(_Frame(names, "", x_label, y_label, x_ticks, _upwards(scale)), curves, drawn)


def histogram(
    counts: list[int], width: float, mean: float, n_bins: int, number: int, title: str
) -> Markup:
    """A panel with bars of `counts` in bins of `width` nats from 0, on an axis of `n_bins` bins.

    The highest bar is as high as the panel. The mean is marked below the axis.
    """
    end = n_bins * width
    labels = [Tick(f"{100 * x / end:.2f}%", f"{x:g}") for x in ticks(0, end, 4) if x <= end]
    label = f"{title}: mean entropy {mean:.2f} nats"
    drawn = histogram_bars(counts, width, mean, n_bins, label)
    return macros(__name__).histogram(title, number, f"{mean:.2f}", drawn, labels)


def _plot(frame: _Frame, curves: list[Markup], marks: list[Markup]) -> Markup:
    """A plot with its frame; `curves` are stretched to its size, `marks` are not."""
    heights = [tick.place for tick in frame.y_ticks]
    drawn = area(f"{frame.y_label} by {frame.x_label}", heights, curves, marks)
    return macros(__name__).plot(frame, drawn)


def log_ticks(low: float, high: float) -> list[float]:
    """The numbers 1, 2 and 5 times a power of ten from `low` to `high`, which are above 0.

    Powers of ten alone where there are more than three of them; `low` and `high` where there are
    fewer than two ticks.
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if high <= 1000 * low else (1,)
    marks = [factor * 10.0**power for power in powers for factor in factors]
    inside = [x for x in marks if low <= x <= high]
    return inside if len(inside) > 1 else sorted({low, high})


def short_number(x: float) -> str:
    """A number as a tick of a log scale has it: 2,000 as 2k, 20,000,000 as 20M."""
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if x >= size:
            return f"{x / size:.4g}{letter}"
    return f"{x:.4g}"


def _distance(left: float, x: float) -> float:
    return x - left


def _log_distance(left: float, x: float) -> float:
    return math.log10(x / left)


def _upwards(scale: list[float]) -> list[Tick]:
    """The ticks of a y axis."""
    return [Tick(f"{from_top(y, scale):.2f}%", f"{y:g}") for y in scale]


def _ends(mark: Mark) -> tuple[float, float]:
    """The ends of the interval; the value itself where there is none."""
    return mark.interval or (mark.value, mark.value)
