"""The report's sections on tokens: the tables of lmcore.analysis go in, HTML comes out."""

import json
from pathlib import Path

import pyarrow as pa

from lmcore.analysis.by_token import BY_TOKEN, extremes
from lmcore.analysis.entropy_bins import CALIBRATION, ENTROPY_BINS
from lmcore.analysis.passage import PASSAGE
from lmcore.analysis.same_text import MAX_BITS, SCATTER
from lmcore.report.figures import line_plot, series
from lmcore.shown import for_html
from lmcore.tables import read

N_EXTREMES = 8  # tokens at either end of the by-token tables
FULL = 16  # bits at which a token's colour is full
# the columns of the table of extremes: side and end in the by-token table, and the title
EXTREMES = (
    ("current", "highest", "undecided after"),
    ("current", "lowest", "sure after"),
    ("next", "lowest", "surprised by"),
    ("next", "highest", "expects"),
)
# a backslash at the end of a line joins it to the next one
STYLE = """<style>
.heat { white-space: pre-wrap; line-height: 1.9; overflow-wrap: anywhere }
.heat span { background: color-mix(in srgb, var(--c) calc(var(--s) * 75%), transparent); \
border-radius: 3px; padding: .12em 0 }
.heat span:hover { outline: 1px solid var(--strong) }
.squares { display: grid; grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr)); \
gap: 1.4rem 1.8rem }
.squares svg { border-left: 1px solid var(--strong); border-bottom: 1px solid var(--strong) } \
.squares rect { fill: var(--c) }
.squares p { margin: .3rem 0 0 }
</style>"""


def token_sections(analysis: Path, models: list[str]) -> dict[str, tuple[str, str]]:
    """The sections {anchor: (title, body)} of what the stage analyse_tokens wrote to `analysis`.

    A section without anything to show is left out; without a passage all are.
    """
    bins = _rows_by_model(analysis / "entropy_bins", ENTROPY_BINS, models)
    calibrations = _rows_by_model(analysis / "calibration", CALIBRATION, models)
    passages = read(analysis / "passage.parquet", PASSAGE).to_pylist()
    scatter = read(analysis / "scatter.parquet", SCATTER).to_pylist()
    if not passages:
        return {}
    suite = passages[0]["suite"]
    ends = {}
    for model in models:
        by_token = read(analysis / "by_token" / f"{model}.parquet", BY_TOKEN)
        ends[model] = extremes(by_token, N_EXTREMES)
    curves = probability_by_entropy(bins, models, suite)
    curves += calibration_curves(calibrations, models, suite)
    squares = scatter_plots([row for row in scatter if row["suite"] == suite], models)
    sections = {
        "passage": ("Surprise along a passage", heat_passages(passages, models)),
        "sure": ("How good where it is sure", curves),
        "tokens": ("Token by token", token_extremes(ends, suite)),
        "words": ("Model against model, word by word", squares),
    }
    return {anchor: (title, body) for anchor, (title, body) in sections.items() if body}


def heat_passages(rows: list[dict], models: list[str]) -> str:
    """The passage once for each model, with each token coloured by its surprisal.

    A token that is pointed at shows what the model expected instead. rows: those of PASSAGE.
    """
    if not rows:
        return ""
    body = ""
    for number, model in enumerate(models):
        tokens = "".join(_token(row) for row in rows if row["model"] == model)
        is_open = " open" if number == 0 else ""
        summary = f'<summary class="{series(number)}"><code>{for_html(model)}</code></summary>'
        text = f'<div class="card heat {series(number)}">{tokens}</div>'
        body += f"<details{is_open}>{summary}{text}</details>\n"
    return (
        f'{STYLE}<p class="caption">The beginning of <code>{for_html(rows[0]["item"])}</code>. '
        "The stronger a token's colour, the more it surprised the model (full at "
        f"{FULL} bits); point at it for its surprisal, its rank and what the model expected "
        f"instead.</p>\n{body}"
    )


def probability_by_entropy(bins: dict[str, list[dict]], models: list[str], suite: str) -> str:
    """The mean probability of the token that came, by entropy bin.

    bins: for each model its rows of ENTROPY_BINS.
    """
    lines = {}
    for model in models:
        rows = [row for row in bins[model] if row["suite"] == suite and row["edges"] == "own"]
        lines[model] = [(row["entropy_mean"], row["probability_mean"]) for row in rows]
    return (
        f'<p class="caption">On <code>{for_html(suite)}</code>, in bins of equally many tokens: '
        "the entropy of the distribution that predicted a token, and the mean probability of the "
        "token that came. A model that knows nothing is one point or a flat line.</p>\n"
        f'<div class="card">{line_plot(lines, "entropy, nats", "mean probability of the token")}'
        "</div>\n"
    )


def calibration_curves(bins: dict[str, list[dict]], models: list[str], suite: str) -> str:
    """How often the model's first choice was right, by the probability that it gave it.

    bins: for each model its rows of CALIBRATION.
    """
    lines = {}
    for model in models:
        rows = [row for row in bins[model] if row["suite"] == suite]
        lines[model] = [(row["top_probability_mean"], row["accuracy"]) for row in rows]
    lines["perfect"] = [(0.0, 0.0), (1.0, 1.0)]
    return (
        '<p class="caption">Calibration: how often the model\'s first choice was right, by the '
        "probability it gave it. Above the line of perfect calibration a model is too modest, "
        "below it too sure.</p>\n"
        f'<div class="card">{line_plot(lines, "probability of the first choice", "share right")}'
        "</div>\n"
    )


