"""How often something occurs: distributions below each other, and squares of two values."""

from collections.abc import Sequence

import altair as alt

from lmcore.figures.specification import (
    Field,
    Figure,
    Rows,
    colour,
    data,
    diagonal,
    finished,
    visible,
)

RIDGE = 46  # pixels of one distribution
SIDE = 300  # pixels of a field of squares
FILLED = 0.92  # how much of its row the highest bar takes


def ridges(
    name: str,
    label: str,
    counts: dict[str, list[int]],
    means: dict[str, float],
    width: float,
    names: Sequence[str],
    value: str,
) -> Figure:
    """The distribution of each of `counts` in bins of `width` from 0, below each other.

    They share the axis, which is called `value`, not the height. A triangle marks the mean.
    `names` are all series, in the order of their colours.
    """
    series, share = Field("model", "model"), Field("share", "share", ".1%")
    start, end = Field("start", "from", ".4g"), Field("end", "to", ".4g")
    mean = Field("mean", "mean", ".2f")
    across = alt.X(start.of_type, axis=alt.Axis(title=value), scale=alt.Scale(zero=True))
    fill = colour(series, names, legend=False)
    fields = [series, start, end, share, mean]
    bars = (
        alt.Chart(data(_bars(counts, means, width)))
        .mark_rect()
        .encode(
            x=across,
            x2=alt.X2(end.name),
            y=alt.Y("base:Q", scale=alt.Scale(domain=[0, len(counts)]), axis=None),
            y2=alt.Y2("top"),
            color=fill,
            tooltip=[field.tooltip() for field in fields],
        )
    )
    averages = [{"model": model, "mean": means[model]} for model in counts]
    ends = alt.Scale(domain=visible(list(counts)))
    marks = alt.Chart(alt.InlineData(values=visible(averages), name="means")).mark_point(
        style="baseline", shape="triangle-up", filled=True, size=50, yOffset=RIDGE // 2
    )
    drawn = marks.encode(
        x=alt.X(mean.of_type, axis=alt.Axis(title=value)),
        y=alt.Y(series.of_type, scale=ends, axis=alt.Axis(title=None, grid=False)),
        tooltip=[series.tooltip(), mean.tooltip()],
    )
    chart = alt.layer(bars, drawn).resolve_scale(y="independent")
    table = [{"model": model, "mean": means[model], "n": sum(counts[model])} for model in counts]
    height = RIDGE * len(counts)
    said = [series, mean, Field("n", "tokens", ",")]
    return finished(chart.properties(height=height), name, label, table, said)


def _bars(counts: dict[str, list[int]], means: dict[str, float], width: float) -> Rows:
    """One bar for each bin that is not empty: where it stands, and its share of its series."""
    bars: Rows = []
    for number, (model, numbers) in enumerate(counts.items()):
        base, total, most = len(counts) - 1 - number, sum(numbers), max(numbers)
        for place, count in enumerate(numbers):
            if count:
                bar = {"model": model, "start": place * width, "end": (place + 1) * width}
                bar |= {"share": count / total, "mean": means[model]}
                bars.append(bar | {"base": base, "top": base + FILLED * count / most})
    return bars


def squares(
    name: str,
    label: str,
    counts: list[tuple[int, int, int]],
    size: int,
    models: tuple[str, str],
    names: Sequence[str],
) -> Figure:
    """Squares of (x, y, words) on a field of size by size bits: the more words, the fuller.

    `models` are those of x and of y. The colour is that of y's among `names`.
    """
    x, y = Field("x", "bits across, from", ".0f"), Field("y", "bits upwards, from", ".0f")
    n = Field("n", "words", ",")
    rows: Rows = [{"x": a, "y": b, "n": number, "model": models[1]} for a, b, number in counts]
    ends = [{**row, "x_end": row["x"] + 1, "y_end": row["y"] + 1} for row in rows]
    scale = alt.Scale(domain=[0, size], nice=False)
    fill = colour(Field("model", "model"), names, legend=False)
    across, upwards = (visible(f"bits under {model}") for model in models)
    field = (
        alt.Chart(data(ends))
        .mark_rect()
        .encode(
            x=alt.X(x.of_type, scale=scale, axis=alt.Axis(title=across)),
            x2=alt.X2("x_end"),
            y=alt.Y(y.of_type, scale=scale, axis=alt.Axis(title=upwards, grid=False)),
            y2=alt.Y2("y_end"),
            color=fill,
            opacity=alt.Opacity(
                n.of_type, scale=alt.Scale(type="sqrt", zero=True, range=[0, 1]), legend=None
            ),
            tooltip=[x.tooltip(), y.tooltip(), n.tooltip()],
        )
    )
    chart = alt.layer(field, diagonal(0, size))
    return finished(chart.properties(height=SIDE), name, label, rows, [x, y, n])
