"""The report's sections on tokens: the tables of lmcore.analysis go in, HTML comes out."""

import json
from pathlib import Path

from lmcore.analysis.by_token import BY_TOKEN, extremes
from lmcore.analysis.entropy_bins import CALIBRATION, ENTROPY_BINS
from lmcore.analysis.passage import PASSAGE
from lmcore.analysis.same_text import MAX_BITS, SCATTER
from lmcore.report.figures import line_plot, series
from lmcore.shown import for_html
from lmcore.tables import read

N_EXTREMES = 8  # tokens at either end of the by-token tables
FULL = 16  # bits at which a token's colour is full
STYLE = """<style>
.heat { white-space: pre-wrap; line-height: 1.9; overflow-wrap: anywhere }
.heat span { background: color-mix(in srgb, var(--c) calc(var(--s) * 75%), transparent); border-radius: 3px; padding: .12em 0 }
.heat span:hover { outline: 1px solid var(--strong) }
.squares { display: grid; grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr)); gap: 1.4rem 1.8rem }
.squares svg { border-left: 1px solid var(--strong); border-bottom: 1px solid var(--strong) } .squares rect { fill: var(--c) }
.squares p { margin: .3rem 0 0 }
</style>"""


def token_sections(analysis: Path, models: list[str]) -> dict[str, tuple[str, str]]:
    """Sections (anchor: title and body) of what stage analyse_tokens wrote to `analysis`."""
    bins = {
        model: read(analysis / "entropy_bins" / f"{model}.parquet", ENTROPY_BINS).to_pylist()
        for model in models
    }
    calibrations = {
        model: read(analysis / "calibration" / f"{model}.parquet", CALIBRATION).to_pylist()
        for model in models
    }
    passages, scatter = (
        read(analysis / "passage.parquet", PASSAGE).to_pylist(),
        read(analysis / "scatter.parquet", SCATTER).to_pylist(),
    )
    if not passages:
        return {}
    suite = passages[0]["suite"]
    by_token = {
        model: read(analysis / "by_token" / f"{model}.parquet", BY_TOKEN) for model in models
    }
    sections = {
        "passage": ("Surprise along a passage", heat_passages(passages, models)),
        "sure": (
            "How good where it is sure",
            probability_by_entropy(bins, models, suite)
            + calibration_curves(calibrations, models, suite),
        ),
        "tokens": (
            "Token by token",
            token_extremes(
                {model: extremes(table, N_EXTREMES) for model, table in by_token.items()}, suite
            ),
        ),
        "words": (
            "Model against model, word by word",
            scatter_plots([row for row in scatter if row["suite"] == suite], models),
        ),
    }
    return {anchor: (title, body) for anchor, (title, body) in sections.items() if body}


def heat_passages(rows: list[dict], models: list[str]) -> str:
    """The passage once a model, each token coloured by its surprisal, with what the model expected instead on hover."""
    if not rows:
        return ""
    body = ""
    for number, model in enumerate(models):
        tokens = "".join(_token(row) for row in rows if row["model"] == model)
        is_open = " open" if number == 0 else ""
        summary = f'<summary class="{series(number)}"><code>{for_html(model)}</code></summary>'
        body += f'<details{is_open}>{summary}<div class="card heat {series(number)}">{tokens}</div></details>\n'
    return (
        f'{STYLE}<p class="caption">The beginning of <code>{for_html(rows[0]["item"])}</code>. The stronger a token\'s colour, the more it '
        f"surprised the model (full at {FULL} bits); point at it for its surprisal, its rank and what the model expected instead.</p>\n"
    ) + body


def probability_by_entropy(bins: dict[str, list[dict]], models: list[str], suite: str) -> str:
    """Mean probability of the token that came, by entropy bin."""
    lines = {
        model: [
            (row["entropy_mean"], row["probability_mean"])
            for row in bins[model]
            if row["suite"] == suite and row["edges"] == "own"
        ]
        for model in models
    }
    return (
        f'<p class="caption">On <code>{for_html(suite)}</code>, in bins of equally many tokens: the entropy of the distribution that '
        "predicted a token, and the mean probability of the token that came. A model that knows nothing is one point or a flat line.</p>\n"
        f'<div class="card">{line_plot(lines, "entropy, nats", "mean probability of the token")}</div>\n'
    )


def calibration_curves(bins: dict[str, list[dict]], models: list[str], suite: str) -> str:
    """How often the first choice was right, by its probability."""
    lines = {
        model: [
            (row["top_probability_mean"], row["accuracy"])
            for row in bins[model]
            if row["suite"] == suite
        ]
        for model in models
    }
    lines["perfect"] = [(0.0, 0.0), (1.0, 1.0)]
    return (
        '<p class="caption">Calibration: how often the model\'s first choice was right, by the probability it gave it. Above the line of '
        "perfect calibration a model is too modest, below it too sure.</p>\n"
        f'<div class="card">{line_plot(lines, "probability of the first choice", "share right")}</div>\n'
    )


