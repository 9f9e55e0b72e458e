"""How figures look: the page's colours, light and dark, as a configuration of Vega-Lite.

A specification itself names no colour. The n-th series takes the n-th of the eight, as it does in
the page's tables (layout.css has the same colours).
"""

from typing import Any, NamedTuple

FONT = "system-ui, -apple-system, Segoe UI, Roboto, Liberation Sans, Arial, sans-serif"
SIZE = 12  # pixels


class Palette(NamedTuple):
    """The colours of a page."""

    paper: str
    text: str
    muted: str  # the text of axes
    rule: str  # grid
    strong: str  # lines that the eye should find
    series: tuple[str, ...]


LIGHT = Palette(
    paper="#ffffff",
    text="#1d2126",
    muted="#5c6470",
    rule="#e2e3e0",
    strong="#878d96",
    series=(
        "#0b66b8",
        "#c2500a",
        "#767c86",
        "#8d4fa8",
        "#0a7f5f",
        "#a5780a",
        "#c03a66",
        "#26879a",
    ),
)
DARK = Palette(
    paper="#1b1f24",
    text="#e4e6e8",
    muted="#a1a9b3",
    rule="#2d333a",
    strong="#78818c",
    series=(
        "#62aef2",
        "#f28c4b",
        "#a3a9b2",
        "#c492dd",
        "#4cc3a0",
        "#e0b84a",
        "#f07fa2",
        "#69c8da",
    ),
)


def config(palette: Palette) -> dict[str, Any]:
    """The configuration of Vega-Lite that draws in these colours."""
    words = {"labelColor": palette.muted, "titleColor": palette.muted}
    sizes = {"labelFontSize": SIZE, "titleFontSize": SIZE, "titleFontWeight": "normal"}
    return {
        "background": palette.paper,
        "font": FONT,
        "range": {"category": list(palette.series)},
        "view": {"stroke": None},
        "axis": {
            **words,
            **sizes,
            "gridColor": palette.rule,
            "domainColor": palette.strong,
            "tickColor": palette.strong,
            "labelLimit": 230,
        },
        "axisY": {
            "titleAngle": 0,
            "titleAlign": "left",
            "titleAnchor": "start",
            "titleX": 0,
            "titleY": -10,
            "titleBaseline": "bottom",
            "domain": False,
            "ticks": False,
            "labelPadding": 6,
        },
        "axisX": {"titleAnchor": "end", "grid": False},
        "legend": {
            "labelColor": palette.text,
            "labelFontSize": SIZE + 1,
            "labelLimit": 220,
            "symbolOpacity": 1,
            "offset": 24,
            "rowPadding": 4,
            "columnPadding": 18,
        },
        "style": {"middle": {"color": palette.strong}, "baseline": {"color": palette.text}},
        "selection": {
            "interval": {"mark": {"fill": palette.strong, "stroke": palette.text}},
        },
        "text": {"color": palette.text, "fontSize": SIZE},
        "line": {"strokeWidth": 2, "strokeJoin": "round"},
    }
