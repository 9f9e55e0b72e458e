"""The figures as templates of `dvc plots`: the same specifications, with DVC's anchors in place of
data and names, which it fills in.

`python -m lmcore.figures.templates` writes them to .dvc/plots, where DVC looks for the `template`
of a plot in dvc.yaml. Source of the anchors: dvc_render/vega.py of DVC.
"""

from pathlib import Path
from typing import Any

from lmcore.figures.bars import ROW, bars
from lmcore.figures.intervals import over_bins
from lmcore.figures.lines import lines
from lmcore.figures.specification import Field, Figure
from lmcore.figures.theme import LIGHT, config
from lmcore.files import write_json

SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"  # what DVC draws with
FOLDER = Path(".dvc/plots")
REVISION = Field("rev", "revision")


def anchor(name: str) -> str:
    """What DVC replaces, whether it is a whole text or a part of one."""
    return f"<DVC_METRIC_{name}>"


def templates() -> dict[str, dict[str, Any]]:
    """The templates by name."""
    x, y = (Field(anchor(name), anchor(f"{name}_LABEL"), ".4g") for name in "XY")
    bin_, bar = x._replace(form=""), y._replace(form="")
    figures = [
        lines("lines", "", [], x, y, REVISION, []),
        over_bins("intervals", "", [], bin_, y, REVISION, [], bins=[]),
        bars("bars", "", [], x, bar, REVISION, []),
    ]
    made = {figure.name: _template(figure) for figure in figures}
    made["bars"] |= {"height": {"step": ROW}}
    return made


def write_templates(folder: Path) -> None:
    """Write each template to `folder`/NAME.json."""
    for name, template in templates().items():
        write_json(template, folder / f"{name}.json")


def _template(figure: Figure) -> dict[str, Any]:
    """The specification of a figure without rows, with anchors."""
    chart = {**figure.chart, "config": config(LIGHT)}
    chart |= {"width": anchor("PLOT_WIDTH"), "height": anchor("PLOT_HEIGHT")}
    chart |= {"title": anchor("TITLE"), "data": {"values": anchor("DATA")}}
    chart["layer"] = [_layer(layer) for layer in figure.chart["layer"]]
    del chart["description"]
    chart["$schema"] = SCHEMA
    return chart


def _layer(layer: dict[str, Any]) -> dict[str, Any]:
    """A layer whose colour is the revision and whose dashes are the file, as DVC says."""
    encoding = {}
    for channel, value in layer["encoding"].items():
        if isinstance(value, dict) and value.get("scale") == {"domain": []}:
            value = {key: entry for key, entry in value.items() if key != "scale"}
            value["sort"] = None  # in the order of the rows
        encoding[channel] = value
    encoding["color"] = anchor("COLOR")
    if layer["mark"]["type"] == "bar":  # those of two revisions side by side, not one on the other
        encoding["yOffset"] = {"field": REVISION.name, "type": "nominal", "sort": None}
        layer = {**layer, "mark": {"type": "bar"}}
    if layer["mark"]["type"] == "line":
        encoding["strokeDash"] = anchor("STROKE_DASH")
    return {**{key: value for key, value in layer.items() if key != "data"}, "encoding": encoding}


if __name__ == "__main__":
    write_templates(FOLDER)
