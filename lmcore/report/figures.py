"""The report's figures: numbers go in, HTML with inline SVG comes out, the same bytes every time.

Text is HTML and marks are SVG with coordinates in per cent of the width, so that a figure fills a phone as well as a screen and its text
keeps its size. Colours are the page's variables (style.py): the n-th series has class `m{n}`, whatever the figure.
"""

import math
from typing import NamedTuple

from lmcore.shown import for_html

N_COLOURS = 8
SCALE = (0, 25, 50, 75, 100)  # per cent


class Mark(NamedTuple):
    """A value between 0 and 1, its interval if known, the length baseline if there is one, and what to say of it."""

    value: float
    interval: tuple[float, float] | None
    baseline: float | None
    title: str


def series(number: int) -> str:
    """The class that gives the n-th series its colour."""
    return f"m{number % N_COLOURS}"


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers that span [low, high]: the first is at most `low`, the last at least `high`."""
    raw = (high - low or 1) / about
    magnitude = 10 ** math.floor(math.log10(raw))
    step = next(
        factor * magnitude for factor in (1, 2, 2.5, 5, 10) if factor * magnitude >= raw * 0.999
    )
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 10) for number in range(first, max(last, first + 1) + 1)]


def legend(names: list[str], extra: str = "") -> str:
    """The colours' names, in the order in which marks stand below each other."""
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
    """Lines of (x, y) points over common axes, the first thin, all named in a legend; `mark` is a point (x, y, text) to point out."""
    points = [point for line in lines.values() for point in line] or [(0.0, 0.0)]
    xs, ys = (ticks(min(p[axis] for p in points), max(p[axis] for p in points)) for axis in (0, 1))
    right = max(p[0] for p in points)

    def place(x: float, y: float) -> tuple[float, float]:
        return 100 * (x - xs[0]) / ((right - xs[0]) or 1), 100 * (ys[-1] - y) / (ys[-1] - ys[0])

    grid = "".join(
        f'<line class="grid" x1="0" x2="100%" y1="{place(xs[0], y)[1]:.2f}%" y2="{place(xs[0], y)[1]:.2f}%"/>'
        for y in ys
    )
    drawn = "".join(
        f'<polyline class="line {series(n)}" vector-effect="non-scaling-stroke" points="'
        + " ".join("{:.2f},{:.2f}".format(*place(*point)) for point in line)
        + '"/>'
        for n, line in enumerate(lines.values())
    )
    dot = ""
    if mark:
        x, y = place(*mark[:2])
        dot = f'<circle class="dot {series(len(lines) - 1)}" cx="{x:.2f}%" cy="{y:.2f}%" r="4.5"><title>{for_html(mark[2])}</title></circle>'
    y_labels = "".join(f'<span style="top:{place(xs[0], y)[1]:.2f}%">{y:g}</span>' for y in ys)
    x_labels = "".join(
        f'<span style="left:{place(x, ys[0])[0]:.2f}%">{x:,g}</span>' for x in xs if x <= right
    )
    note = f'<span class="note">{for_html(mark[2])}</span>' if mark else ""
    inner = f'<svg viewBox="0 0 100 100" preserveAspectRatio="none" width="100%" height="100%" overflow="visible">{drawn}</svg>'
    area = f'<svg class="area" role="img" aria-label="{for_html(y_label)} by {for_html(x_label)}">{grid}{inner}{dot}</svg>'
    return (
        f'{legend(list(lines), note)}<div class="axis-name">{for_html(y_label)}</div>'
        f'<div class="plot"><div class="y">{y_labels}</div>{area}<div class="x">{x_labels}</div></div>'
        f'<div class="axis-name end">{for_html(x_label)}</div>'
    )


def strip(mark: Mark, number: int) -> str:
    """One mark on a line from 0 to 1, as high as a line of text."""
    return f'<svg class="strip" aria-hidden="true"><line class="grid" x1="0" x2="100%" y1="5" y2="5"/>{_mark(mark, number, 5)}</svg>'