def token_extremes(rows: dict[str, list[dict]], suite: str) -> str:
    """By model the tokens at the ends of its by-token table of one suite: after which it is undecided or sure, and which it sees coming."""
    kinds = {
        ("current", "highest"): "undecided after",
        ("current", "lowest"): "sure after",
        ("next", "lowest"): "surprised by",
        ("next", "highest"): "expects",
    }
    lines = ""
    for number, (model, found) in enumerate(rows.items()):
        cells = ""
        for side, end in kinds:
            chosen = [
                row
                for row in found
                if (row["suite"], row["side"], row["end"]) == (suite, side, end)
            ]
            said = [
                f'<span title="{row["n"]:,} times">{for_html(row["token"])} <small>{row["value"]:.2f}</small></span>'
                for row in chosen
            ]
            cells += f"<td>{'<br>'.join(said)}</td>"
        lines += f'<tr class="{series(number)}"><th scope="row"><i></i>{for_html(model)}</th>{cells}</tr>\n'
    heads = "".join(f'<th scope="col">{title}</th>' for title in kinds.values())
    return (
        f'<p class="caption">On <code>{for_html(suite)}</code>: the tokens after which a model\'s entropy is highest and lowest on '
        "average, and those whose own log-prob is, in nats. Rare tokens are left out; tokens of a model that knows nothing differ by "
        "chance.</p>\n"
        f'<div class="card scroll wide"><table><thead><tr><td></td>{heads}</tr></thead><tbody>\n{lines}</tbody></table></div>\n'
    )


def scatter_plots(rows: list[dict], models: list[str]) -> str:
    """One square a model: the words by their bits under the first model (across) and under this one (upwards)."""
    if not rows:
        return ""
    panels = ""
    for number, model in enumerate(models):
        squares = [row for row in rows if row["y_model"] == model]
        if not squares:
            continue
        top = max(row["n"] for row in squares)
        drawn = "".join(
            f'<rect x="{row["x"]}" y="{MAX_BITS - 1 - row["y"]}" width="1" height="1" opacity="{(row["n"] / top) ** 0.5:.2f}">'
            f"<title>{row['x']} to {row['x'] + 1} bits, {row['y']} to {row['y'] + 1} bits: {row['n']:,} words</title></rect>"
            for row in squares
        )
        said = f"{for_html(model)} upwards, {for_html(rows[0]['x_model'])} across"
        diagonal = f'<line class="middle" stroke-width=".1" x1="0" y1="{MAX_BITS}" x2="{MAX_BITS}" y2="0"/>'
        panels += (
            f'<div class="{series(number)}"><svg viewBox="0 0 {MAX_BITS} {MAX_BITS}" role="img" aria-label="{said}">{drawn}{diagonal}</svg>'
            f'<p class="muted"><small>{said}</small></p></div>\n'
        )
    return (
        f'<p class="caption">Every word of <code>{for_html(rows[0]["suite"])}</code> by its surprisal under two models, in squares of one '
        f"bit up to {MAX_BITS}. A word's surprisal is the sum over its tokens, so tokenizers may differ. Below the diagonal lie the "
        f'words that the model named first finds less surprising.</p>\n<div class="card squares">{panels}</div>\n'
    )


def progression_curves(curves: dict[str, list[dict]]) -> str:
    """Loss, entropy and accuracy over an ordered list of models, a plot each with a line a suite."""
    body = ""
    for name in ("loss", "entropy", "accuracy"):
        lines = {
            suite: [(float(row["place"]), float(row[name])) for row in rows]
            for suite, rows in curves.items()
        }
        body += f'<h3>{name}</h3>\n<div class="card">{line_plot(lines, "model", name)}</div>\n'
    order = next(iter(curves.values()), [])
    return (
        f'<p class="caption">{" → ".join(for_html(row["model"]) for row in order)}</p>\n{body}'
        if order
        else ""
    )


def _token(row: dict) -> str:
    share = min(1.0, row["surprisal"] / FULL)
    expected = ", ".join(
        f"{token.strip() or '␣'} {100 * probability:.1f} %"
        for token, probability in json.loads(row["alternatives"])
    )
    said = f"{row['surprisal']:.1f} bits, rank {row['rank']:,}, entropy {row['entropy']:.2f} nats; expected: {expected}"
    return f'<span style="--s:{share:.2f}" title="{for_html(said)}">{for_html(row["text"])}</span>'
