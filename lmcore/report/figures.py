"""The report's figures: numbers go in, HTML with inline SVG comes out, the same bytes every time.

Text is HTML, and marks are SVG with coordinates in per cent of the width. So a figure fills a phone
as well as a screen, and its text keeps its size. Colours are variables of the page (style.py): the
n-th series has the class that `series(n)` gives, in every figure.
"""

import math
from itertools import chain
from typing import NamedTuple

from lmcore.shown import for_html

N_COLOURS = 8
SCALE = (0, 25, 50, 75, 100)  # per cent


class Mark(NamedTuple):
    """A value as a figure shows it. In a strip and in a dot plot it is between 0 and 1."""

    value: float
    interval: tuple[float, float] | None  # None where it is not known
    baseline: float | None  # the length baseline, if there is one
    title: str  # what to say of the value


class _Frame(NamedTuple):
    """What stands around the marks of a plot."""

    legend: str  # HTML
    x_label: str
    y_label: str
    heights: list[tuple[float, str]]  # the ticks of the y axis, and where they lie, as CSS
    x_ticks: str  # HTML


def series(number: int) -> str:
    """The class that gives the n-th series its colour."""
    return f"m{number % N_COLOURS}"


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers that span [low, high]: the first is at most `low`, the last at least `high`.

    `about` is roughly the number of steps between them.
    """
    raw = (high - low or 1) / about
    magnitude = 10 ** math.floor(math.log10(raw))
    round_steps = [factor * magnitude for factor in (1, 2, 2.5, 5, 10)]
    step = next(step for step in round_steps if step >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 10) for number in range(first, max(last, first + 1) + 1)]


def legend(names: list[str], extra: str = "") -> str:
    """The names of the series beside their colours, and after them `extra` (HTML).

    The names stand in the order in which the marks of a dot plot stand below each other.
    """
    keys = "".join(
        f'<span class="key {series(number)}"><i></i>{for_html(name)}</span>'
        for number, name in enumerate(names)
    )
    return f'<div class="legend">{keys}{extra}</div>'


def line_plot(
    lines: dict[str, list[tuple[float, float]]],
    x_label: str,
    y_label: str,
    mark: tuple[float, float, str] | None = None,
) -> str:
    """Lines of (x, y) points over common axes, all named in a legend.

    `mark` is a point (x, y, text) to point out; it gets the colour of the last line.
    """
    points = list(chain.from_iterable(lines.values())) or [(0.0, 0.0)]
    xs, ys = zip(*points)
    x_scale, y_scale = ticks(min(xs), max(xs)), ticks(min(ys), max(ys))
    right = max(xs)

    def place(x: float, y: float) -> tuple[float, float]:
        across = 100 * (x - x_scale[0]) / ((right - x_scale[0]) or 1)
        return across, _from_top(y, y_scale)

    curves = ""
    for number, line in enumerate(lines.values()):
        curves += _polyline([place(*point) for point in line], f"line {series(number)}")
    dot = note = ""
    if mark:
        text = for_html(mark[2])
        x, y = place(*mark[:2])
        dot = (
            f'<circle class="dot {series(len(lines) - 1)}" cx="{x:.2f}%" cy="{y:.2f}%" r="4.5">'
            f"<title>{text}</title></circle>"
        )
        note = f'<span class="note">{text}</span>'
    x_ticks = "".join(
        f'<span style="left:{place(x, y_scale[0])[0]:.2f}%">{x:,g}</span>'
        for x in x_scale
        if x <= right
    )
    heights = [(y, f"{_from_top(y, y_scale):.2f}%") for y in y_scale]
    return _plot(_Frame(legend(list(lines), note), x_label, y_label, heights, x_ticks), curves, dot)


def strip(mark: Mark, number: int) -> str:
    """One mark on a line from 0 to 1, as high as a line of text."""
    return (
        '<svg class="strip" aria-hidden="true"><line class="grid" x1="0" x2="100%" y1="5" y2="5"/>'
        f"{_mark(mark, number, 5)}</svg>"
    )


def dot_plot(rows: dict[str, list[Mark]], names: list[str], middle: float) -> str:
    """One mark of each series in every row, from 0 to 100 %, with a dashed line at `middle`.

    In a row the marks stand below each other in the order of the legend, which holds `names`.
    """
    step, pad = 9, 8  # pixels between two marks, and from the first to the edge
    height = 2 * pad + step * (len(names) - 1)
    grid = "".join(f'<line class="grid" x1="{x}%" x2="{x}%" y1="0" y2="100%"/>' for x in SCALE)
    grid += f'<line class="middle" x1="{100 * middle:g}%" x2="{100 * middle:g}%" y1="0" y2="100%"/>'
    body = ""
    for name, marks in rows.items():
        title = for_html("; ".join(mark.title for mark in marks))
        drawn = "".join(
            _mark(mark, number, pad + step * number) for number, mark in enumerate(marks)
        )
        body += (
            f'<div class="row"><div class="label">{for_html(name)}</div>'
            f'<svg height="{height}" role="img" aria-label="{title}">{grid}{drawn}</svg></div>\n'
        )
    key = ""
    if any(mark.baseline is not None for mark in chain.from_iterable(rows.values())):
        key = '<span class="key"><b class="tick"></b>length baseline</span>'
    scale = "".join(
        f'<span style="left:{x}%">{x}{"&thinsp;%" if x == 100 else ""}</span>' for x in SCALE
    )
    head = (
        f'{legend(names, key)}<div class="row scale"><div></div><div class="x">{scale}</div></div>'
    )
    return f'<div class="sticky">{head}</div>\n<div class="dots">{body}</div>'


def trend_plot(
    rows: dict[str, list[Mark | None]],
    names: list[str],
    y_label: str,
    x_label: str,
    unit: float = 1.0,
) -> str:
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
    curves = drawn = ""
    for number in range(len(names)):
        points = []
        for at, marks in enumerate(rows.values()):
            if mark := marks[number]:
                x = width * (at + (number + 1) / (len(names) + 1))
                points.append((x, _from_top(unit * mark.value, scale)))
                low, high = (_from_top(unit * end, scale) for end in _ends(mark))
                drawn += _upright_mark(mark.title, number, points[-1], (low, high))
        curves += _polyline(points, f"line faint {series(number)}")
    x_ticks = "".join(
        f'<span style="left:{width * (at + 0.5):.2f}%">{for_html(name)}</span>'
        for at, name in enumerate(rows)
    )
    heights = [(y, f"{_from_top(y, scale):.2f}%") for y in scale]
    return _plot(_Frame(legend(names), x_label, y_label, heights, x_ticks), curves, drawn)


def histogram(
    counts: list[int], width: float, mean: float, n_bins: int, number: int, title: str
) -> str:
    """Bars of `counts` in bins of `width` nats from 0, on an axis of `n_bins` bins.

    The highest bar is as high as the panel. The mean is marked below the axis.
    """
    total, highest, end = sum(counts), max(counts), n_bins * width
    bars = ""
    for place, count in enumerate(counts):
        if count:
            height = 100 * count / highest
            box = (
                f'x="{100 * place / n_bins:.2f}%" y="{100 - height:.2f}%" '
                f'width="{92 / n_bins:.2f}%" height="{height:.2f}%"'
            )
            nats = f"{place * width:g} to {(place + 1) * width:g} nats"
            bars += f"<rect {box}><title>{nats}: {100 * count / total:.1f} %</title></rect>"
    labels = "".join(
        f'<span style="left:{100 * x / end:.2f}%">{x:g}</span>'
        for x in ticks(0, end, 4)
        if x <= end
    )
    triangle = (
        f'<svg x="{100 * mean / end:.2f}%" y="100%" overflow="visible">'
        '<path class="mean" d="M0 1l-4 6h8z"/></svg>'
    )
    return (
        f'<div class="panel {series(number)}">'
        f"<h4>{for_html(title)} <small>mean {mean:.2f}</small></h4>"
        '<svg class="bars" role="img" '
        f'aria-label="{for_html(title)}: mean entropy {mean:.2f} nats">{bars}{triangle}</svg>'
        f'<div class="x">{labels}</div></div>'
    )


def _mark(mark: Mark, number: int, y: float) -> str:
    """An interval as a line, the value as a dot, and the length baseline as a tick."""
    span = ""
    if mark.interval:
        low, high = (100 * min(max(end, 0.0), 1.0) for end in mark.interval)
        span = f'<line class="span" x1="{low:.2f}%" x2="{high:.2f}%" y1="{y:g}" y2="{y:g}"/>'
    if mark.baseline is not None:
        x = 100 * mark.baseline
        span += f'<line class="tick" x1="{x:.2f}%" x2="{x:.2f}%" y1="{y - 4:g}" y2="{y + 4:g}"/>'
    dot = f'<circle class="dot" cx="{100 * mark.value:.2f}%" cy="{y:g}" r="3.5"/>'
    title = f"<title>{for_html(mark.title)}</title>" if mark.title else ""
    return f'<g class="{series(number)}">{title}{span}{dot}</g>'


def _upright_mark(
    title: str, number: int, place: tuple[float, float], interval: tuple[float, float]
) -> str:
    """A dot at `place` on an upright line, whose ends are the `interval`; all in per cent."""
    x, y = place
    low, high = interval
    return (
        f'<g class="{series(number)}"><title>{for_html(title)}</title>'
        f'<line class="span" x1="{x:.2f}%" x2="{x:.2f}%" y1="{low:.2f}%" y2="{high:.2f}%"/>'
        f'<circle class="dot" cx="{x:.2f}%" cy="{y:.2f}%" r="3.5"/></g>'
    )


def _polyline(points: list[tuple[float, float]], classes: str) -> str:
    """A line through points in per cent of the plot."""
    corners = " ".join(f"{x:.2f},{y:.2f}" for x, y in points)
    return f'<polyline class="{classes}" vector-effect="non-scaling-stroke" points="{corners}"/>'


def _plot(frame: _Frame, curves: str, marks: str) -> str:
    """A plot with a grid, `curves` that are stretched to its size, and `marks` that are not."""
    grid = "".join(
        f'<line class="grid" x1="0" x2="100%" y1="{height}" y2="{height}"/>'
        for _, height in frame.heights
    )
    inner = (
        '<svg viewBox="0 0 100 100" preserveAspectRatio="none" width="100%" height="100%" '
        f'overflow="visible">{curves}</svg>'
    )
    x_label, y_label = for_html(frame.x_label), for_html(frame.y_label)
    area = (
        f'<svg class="area" role="img" aria-label="{y_label} by {x_label}">'
        f"{grid}{inner}{marks}</svg>"
    )
    y_ticks = "".join(f'<span style="top:{height}">{y:g}</span>' for y, height in frame.heights)
    return (
        f'{frame.legend}<div class="axis-name">{y_label}</div>'
        f'<div class="plot"><div class="y">{y_ticks}</div>{area}'
        f'<div class="x">{frame.x_ticks}</div></div>'
        f'<div class="axis-name end">{x_label}</div>'
    )


def _ends(mark: Mark) -> tuple[float, float]:
    """The ends of the interval; the value itself where there is none."""
    return mark.interval or (mark.value, mark.value)


def _from_top(y: float, scale: list[float]) -> float:
    """How far `y` lies below the upper end of the scale, in per cent of the scale."""
    return 100 * (scale[-1] - y) / (scale[-1] - scale[0])
