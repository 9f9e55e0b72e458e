"""Values with their intervals: side by side over bins, or below each other by group."""

from collections.abc import Sequence
from functools import partial

import altair as alt

from lmcore.figures.specification import (
    HEIGHT,
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

ROW = 9  # pixels between two models of a group
GAP = 10  # pixels between two groups
SHARES = [0, 0.25, 0.5, 0.75, 1]


def over_bins(
    name: str,
    label: str,
    rows: Rows,
    x: Field,
    y: Field,
    series: Field,
    names: Sequence[str],
    *,
    bins: Sequence[str],
    more: Sequence[Field] = (),
    x_title: str | None = None,
) -> Figure:
    """Marks over ordered `bins`, in which the series stand side by side, and faint lines.

    A row has the interval of y in two more fields, Y_low and Y_high. The axis spans 0.
    """
    low, high = Field(f"{y.name}_low", "from", y.form), Field(f"{y.name}_high", "to", y.form)
    fields = [series, x, y, low, high, *more]
    base = alt.Chart(data(rows)).encode(
        x=alt.X(
            x.of_type,
            scale=alt.Scale(domain=visible(list(bins))),
            axis=alt.Axis(title=x_title or x.title, labelAngle=0, labelOverlap=False),
        ),
        xOffset=alt.XOffset(series.of_type, scale=alt.Scale(domain=visible(list(names)))),
        y=alt.Y(y.of_type, axis=alt.Axis(title=y.title, format="%" if "%" in y.form else "")),
        color=colour(series, names),
        tooltip=[field.tooltip() for field in fields],
    )
    joined = base.mark_line(strokeWidth=1).encode(opacity=dimmed(0.4))
    # Vega-Lite makes the legend of these layers clickable only if the selection is the line's
    joined = joined.add_params(picking(series)).properties(name=PLOT)
    spans = base.mark_rule(strokeWidth=2).encode(
        y=alt.Y(low.of_type, title=y.title), y2=alt.Y2(high.name), opacity=dimmed(0.55)
    )
    dots = base.mark_point(filled=True, size=48).encode(opacity=dimmed())
    chart = alt.layer(joined, spans, dots)
    return finished(chart.properties(height=HEIGHT), name, label, rows, fields)


def by_group(
    name: str,
    label: str,
    rows: Rows,
    value: Field,
    group: Field,
    series: Field,
    names: Sequence[str],
    *,
    groups: Sequence[str],
    baseline: Field | None,
    more: Sequence[Field] = (),
) -> Figure:
    """A mark for each group and series on an axis from 0 to 1, with a dashed line at one half.

    A row has the interval of the value in two more fields, VALUE_low and VALUE_high, where it is
    known; in the field `baseline` it may have a value that is shown as a tick.
    """
    low = Field(f"{value.name}_low", "from", value.form)
    high = Field(f"{value.name}_high", "to", value.form)
    fields = [group, series, value, low, high, *([baseline] if baseline else []), *more]
    axis = alt.Axis(title=value.title, format="%", orient="top", grid=True, values=SHARES)
    across = partial(alt.X, scale=alt.Scale(domain=[0, 1], clamp=True), axis=axis)
    middle = alt.Chart(alt.InlineData(values=[{"at": 0.5}]))
    half = middle.mark_rule(style="middle", strokeDash=[3, 3]).encode(x=across("at:Q"))
    plain = alt.Chart(data(rows)).encode(
        y=alt.Y(
            group.of_type,
            scale=alt.Scale(domain=visible(list(groups)), paddingInner=0.2),
            axis=alt.Axis(title=None),
        ),
        yOffset=alt.YOffset(series.of_type, scale=alt.Scale(domain=visible(list(names)))),
        tooltip=[field.tooltip() for field in fields],
    )
    base = plain.encode(color=colour(series, names))
    spans = base.mark_rule(strokeWidth=2).encode(
        x=across(low.of_type), x2=alt.X2(high.name), opacity=dimmed(0.55)
    )
    layers = [half, spans]
    if baseline:
        ticks = plain.mark_tick(style="baseline", thickness=1.5, size=ROW)
        layers.append(ticks.encode(x=across(baseline.of_type), opacity=dimmed(0.7)))
    dots = base.mark_point(filled=True, size=42).encode(x=across(value.of_type), opacity=dimmed())
    layers.append(dots.add_params(picking(series)).properties(name=PLOT))
    height = len(groups) * (ROW * len(names) + GAP)
    return finished(alt.layer(*layers).properties(height=height), name, label, rows, fields)
