"""Bars with their errors, and points with their names: what stands alone beside a text."""

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
    across = alt.X(value.of_type, axis=alt.Axis(title=value.title, grid=True))
    drawn = base.mark_bar(height=ROW - 8).encode(
        x=across, color=colour(series, names), opacity=dimmed(0.85)
    )
    layers = [drawn.add_params(picking(series)).properties(name=PLOT)]
    if error:
        ends = base.transform_calculate(
            low=f"datum.{value.name} - datum.{error.name}",
            high=f"datum.{value.name} + datum.{error.name}",
        )
        spans = ends.mark_rule(style="baseline")
        layers.append(spans.encode(x=alt.X("low:Q", title=value.title), x2=alt.X2("high")))
    chart = alt.layer(*layers).properties(height=ROW * len(order))
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
    base = alt.Chart(data(rows)).encode(
        x=alt.X(
            x.of_type,
            scale=alt.Scale(type="log", nice=False, padding=50),
            axis=alt.Axis(title=f"{x.title} (log scale)", format="~s", labelOverlap=True),
        ),
        y=alt.Y(y.of_type, scale=alt.Scale(zero=False), axis=alt.Axis(title=y.title)),
        tooltip=[field.tooltip() for field in fields],
    )
    dots = base.mark_point(filled=True, size=70).encode(
        color=colour(series, names), opacity=dimmed()
    )
    said = base.mark_text(align="left", dx=8).encode(text=point.of_type, opacity=dimmed())
    chart = alt.layer(dots.add_params(picking(series)).properties(name=PLOT), said)
    return finished(chart.properties(height=TALL), name, label, rows, fields)
