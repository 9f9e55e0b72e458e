"""Bars with their errors, and points with their names: what stands alone beside a text."""

import math
from collections.abc import Sequence

import altair as alt

from lmcore.figures.specification import (
    PLOT,
    Field,
    Figure,
    Rows,
    colour,
    data,
    dimmed,
    finished,
    picking,
    visible,
)

ROW = 22  # pixels of a bar
TALL = 400  # pixels of a field of points
WIDE = 420  # pixels in which its points lie from left to right
LETTER = 6.6  # pixels of a letter

Box = tuple[float, float, float, float]  # left, bottom, right, top


def bars(
    name: str,
    label: str,
    rows: Rows,
    value: Field,
    bar: Field,
    series: Field,
    names: Sequence[str],
    *,
    error: Field | None = None,
    more: Sequence[Field] = (),
) -> Figure:
    """Horizontal bars from 0, in the order of the rows, with the value beside each.

    The field `error` holds a standard error, which is drawn to either side.
    """
    fields = [bar, series, value, *([error] if error else []), *more]
    order = visible(list(dict.fromkeys(row[bar.name] for row in rows)))
    base = alt.Chart(data(rows)).encode(
        y=alt.Y(bar.of_type, scale=alt.Scale(domain=order), axis=alt.Axis(title=None)),
        tooltip=[field.tooltip() for field in fields],
    )
    across = alt.X(value.of_type, axis=alt.Axis(title=value.title, grid=True, tickCount=8))
    drawn = base.mark_bar(height=ROW - 8).encode(
        x=across, color=colour(series, names, legend=len(names) > 1), opacity=dimmed(0.85)
    )
    said = base.mark_text(align="left", dx=6).encode(
        x=alt.value("width"), text=alt.Text(value.of_type, format=value.form)
    )
    layers = [drawn.add_params(picking(series)).properties(name=PLOT)]
    if error:
        ends = base.transform_calculate(
            low=f"datum.{value.name} - datum.{error.name}",
            high=f"datum.{value.name} + datum.{error.name}",
        )
        spans = ends.mark_rule(style="baseline")
        layers.append(spans.encode(x=alt.X("low:Q", title=value.title), x2=alt.X2("high")))
    chart = alt.layer(*layers, said).properties(height=ROW * len(order))
    return finished(chart, name, label, rows, fields)


def points(
    name: str,
    label: str,
    rows: Rows,
    x: Field,
    y: Field,
    point: Field,
    series: Field,
    names: Sequence[str],
    *,
    more: Sequence[Field] = (),
) -> Figure:
    """Points with x on a log scale, each with its name beside it."""
    fields = [point, series, x, y, *more]
    placed = _with_places(rows, x, y, point)
    base = alt.Chart(data(placed)).encode(
        x=alt.X(
            x.of_type,
            scale=alt.Scale(type="log", nice=False, padding=110),
            axis=alt.Axis(title=f"{x.title} (log scale)", format="~s", labelOverlap=True),
        ),
        y=alt.Y(y.of_type, scale=alt.Scale(zero=False), axis=alt.Axis(title=y.title)),
        tooltip=[field.tooltip() for field in fields],
    )
    dots = base.mark_point(filled=True, size=70).encode(
        color=colour(series, names), opacity=dimmed()
    )
    names_at = base.encode(
        y=alt.Y("name_at:Q", title=y.title), text=point.of_type, opacity=dimmed()
    )
    beside = names_at.mark_text(
        align=alt.ExprRef("datum.side === 'left' ? 'right' : 'left'"),
        dx=alt.ExprRef("datum.side === 'left' ? -8 : 8"),
    )
    chart = alt.layer(dots.add_params(picking(series)).properties(name=PLOT), beside)
    return finished(chart.properties(height=TALL), name, label, rows, fields)


def _with_places(rows: Rows, x: Field, y: Field, name: Field) -> Rows:
    """The rows with the place of the point's name, where it lies on no point and no other name.

    `side` is right or left of the point, and `name_at` the height, level with the point or near it.
    Where no such place is free, it is right of the point and level with it.
    """
    logs, heights = [math.log10(row[x.name]) for row in rows], [row[y.name] for row in rows]
    low, bottom = min(logs, default=0), min(heights, default=0)
    unit_x = WIDE / (max(logs, default=0) - low or 1.0)
    unit_y = TALL / (max(heights, default=0) - bottom or 1.0)
    places = [((a - low) * unit_x, (b - bottom) * unit_y) for a, b in zip(logs, heights)]
    taken = [(left - 5, up - 5, left + 5, up + 5) for left, up in places]
    placed = []
    for row, (left, up) in zip(rows, places):
        candidates = []
        for rise in (0, 9, -9, 14, -14):
            width = LETTER * len(str(row[name.name]))
            right_box = (left + 8, up + rise - 6, left + 8 + width, up + rise + 6)
            left_box = (left - 8 - width, up + rise - 6, left - 8, up + rise + 6)
            candidates += [("right", rise, right_box), ("left", rise, left_box)]
        free = [entry for entry in candidates if _is_free(entry[2], taken)]
        side, rise, box = (free or candidates)[0]
        taken.append(box)
        placed.append({**row, "side": side, "name_at": row[y.name] + rise / unit_y})
    return placed


def _is_free(box: Box, taken: list[Box]) -> bool:
    """Whether the box overlaps none of those that are taken."""
    return not any(_overlap(box, other) for other in taken)


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
