"""Figures that stand alone: numbers go in, an SVG file's text comes out, the same bytes every time, legible on light and dark pages.

Colours say of what kind a prompt format is (natural, plain, unnatural), as the legend does in words.
"""

import math

from lmcore.report.figures import ticks
from lmcore.shown import for_html

COLOURS = {"natural": "#2a7f62", "plain": "#8a6d1d", "unnatural": "#b5403a"}
WIDTH, LEFT, RIGHT, ROW = 720, 150, 60, 24
Box = tuple[float, float, float, float]  # left, top, right, bottom
STYLE = "font-family:system-ui,sans-serif;font-size:13px;background:#fff"


def bars(rows: list[tuple[str, float, float, str]], label: str) -> str:
    """Horizontal bars of (name, value, standard error, kind) from 0, in the order given, each with its value."""
    values = [value + side * error for _, value, error, _ in rows for side in (-1, 1)]
    scale = ticks(min(0.0, *values), max(0.0, *values))
    top, height = 34, 34 + ROW * len(rows)

    def x(value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (value - scale[0]) / (scale[-1] - scale[0])

    parts = [_grid(x(tick), top, height, f"{tick:g}") for tick in scale]
    for number, (name, value, error, kind) in enumerate(rows):
        y = top + ROW * number
        start, width = min(x(0), x(value)), abs(x(value) - x(0))
        parts.append(f'<text x="{LEFT - 8}" y="{y + 16}" text-anchor="end">{for_html(name)}</text>')
        parts.append(
            f'<rect x="{start:.1f}" y="{y + 4}" width="{width:.1f}" height="{ROW - 8}" fill="{COLOURS[kind]}" fill-opacity=".8"/>'
        )
        parts.append(
            f'<path d="M{x(value - error):.1f} {y + 12}H{x(value + error):.1f}" stroke="#222"/>'
        )
        parts.append(f'<text x="{WIDTH - RIGHT + 8}" y="{y + 16}">{value:.2f}</text>')
    return _page(parts, height + 44, label, (WIDTH + LEFT) / 2, height + 36)


def scatter(points: list[tuple[float, float, str, str]], x_label: str, y_label: str) -> str:
    """Points of (x, y, name, kind), x on a log scale, each named beside it."""
    logs = [math.log10(point[0]) for point in points]
    low, high = math.floor(min(logs) * 5 - 2) / 5, math.ceil(max(logs) * 5 + 0.5) / 5
    scale = ticks(min(point[1] for point in points), max(point[1] for point in points))
    left, top, bottom = 60, 34, 420

    def x(value: float) -> float:
        return left + (WIDTH - left - 110) * (math.log10(value) - low) / (high - low)

    def y(value: float) -> float:
        return bottom - (bottom - top) * (value - scale[0]) / (scale[-1] - scale[0])

    marks = [
        digit * 10.0**power
        for power in range(math.floor(low), math.ceil(high) + 1)
        for digit in (1, 2, 5)
    ]
    parts = [
        _grid(x(mark), top, bottom, f"{mark:g}")
        for mark in marks
        if low <= math.log10(mark) <= high
    ]
    for tick in scale:
        parts.append(f'<path d="M{left} {y(tick):.1f}H{WIDTH - 20}" stroke="#ddd"/>')
        parts.append(
            f'<text x="{left - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>'
        )
    places = [(x(at_x), y(at_y)) for at_x, at_y, _, _ in points]
    taken = [(here_x - 6, here_y - 6, here_x + 6, here_y + 6) for here_x, here_y in places]
    for (here_x, here_y), (_, _, name, kind) in zip(places, points, strict=True):
        box, anchor = _free_place(here_x, here_y, 7.2 * len(name), taken)
        taken.append(box)
        parts.append(f'<circle cx="{here_x:.1f}" cy="{here_y:.1f}" r="5" fill="{COLOURS[kind]}"/>')
        at = box[0] if anchor == "start" else box[2]
        parts.append(
            f'<text x="{at:.1f}" y="{box[3] - 3:.1f}" text-anchor="{anchor}">{for_html(name)}</text>'
        )
    middle = (top + bottom) / 2
    parts.append(
        f'<text x="14" y="{middle}" transform="rotate(-90 14 {middle})" text-anchor="middle">{for_html(y_label)}</text>'
    )
    return _page(parts, bottom + 44, x_label, WIDTH / 2, bottom + 36)


def _free_place(x: float, y: float, width: float, taken: list[Box]) -> tuple[Box, str]:
    """Where a name beside the point lies on nothing else, and its anchor: right or left of the point, level with it or near that."""
    candidates: list[tuple[Box, str]] = []
    for down in (0, -9, 9, -15, 15, -22, 22):
        candidates.append(((x + 9, y - 7 + down, x + 9 + width, y + 7 + down), "start"))
        candidates.append(((x - 9 - width, y - 7 + down, x - 9, y + 7 + down), "end"))
    for box, anchor in candidates:
        if not any(
            box[0] < b[2] and b[0] < box[2] and box[1] < b[3] and b[1] < box[3] for b in taken
        ):
            return box, anchor
    return candidates[0]


def _grid(x: float, top: float, bottom: float, text: str) -> str:
    return f'<path d="M{x:.1f} {top}V{bottom}" stroke="#ddd"/><text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{text}</text>'


def _page(parts: list[str], height: float, label: str, x: float, y: float) -> str:
    keys = ""
    for number, (kind, colour) in enumerate(COLOURS.items()):
        x_key = LEFT + 130 * number
        keys += f'<rect x="{x_key}" y="10" width="12" height="12" fill="{colour}"/><text x="{x_key + 18}" y="20">{kind}</text>'
    body = "\n".join(
        [
            keys,
            *parts,
            f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="middle">{for_html(label)}</text>',
        ]
    )
    size = f'width="{WIDTH}" height="{height:g}" viewBox="0 0 {WIDTH} {height:g}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} style="{STYLE}" role="img" aria-label="{for_html(label)}">\n'
        f'<rect width="100%" height="100%" fill="#fff"/>\n{body}\n</svg>\n'
    )