def token_extremes(rows: dict[str, list[dict]], suite: str) -> str:
    """For each model the tokens at the ends of its by-token table of one suite.

    They are those after which the model is undecided or sure, and those that surprise it or that
    it sees coming. `rows` are those of lmcore.analysis.by_token.extremes, by model.
    """
    lines = ""
    for number, (model, rows_of_model) in enumerate(rows.items()):
        lines += f'<tr class="{series(number)}"><th scope="row"><i></i>{for_html(model)}</th>'
        for side, end, _ in EXTREMES:
            place = (suite, side, end)
            chosen = [
                row for row in rows_of_model if (row["suite"], row["side"], row["end"]) == place
            ]
            lines += f"<td>{'<br>'.join(map(_extreme, chosen))}</td>"
        lines += "</tr>\n"
    heads = "".join(f'<th scope="col">{title}</th>' for _, _, title in EXTREMES)
    return (
        f'<p class="caption">On <code>{for_html(suite)}</code>: the tokens after which a model\'s '
        "entropy is highest and lowest on average, and those whose own log-prob is, in nats. Rare "
        "tokens are left out; tokens of a model that knows nothing differ by chance.</p>\n"
        f'<div class="card scroll wide"><table><thead><tr><td></td>{heads}</tr></thead><tbody>\n'
        f"{lines}</tbody></table></div>\n"
    )


def scatter_plots(rows: list[dict], models: list[str]) -> str:
    """The words by their bits under the first model (across) and under another (upwards).

    There is one panel of squares for each other model. rows: those of SCATTER.
    """
    if not rows:
        return ""
    panels = ""
    for number, model in enumerate(models):
        squares = [row for row in rows if row["y_model"] == model]
        if squares:
            panels += _scatter_panel(squares, number)
    return (
        f'<p class="caption">Every word of <code>{for_html(rows[0]["suite"])}</code> by its '
        f"surprisal under two models, in squares of one bit up to {MAX_BITS}. A word's surprisal "
        "is the sum over its tokens, so tokenizers may differ. Below the diagonal lie the words "
        "that the model named first finds less surprising.</p>\n"
        f'<div class="card squares">{panels}</div>\n'
    )


def progression_curves(curves: dict[str, list[dict]]) -> str:
    """Loss, entropy and accuracy over an ordered list of models.

    Each has a plot with a line for each suite. The section is empty where there are no models.
    `curves` are by suite.
    """
    first = next(iter(curves.values()), [])
    if not first:
        return ""
    body = ""
    for name in ("loss", "entropy", "accuracy"):
        lines = {}
        for suite, rows in curves.items():
            lines[suite] = [(float(row["place"]), float(row[name])) for row in rows]
        body += f'<h3>{name}</h3>\n<div class="card">{line_plot(lines, "model", name)}</div>\n'
    order = " → ".join(for_html(row["model"]) for row in first)
    return f'<p class="caption">{order}</p>\n{body}'


def _rows_by_model(folder: Path, schema: pa.Schema, models: list[str]) -> dict[str, list[dict]]:
    """The rows of `folder`/MODEL.parquet."""
    return {model: read(folder / f"{model}.parquet", schema).to_pylist() for model in models}


def _token(row: dict) -> str:
    """A token of a passage with its colour, and what to say of it when it is pointed at."""
    share = min(1.0, row["surprisal"] / FULL)
    expected = ", ".join(
        f"{token.strip() or '␣'} {100 * probability:.1f} %"
        for token, probability in json.loads(row["alternatives"])
    )
    title = (
        f"{row['surprisal']:.1f} bits, rank {row['rank']:,}, entropy {row['entropy']:.2f} nats; "
        f"expected: {expected}"
    )
    return f'<span style="--s:{share:.2f}" title="{for_html(title)}">{for_html(row["text"])}</span>'


def _extreme(row: dict) -> str:
    """A token at one end of a by-token table, with its mean entropy or log-prob."""
    shown = f"{for_html(row['token'])} <small>{row['value']:.2f}</small>"
    return f'<span title="{row["n"]:,} times">{shown}</span>'


def _scatter_panel(squares: list[dict], number: int) -> str:
    """One panel of `scatter_plots`: the more words a square holds, the fuller its colour."""
    most = max(row["n"] for row in squares)
    drawn = ""
    for row in squares:
        x, y, n = row["x"], row["y"], row["n"]
        drawn += (
            f'<rect x="{x}" y="{MAX_BITS - 1 - y}" width="1" height="1" '
            f'opacity="{(n / most) ** 0.5:.2f}">'
            f"<title>{x} to {x + 1} bits, {y} to {y + 1} bits: {n:,} words</title></rect>"
        )
    diagonal = (
        f'<line class="middle" stroke-width=".1" x1="0" y1="{MAX_BITS}" x2="{MAX_BITS}" y2="0"/>'
    )
    upwards, across = for_html(squares[0]["y_model"]), for_html(squares[0]["x_model"])
    title = f"{upwards} upwards, {across} across"
    return (
        f'<div class="{series(number)}">'
        f'<svg viewBox="0 0 {MAX_BITS} {MAX_BITS}" role="img" aria-label="{title}">'
        f'{drawn}{diagonal}</svg><p class="muted"><small>{title}</small></p></div>\n'
    )
