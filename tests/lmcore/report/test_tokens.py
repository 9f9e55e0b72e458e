"""The report's sections on tokens: escaped, complete, and the same for the same tables."""

import json

import pytest

from lmcore.report.figures import log_ticks, short_number
from lmcore.report.tokens import heat_passages, progression_curves, scatter_plots, token_extremes


def row(model: str, text: str, surprisal: float) -> dict:
    alternatives = json.dumps([["<b>", 0.25], [" the", 0.125]])
    numbers = {"surprisal": surprisal, "entropy": 1.0, "rank": 3}
    return {
        "suite": "s",
        "item": "s/<1>",
        "model": model,
        "position": 0,
        "text": text,
        "alternatives": alternatives,
        **numbers,
    }


def test_heat_shows_every_token_of_every_model_with_its_alternatives() -> None:
    html = heat_passages(
        [row("a", "<i>", 8.0), row("a", " x", 99.0), row("b", "y", 0.0)], ["a", "b"]
    )
    assert (
        '<span style="--s:0.50"' in html
        and '<span style="--s:1.00"' in html
        and '<span style="--s:0.00"' in html
    )
    assert (
        "&lt;b&gt; 25.0 %, the 12.5 %" in html and ">&lt;i&gt;</span>" in html and "<i>" not in html
    )
    assert html.count("<details") == 2 and heat_passages([], ["a"]) == ""


def test_scatter_has_a_panel_for_every_other_model() -> None:
    rows = [{"suite": "s", "x_model": "a", "y_model": "b", "x": 0, "y": 39, "n": 4}]
    html = scatter_plots(rows, ["a", "b"])
    assert (
        html.count("<svg") == 1
        and '<rect x="0" y="0"' in html
        and "4 words" in html
        and scatter_plots([], ["a"]) == ""
    )


def test_progression_draws_a_line_a_suite() -> None:
    rows = [
        {"place": n, "model": f"m{n}", "loss": 3.0 - n, "entropy": 2.0, "accuracy": 0.5}
        for n in (1, 2)
    ]
    html = progression_curves({"s": rows, "t": rows})
    assert html.count("<polyline") == 6 and "m1 → m2" in html and progression_curves({}) == ""


def test_progression_of_checkpoints_lies_over_the_words_read_on_a_log_scale() -> None:
    rows = []
    for place, words in enumerate((1_000_000, 10_000_000, 100_000_000), 1):
        fixed = {"model": f"m{place}", "entropy": 2.0, "accuracy": 0.5}
        rows.append({"place": place, "words": str(words), "loss": 3.0 - place, **fixed})
    graded = [{**row, "spearman": 0.25} for row in rows]
    html = progression_curves({"blimp_fast": rows, "wug_adj": graded})
    assert "words read" in html and ">model<" not in html
    for text, place in (("1M", "0.00%"), ("10M", "50.00%"), ("100M", "100.00%")):
        assert f'left:{place}">{text}<' in html
    # loss, entropy and accuracy of both suites, and the correlation of the graded one
    assert html.count("<polyline") == 7 and "<h3>spearman</h3>" in html


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (1e6, 1e7, [1e6, 2e6, 5e6, 1e7]),
        (3, 4_000_000, [10, 100, 1000, 10_000, 100_000, 1_000_000]),
        (300, 450, [300, 450]),
        (7, 7, [7]),
    ],
)
def test_log_ticks_are_round_numbers_within_the_ends(low, high, expected) -> None:
    assert log_ticks(low, high) == pytest.approx(expected)


def test_short_numbers_of_ticks() -> None:
    numbers = [0.5, 20, 1_500, 20_000_000, 1e9]
    assert [short_number(x) for x in numbers] == ["0.5", "20", "1.5k", "20M", "1B"]


def test_extremes_stand_in_their_own_columns() -> None:
    ends = (
        ("current", "highest", 6.5),
        ("current", "lowest", 0.5),
        ("next", "lowest", -9.25),
        ("next", "highest", -0.25),
    )
    rows = [
        {"suite": "s", "side": side, "end": end, "token": f"<{end}", "n": 7, "value": value}
        for side, end, value in ends
    ]
    html = token_extremes({"a": rows, "b": []}, "s")
    cells = [
        f'<td><span title="7 times">&lt;{end} <small>{value:.2f}</small></span></td>'
        for _, end, value in ends
    ]
    assert "".join(cells) in html and html.count("<td></td>") == 1 + 4
