"""Figures: the numbers stand in the specification, names are values, and the same data are drawn
to the same bytes."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from vl_convert import vegalite_to_vega

from lmcore.figures.files import FORMATS, themed
from lmcore.figures.lines import MOST, thinned
from lmcore.figures.theme import DARK, LIGHT, Palette, config
from lmcore.report.layout import script_json
from lmcore.shown import for_terminal
from tests.lmcore.figures.some_figures import some_figures
from tests.lmcore.nasty import NASTY

CSS = Path(__file__).parents[3] / "lmcore/report/layout.css"


def rows_of(chart: dict) -> list[dict]:
    """The rows that stand in a specification, in whatever layer."""
    found = chart.get("data", {})
    rows = list(found.get("values", [])) if found.get("name") == "rows" else []
    for layer in chart.get("layer", []):
        rows = rows or rows_of(layer)
    return rows


PLACE = re.compile(r', "side": "\w+", "name_at": [-\d.]+')
DRAW = """
import sys
from tests.lmcore.figures.test_figures import drawn
sys.stdout.buffer.write(drawn())
"""


def drawn() -> bytes:
    """All families, one after another, as SVG."""
    return b"".join(FORMATS["svg"](themed(one.chart), 1) for one in some_figures().values())


def test_figures_are_drawn_to_the_same_bytes_in_another_process() -> None:
    files = drawn()
    assert files.count(b"<svg ") == len(some_figures()) and b"NaN" not in files
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", DRAW], cwd=root, capture_output=True, check=True)
    assert done.stdout == files and b"WARN" not in done.stderr


def test_lines_hold_values_bands_and_one_colour_for_each_name() -> None:
    figure = some_figures()["lines"]
    assert rows_of(figure.chart) == figure.rows
    assert figure.rows[0] == {
        "model": "one",
        "step": 1,
        "loss": 3.0,
        "loss_low": 2.5,
        "loss_high": 3.5,
    }
    diagonal, band, line = figure.chart["layer"]
    assert diagonal["data"]["values"] == [{"at": 0, "is": 0}, {"at": 1, "is": 1}]
    assert band["encoding"]["y"]["field"] == "loss_low"
    assert band["encoding"]["y2"]["field"] == "loss_high"
    assert line["encoding"]["x"]["scale"]["type"] == "log"
    assert line["encoding"]["color"]["scale"]["domain"] == ["one", "other"]
    assert [entry["field"] for entry in line["encoding"]["tooltip"]] == [
        "model",
        "step",
        "loss",
        "loss_low",
        "loss_high",
    ]


def test_a_click_on_a_legend_picks_series_and_dims_the_others() -> None:
    for family in ("lines", "over_bins", "by_group", "bars", "points"):
        chart = some_figures()[family].chart
        (picked,) = chart["params"]
        assert (picked["name"], picked["bind"], picked["views"]) == ("picked", "legend", ["plot"])
        assert picked["select"]["toggle"] == "true"
        assert json.dumps(chart).count('"param": "picked"') >= 1


def test_groups_span_0_to_1_with_their_baseline() -> None:
    half, spans, ticks, dots = some_figures()["by_group"].chart["layer"]
    assert half["data"]["values"] == [{"at": 0.5}]
    assert spans["encoding"]["x"]["scale"] == {"clamp": True, "domain": [0, 1]}
    assert (spans["encoding"]["x"]["field"], spans["encoding"]["x2"]["field"]) == (
        "accuracy_low",
        "accuracy_high",
    )
    assert ticks["encoding"]["x"]["field"] == "base" and dots["encoding"]["x"]["field"] == (
        "accuracy"
    )


def test_ridges_are_as_high_as_their_share_of_the_highest() -> None:
    bars, means = some_figures()["ridges"].chart["layer"]
    rows = bars["data"]["values"]
    heights = [round(row["top"] - row["base"], 6) for row in rows]
    assert [(row["start"], row["end"], row["share"]) for row in rows] == [
        (0.0, 0.5, 0.8),
        (1.0, 1.5, 0.2),
    ]
    assert heights[1] == heights[0] / 4
    assert means["data"]["values"] == [{"model": "one", "mean": 0.3}]


def test_squares_are_a_bit_wide() -> None:
    field, _ = some_figures()["squares"].chart["layer"]
    first = {"x": 0, "y": 0, "n": 5, "model": "other", "x_end": 1, "y_end": 1}
    assert field["data"]["values"][0] == first


def test_long_series_are_averaged_and_short_ones_kept() -> None:
    points = [(float(x), 2.0 * x) for x in range(10 * MOST)]
    few = thinned(points)
    assert len(few) == MOST and few[0] == (4.5, 9.0) and few[-1] == (1994.5, 3989.0)
    assert thinned(points[:MOST]) == points[:MOST]


def test_every_legend_answers_to_clicks() -> None:
    """Where a selection is of the wrong layer, Vega-Lite draws its legend and leaves it dead."""
    n_legends = 0
    for figure in some_figures().values():
        for legend in vegalite_to_vega(themed(figure.chart)).get("legends", []):
            labels = legend.get("encode", {}).get("labels", {})
            assert labels.get("interactive"), figure.name
            n_legends += 1
    assert n_legends == 5


@pytest.mark.parametrize("text", NASTY.values())
def test_names_from_data_are_values_and_no_expressions(text: str) -> None:
    """A title of a tooltip or a sort order would become part of an expression of Vega."""
    tame = some_figures("tame")
    for family, figure in some_figures(text).items():
        chart = figure.chart
        written, expected = json.dumps(chart), json.dumps(tame[family].chart)
        # a longer name may need another place beside its point
        written, expected = (PLACE.sub("", one) for one in (written, expected))
        assert json.dumps(for_terminal(text))[1:-1] in written
        assert written.replace(json.dumps(for_terminal(text))[1:-1], "tame") == expected
        for tooltip in re.findall(r'"tooltip": (\[.*?\])', json.dumps(chart)):
            assert json.dumps(for_terminal(text))[1:-1] not in tooltip


def test_elements_in_names_are_text_in_a_file() -> None:
    chart = some_figures(NASTY["elements"])["over_bins"].chart
    drawn = FORMATS["svg"](themed(chart), 1).decode()
    assert "&lt;xss onxss=1&gt;" in drawn and "<xss" not in drawn and "<script" not in drawn


def test_json_in_a_script_cannot_end_it() -> None:
    text = "</script><!--&\u2028\ud800"
    written = script_json({text: [text]})
    assert not set("<>&\u2028\ud800") & set(written)
    assert json.loads(written) == {text: [text]}


@pytest.mark.parametrize(("way", "start"), [("png", b"\x89PNG"), ("json", b"{\n")])
def test_other_formats_are_what_they_are_called(way: str, start: bytes) -> None:
    chart = themed(some_figures()["bars"].chart, dark=True)
    drawn = FORMATS[way](chart, 2)
    assert drawn.startswith(start) and drawn == FORMATS[way](chart, 2)


def test_colours_are_those_of_the_page() -> None:
    """layout.css gives the light and the dark colour of each name."""
    text = CSS.read_text("utf-8")
    for number, (light, dark) in enumerate(zip(LIGHT.series, DARK.series, strict=True)):
        assert f"--h{number}: light-dark({light}, {dark});" in text


def luminance(colour: str) -> float:
    """The relative luminance of a colour (WCAG 2.2)."""
    parts = []
    for start in (1, 3, 5):
        value = int(colour[start : start + 2], 16) / 255
        parts.append(value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4)
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_words_contrast_with_the_paper(palette: Palette) -> None:
    themes = config(palette)
    colours = {themes["axis"]["labelColor"], themes["legend"]["labelColor"], palette.text}
    for colour in colours:
        one, other = sorted((luminance(colour), luminance(palette.paper)))
        assert (other + 0.05) / (one + 0.05) >= 4.5
