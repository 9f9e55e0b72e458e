"""Items by their values under two sides, as circles among which the reader can draw a rectangle.

What stands in the specification holds the place of the data alone, since scales without any data
warn. The page sets them once it knows the two sides: CIRCLES, rows of VALUES and the number of
items; and ENDS, two rows {at, is}, the ends of the diagonal. The rectangle is the selection BRUSH,
and its value is {a: [low, high], b: [low, high]}.
"""

import altair as alt

from lmcore.figures.specification import PLOT, Field, Figure, diagonal, finished

CIRCLES, ENDS, BRUSH = "circles", "ends", "brush"
VALUES = (Field("a", "A", ".2f"), Field("b", "B", ".2f"))
AREA = [16, 400]  # square pixels of a circle of no item, and of the one with the most
SIDE = 300  # pixels


def rectangle(name: str, label: str) -> Figure:
    """The figure, with A across and B upwards."""
    n = Field("n", "items", ",")
    across, upwards = VALUES
    scale = alt.Scale(zero=False, padding=12)  # pixels
    circles = (
        alt.Chart(alt.InlineData(values=[{"a": 0, "b": 0, "n": 0}], name=CIRCLES))
        .mark_circle(style="baseline", opacity=0.45)
        .encode(
            x=alt.X(across.of_type, scale=scale, axis=alt.Axis(title=across.title)),
            y=alt.Y(upwards.of_type, scale=scale, axis=alt.Axis(title=upwards.title)),
            size=alt.Size(n.of_type, scale=alt.Scale(range=AREA, zero=True), legend=None),
            tooltip=[field.tooltip() for field in (*VALUES, n)],
        )
        .add_params(alt.selection_interval(name=BRUSH, encodings=["x", "y"]))
        .properties(name=PLOT)
    )
    chart = alt.layer(diagonal(0, 1, ENDS), circles)
    return finished(chart.properties(height=SIDE), name, label, [], [*VALUES, n])