def dot_plot(rows: dict[str, list[Mark]], names: list[str], middle: float) -> str:
    """For every row one mark a series, below each other in the legend's order, from 0 to 100 %; a dashed line at `middle`."""
    step, pad = 9, 8  # pixels between two marks, and from the first to the edge
    height = 2 * pad + step * (len(names) - 1)
    grid = "".join(f'<line class="grid" x1="{x}%" x2="{x}%" y1="0" y2="100%"/>' for x in SCALE)
    grid += f'<line class="middle" x1="{100 * middle:g}%" x2="{100 * middle:g}%" y1="0" y2="100%"/>'
    body = ""
    for name, marks in rows.items():
        said = for_html("; ".join(mark.title for mark in marks))
        drawn = "".join(
            _mark(mark, number, pad + step * number) for number, mark in enumerate(marks)
        )
        body += f'<div class="row"><div class="label">{for_html(name)}</div>'
        body += f'<svg height="{height}" role="img" aria-label="{said}">{grid}{drawn}</svg></div>\n'
    with_baseline = any(mark.baseline is not None for marks in rows.values() for mark in marks)
    key = '<span class="key"><b class="tick"></b>length baseline</span>' if with_baseline else ""
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
    """Marks over ordered bins (the rows, from left to right), in each the series side by side in the legend's order; lines join a series.

    `unit` is what a value of 1 reads on the axis (100: per cent), which spans 0 and all intervals; a series may lack a mark in a bin.
    """
    found = [mark for marks in rows.values() for mark in marks if mark]
    bounds = [
        unit * bound for mark in found for bound in (mark.interval or (mark.value, mark.value))
    ]
    ys, width = ticks(min(0.0, *bounds), max(0.0, *bounds)), 100 / len(rows)
    heights = {y: f"{100 * (ys[-1] - y) / (ys[-1] - ys[0]):.2f}%" for y in ys}

    def place(number: int, at: int, value: float) -> tuple[float, float]:
        return width * (at + (number + 1) / (len(names) + 1)), 100 * (ys[-1] - unit * value) / (
            ys[-1] - ys[0]
        )

    grid = "".join(
        f'<line class="grid" x1="0" x2="100%" y1="{height}" y2="{height}"/>'
        for height in heights.values()
    )
    lines = marks_drawn = ""
    for number in range(len(names)):
        present = [(at, mark) for at, marks in enumerate(rows.values()) if (mark := marks[number])]
        points = " ".join(
            "{:.2f},{:.2f}".format(*place(number, at, mark.value)) for at, mark in present
        )
        lines += f'<polyline class="line faint {series(number)}" vector-effect="non-scaling-stroke" points="{points}"/>'
        for at, mark in present:
            x, y = place(number, at, mark.value)
            low, high = (
                place(number, at, bound)[1] for bound in mark.interval or (mark.value, mark.value)
            )
            marks_drawn += (
                f'<g class="{series(number)}"><title>{for_html(mark.title)}</title><line class="span" x1="{x:.2f}%" x2="{x:.2f}%" '
                f'y1="{low:.2f}%" y2="{high:.2f}%"/><circle class="dot" cx="{x:.2f}%" cy="{y:.2f}%" r="3.5"/></g>'
            )
    y_labels = "".join(f'<span style="top:{height}">{y:g}</span>' for y, height in heights.items())
    x_labels = "".join(
        f'<span style="left:{width * (at + 0.5):.2f}%">{for_html(name)}</span>'
        for at, name in enumerate(rows)
    )
    inner = f'<svg viewBox="0 0 100 100" preserveAspectRatio="none" width="100%" height="100%" overflow="visible">{lines}</svg>'
    area = f'<svg class="area" role="img" aria-label="{for_html(y_label)} by {for_html(x_label)}">{grid}{inner}{marks_drawn}</svg>'
    return (
        f'{legend(names)}<div class="axis-name">{for_html(y_label)}</div>'
        f'<div class="plot"><div class="y">{y_labels}</div>{area}<div class="x">{x_labels}</div></div>'
        f'<div class="axis-name end">{for_html(x_label)}</div>'
    )


def histogram(
    counts: list[int], width: float, mean: float, n_bins: int, number: int, title: str
) -> str:
    """Bars of `counts` in bins of `width` nats from 0, the highest as high as the panel, on an axis of `n_bins` bins; the mean marked."""
    total, top, end = sum(counts), max(counts), n_bins * width
    bars = ""
    for n, count in enumerate(counts):
        if count:
            height = 100 * count / top
            box = f'x="{100 * n / n_bins:.2f}%" y="{100 - height:.2f}%" width="{92 / n_bins:.2f}%" height="{height:.2f}%"'
            bars += f"<rect {box}><title>{n * width:g} to {(n + 1) * width:g} nats: {100 * count / total:.1f} %</title></rect>"
    labels = "".join(
        f'<span style="left:{100 * x / end:.2f}%">{x:g}</span>'
        for x in ticks(0, end, 4)
        if x <= end
    )
    triangle = f'<svg x="{100 * mean / end:.2f}%" y="100%" overflow="visible"><path class="mean" d="M0 1l-4 6h8z"/></svg>'
    return (
        f'<div class="panel {series(number)}"><h4>{for_html(title)} <small>mean {mean:.2f}</small></h4>'
        f'<svg class="bars" role="img" aria-label="{for_html(title)}: mean entropy {mean:.2f} nats">{bars}{triangle}</svg>'
        f'<div class="x">{labels}</div></div>'
    )


def _mark(mark: Mark, number: int, y: float) -> str:
    """An interval as a line, the value as a dot, the length baseline as a tick."""
    span = ""
    if mark.interval:
        low, high = (100 * min(max(bound, 0.0), 1.0) for bound in mark.interval)
        span = f'<line class="span" x1="{low:.2f}%" x2="{high:.2f}%" y1="{y:g}" y2="{y:g}"/>'
    if mark.baseline is not None:
        x = 100 * mark.baseline
        span += f'<line class="tick" x1="{x:.2f}%" x2="{x:.2f}%" y1="{y - 4:g}" y2="{y + 4:g}"/>'
    dot = f'<circle class="dot" cx="{100 * mark.value:.2f}%" cy="{y:g}" r="3.5"/>'
    title = f"<title>{for_html(mark.title)}</title>" if mark.title else ""
    return f'<g class="{series(number)}">{title}{span}{dot}</g>'
