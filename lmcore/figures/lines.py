"""Lines over a common axis, with bands where a value has a range."""

from collections import Counter
from collections.abc import Sequence

import altair as alt

from lmcore.figures.specification import (
    HEIGHT,
    PLOT,
    Field,
    Figure,
    Rows,
    colour,
    data,
    diagonal,
    dimmed,
    finished,
    picking,
)

FEW = 40  # points of a line up to which each is drawn
MOST = 200  # points of a line that are kept


def lines(
    name: str,
    label: str,
    rows: Rows,
    x: Field,
    y: Field,
    series: Field,
    names: Sequence[str],
    *,
    more: Sequence[Field] = (),
    log_x: bool = False,
    from_zero: bool = False,
    with_diagonal: bool = False,
) -> Figure:
    """A line for each of the `names`, through its rows in their order.

    Rows may have the range of y in two more fields, Y_low and Y_high, which becomes a band. `more`
    are fields that tooltips and tables show besides. `with_diagonal` draws a dashed line from
    (0, 0) to (1, 1).
    """
    low, high = Field(f"{y.name}_low", "lowest", y.form), Field(f"{y.name}_high", "highest", y.form)
    has_band = any(low.name in row for row in rows)
    fields = [series, x, y, *([low, high] if has_band else []), *more]
    across = _across(x, log_x=log_x)
    axis = alt.Axis(title=y.title, format="%" if "%" in y.form else "")
    upwards = alt.Y(y.of_type, scale=alt.Scale(zero=from_zero), axis=axis)
    base = alt.Chart(data(rows)).encode(x=across, color=colour(series, names))
    longest = max(Counter(row[series.name] for row in rows).values(), default=0)
    point = alt.OverlayMarkDef(size=36, filled=True, opacity=1 if longest <= FEW else 0)
    layers = []
    if with_diagonal:
        layers.append(diagonal(0, 1))
    if has_band:
        band = base.mark_area(line=False).encode(
            y=alt.Y(low.of_type, title=y.title), y2=alt.Y2(high.name), opacity=dimmed(0.2)
        )
        layers.append(band)
    drawn = base.mark_line(point=point)
    tooltip = [field.tooltip() for field in fields]
    drawn = drawn.encode(y=upwards, opacity=dimmed(), tooltip=tooltip)
    layers.append(drawn.add_params(picking(series)).properties(name=PLOT))
    return finished(alt.layer(*layers).properties(height=HEIGHT), name, label, rows, fields)


def _across(x: Field, *, log_x: bool) -> alt.X:
    """The x axis: of numbers, or of names in the order of the rows."""
    if not x.form:
        return alt.X(x.of_type, sort=None, axis=alt.Axis(title=x.title, labelAngle=0))
    scale = alt.Scale(type="log", nice=False) if log_x else alt.Scale(zero=False, nice=False)
    form = "~s" if x.form == "," else ""  # D3's own
    axis = alt.Axis(title=x.title, tickCount=6, labelOverlap=True, format=form)
    return alt.X(x.of_type, scale=scale, axis=axis)


def thinned(points: list[tuple[float, ...]], most: int = MOST) -> list[tuple[float, ...]]:
    """At most `most` points: the means of equally many neighbours, where there are more."""
    if len(points) <= most:
        return points
    means = []
    for number in range(most):
        start, end = len(points) * number // most, len(points) * (number + 1) // most
        columns = zip(*points[start:end], strict=True)
        means.append(tuple(sum(column) / (end - start) for column in columns))
    return means
