"""The report's sections on tokens: escaped, complete, and the same for the same tables."""

import json

from lmcore.report.curves import progression_section
from lmcore.report.figures import figures_of
from lmcore.report.tokens import heat_passages, scatter_plots, token_extremes
from tests.lmcore.figures.test_figures import rows_of


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
    figures = figures_of(html)
    assert list(figures) == ["words-b"] and scatter_plots([], ["a"]) == ""
    (square,) = rows_of(figures["words-b"])
    assert (square["x"], square["y"], square["n"]) == (0, 39, 4)


def test_progression_draws_a_line_a_suite() -> None:
    rows = [
        {"place": n, "model": f"m{n}", "loss": 3.0 - n, "entropy": 2.0, "accuracy": 0.5}
        for n in (1, 2)
    ]
    html = progression_section({"s": rows, "t": rows})
    figures = figures_of(html)
    assert list(figures) == ["progression-loss", "progression-entropy", "progression-accuracy"]
    assert rows_of(figures["progression-loss"]) == [
        {"suite": suite, "model": f"m{n}", "loss": 3.0 - n} for suite in "st" for n in (1, 2)
    ]
    assert "m1 → m2" in html and progression_section({}) == ""


def test_progression_of_checkpoints_lies_over_the_words_read_on_a_log_scale() -> None:
    rows = []
    for place, words in enumerate((1_000_000, 10_000_000, 100_000_000), 1):
        fixed = {"model": f"m{place}", "entropy": 2.0, "accuracy": 0.5}
        rows.append({"place": place, "words": str(words), "loss": 3.0 - place, **fixed})
    graded = [{**row, "spearman": 0.25} for row in rows]
    figures = figures_of(progression_section({"blimp_fast": rows, "wug_adj": graded}))
    chart = figures["progression-loss"]
    across = chart["layer"][0]["encoding"]["x"]
    assert (across["field"], across["axis"]["title"]) == ("words", "words read")
    assert across["scale"]["type"] == "log"
    assert [row["words"] for row in rows_of(chart)[:3]] == [1e6, 1e7, 1e8]
    # the correlation of the graded suite alone
    assert {row["suite"] for row in rows_of(figures["progression-spearman"])} == {"wug_adj"}


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
    assert token_extremes({"a": [], "b": []}, "s") == ""
