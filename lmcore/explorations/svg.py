"""Figures that stand alone: numbers go in, the text of an SVG file comes out.

The bytes are the same every time, and the figures are legible on light and dark pages. Colours say
of what kind a prompt format is (natural, plain, unnatural), as the legend does in words.
"""

import math

from lmcore.report.figures import ticks
from lmcore.shown import for_html

COLOURS = {"natural": "#2a7f62", "plain": "#8a6d1d", "unnatural": "#b5403a"}
# pixels: of the figure, from its edges to the bars, and of a row of bars
WIDTH, LEFT, RIGHT, ROW = 720, 150, 60, 24
TOP = 34  # pixels from the upper edge to the grid; the legend lies above it
Box = tuple[float, float, float, float]  # left, top, right, bottom
STYLE = "font-family:system-ui,sans-serif;font-size:13px;background:#fff"


def bars(rows: list[tuple[str, float, float, str]], label: str) -> str:
    """Horizontal bars of (name, value, standard error, kind) from 0, each with its value.

    The bars are in the order given. `label` is the name of the axis.
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
        bar = (
            f'<rect x="{start:.1f}" y="{y + 4}" width="{width:.1f}" height="{ROW - 8}" '
            f'fill="{COLOURS[kind]}" fill-opacity=".8"/>'
        )
        parts += [
            f'<text x="{LEFT - 8}" y="{y + 16}" text-anchor="end">{for_html(name)}</text>',
            bar,
            f'<path d="M{x(value - error):.1f} {y + 12}H{x(value + error):.1f}" stroke="#222"/>',
            f'<text x="{WIDTH - RIGHT + 8}" y="{y + 16}">{value:.2f}</text>',
        ]
    return _page(parts, bottom + 44, label, (WIDTH + LEFT) / 2, bottom + 36)


def scatter(points: list[tuple[float, float, str, str]], x_label: str, y_label: str) -> str:
    """Points of (x, y, name, kind), with x on a log scale, each named beside it."""
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
        parts += [
            f'<path d="M{left} {y(tick):.1f}H{WIDTH - 20}" stroke="#ddd"/>',
            f'<text x="{left - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>',
        ]
    parts += _named_points([(x(at_x), y(at_y), name, kind) for at_x, at_y, name, kind in points])
    middle = (TOP + bottom) / 2
    parts.append(
        f'<text x="14" y="{middle}" transform="rotate(-90 14 {middle})" text-anchor="middle">'
        f"{for_html(y_label)}</text>"
    )
    return _page(parts, bottom + 44, x_label, WIDTH / 2, bottom + 36)


def _log_ticks(low: float, high: float) -> list[float]:
    """The numbers 1, 2 and 5 times a power of 10 whose decimal logarithms are in [low, high]."""
    numbers = []
    for power in range(math.floor(low), math.ceil(high) + 1):
        numbers += [digit * 10.0**power for digit in (1, 2, 5)]
    return [number for number in numbers if low <= math.log10(number) <= high]


def _named_points(points: list[tuple[float, float, str, str]]) -> list[str]:
    """Points of (x, y, name, kind), in pixels, with their names where these are free."""
    parts = []
    taken = [(x - 6, y - 6, x + 6, y + 6) for x, y, _, _ in points]
    for x, y, name, kind in points:
        box, anchor = _free_place(x, y, 7.2 * len(name), taken)
        taken.append(box)
        left, _, right, bottom = box
        at = left if anchor == "start" else right
        place = f'x="{at:.1f}" y="{bottom - 3:.1f}" text-anchor="{anchor}"'
        parts += [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{COLOURS[kind]}"/>',
            f"<text {place}>{for_html(name)}</text>",
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


def _grid_line(x: float, top: float, bottom: float, text: str) -> str:
    """An upright line of the grid with the text of its tick below it."""
    return (
        f'<path d="M{x:.1f} {top}V{bottom}" stroke="#ddd"/>'
        f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{text}</text>'
    )


def _page(parts: list[str], height: float, label: str, x: float, y: float) -> str:
    """The SVG file: the legend, the `parts`, and the `label` of the x axis around (x, y)."""
    keys = ""
    for number, (kind, colour) in enumerate(COLOURS.items()):
        x_key = LEFT + 130 * number
        keys += (
            f'<rect x="{x_key}" y="10" width="12" height="12" fill="{colour}"/>'
            f'<text x="{x_key + 18}" y="20">{kind}</text>'
        )
    axis_name = f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="middle">{for_html(label)}</text>'
    body = "\n".join([keys, *parts, axis_name])
    size = f'width="{WIDTH}" height="{height:g}" viewBox="0 0 {WIDTH} {height:g}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} style="{STYLE}" role="img" '
        f'aria-label="{for_html(label)}">\n'
        f'<rect width="100%" height="100%" fill="#fff"/>\n{body}\n</svg>\n'
    )
