"""Figures as files: a specification goes in; SVG, PNG, HTML or JSON comes out, without a network.

vl-convert draws them; it brings Vega and its own fonts. Same specification, same bytes.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

from lmcore.figures.theme import DARK, LIGHT, config
from lmcore.shown import for_json

WIDTH = 640  # pixels, of a figure that would fill a page


def themed(chart: dict[str, Any], *, dark: bool = False, width: int = WIDTH) -> dict[str, Any]:
    """A figure's specification with its colours and a width, as it can stand alone."""
    fixed = {"width": width} if chart.get("width") == "container" else {}
    return {**chart, **fixed, "config": config(DARK if dark else LIGHT)}


def as_svg(chart: dict[str, Any], scale: float) -> bytes:
    from vl_convert import vegalite_to_svg

    return vegalite_to_svg(chart).encode()


def as_png(chart: dict[str, Any], scale: float) -> bytes:
    from vl_convert import vegalite_to_png

    return vegalite_to_png(chart, scale=scale)


def as_html(chart: dict[str, Any], scale: float) -> bytes:
    from vl_convert import vegalite_to_html

    return vegalite_to_html(chart, bundle=True).encode()


def as_json(chart: dict[str, Any], scale: float) -> bytes:
    return (for_json(chart, indent=2) + "\n").encode()


FORMATS: dict[str, Callable[[dict[str, Any], float], bytes]] = {
    "svg": as_svg,
    "png": as_png,
    "html": as_html,
    "json": as_json,
}


@cache
def bundle() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script that needs no network and sets vegaEmbed."""
    from vl_convert import javascript_bundle

    return javascript_bundle("window.vegaEmbed = vegaEmbed;")
