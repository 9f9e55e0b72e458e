"""The report's sections on tokens: the tables of lmcore.analysis go in, HTML comes out."""

import json
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
from markupsafe import Markup

from lmcore.analysis.by_token import BY_TOKEN, extremes
from lmcore.analysis.checkpoints import UNITS
from lmcore.analysis.entropy_bins import CALIBRATION, ENTROPY_BINS
from lmcore.analysis.passage import PASSAGE
from lmcore.analysis.same_text import MAX_BITS, SCATTER
from lmcore.report.figures import line_plot
from lmcore.report.layout import macros
from lmcore.svg import squares
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


class Token(NamedTuple):
    """A token of a passage, and what to say of it when it is pointed at."""

    text: str
    colour: str  # how full it is, from 0 to 1
    title: str


class Extreme(NamedTuple):
    """A token at one end of a by-token table, with its mean entropy or log-prob."""

    token: str
    value: str
    n: str  # how often it stands there


def token_sections(analysis: Path, models: list[str]) -> dict[str, tuple[str, Markup]]:
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
    words = scatter_plots([row for row in scatter if row["suite"] == suite], models)
    sections = {
        "passage": ("Surprise along a passage", heat_passages(passages, models)),
        "sure": ("How good where it is sure", curves),
        "tokens": ("Token by token", token_extremes(ends, suite)),
        "words": ("Model against model, word by word", words),
    }
    return {anchor: (title, body) for anchor, (title, body) in sections.items() if body}


def heat_passages(rows: list[dict], models: list[str]) -> Markup:
    """The passage once for each model, with each token coloured by its surprisal.

    A token that is pointed at shows what the model expected instead. rows: those of PASSAGE.
    """
    if not rows:
        return Markup("")
    passages: dict[str, list] = {model: [] for model in models}
    for row in rows:
        if row["model"] in passages:
            passages[row["model"]].append(_token(row))
    shown = {model: tokens for model, tokens in passages.items() if tokens}
    return macros(__name__).heat_passages(rows[0]["item"], FULL, shown)


def probability_by_entropy(bins: dict[str, list[dict]], models: list[str], suite: str) -> Markup:
    """The mean probability of the token that came, by entropy bin.

    bins: for each model its rows of ENTROPY_BINS.
    """
    lines = {}
    for model in models:
        rows = [row for row in bins[model] if row["suite"] == suite and row["edges"] == "own"]
        lines[model] = [(row["entropy_mean"], row["probability_mean"]) for row in rows]
    plot = line_plot(lines, "entropy, nats", "mean probability of the token")
    return macros(__name__).probability_by_entropy(suite, plot)


def calibration_curves(bins: dict[str, list[dict]], models: list[str], suite: str) -> Markup:
    """How often the model's first choice was right, by the probability that it gave it.

    bins: for each model its rows of CALIBRATION.
    """
    lines = {}
    for model in models:
        rows = [row for row in bins[model] if row["suite"] == suite]
        lines[model] = [(row["top_probability_mean"], row["accuracy"]) for row in rows]
    lines["perfect"] = [(0.0, 0.0), (1.0, 1.0)]
    plot = line_plot(lines, "probability of the first choice", "share right")
    return macros(__name__).calibration_curves(plot)


def token_extremes(rows: dict[str, list[dict]], suite: str) -> Markup:
    """For each model the tokens at the ends of its by-token table of one suite.

    They are those after which the model is undecided or sure, and those that surprise it or that
    it sees coming. `rows` are those of lmcore.analysis.by_token.extremes, by model.
    """
    ends: dict[str, list[list[Extreme]]] = {}
    for model, rows_of_model in rows.items():
        ends[model] = []
        for side, end, _ in EXTREMES:
            place = (suite, side, end)
            chosen = [
                Extreme(row["token"], f"{row['value']:.2f}", f"{row['n']:,}")
                for row in rows_of_model
                if (row["suite"], row["side"], row["end"]) == place
            ]
            ends[model].append(chosen)
    titles = [title for _, _, title in EXTREMES]
    return macros(__name__).token_extremes(suite, titles, ends)


def scatter_plots(rows: list[dict], models: list[str]) -> Markup:
    """The words by their bits under the first model (across) and under another (upwards).

    There is one panel of squares for each other model. rows: those of SCATTER.
    """
    if not rows:
        return Markup("")
    panels = []
    for number, model in enumerate(models):
        counts = [(row["x"], row["y"], row["n"]) for row in rows if row["y_model"] == model]
        if counts:
            title = f"{model} upwards, {rows[0]['x_model']} across"
            panels.append((number, title, squares(counts, MAX_BITS, "bits", title)))
    return macros(__name__).scatter_plots(rows[0]["suite"], MAX_BITS, panels)


def progression_curves(curves: dict[str, list[dict]]) -> Markup:
    """Loss, entropy, accuracy and Spearman's correlation over an ordered list of models.

    Each has a plot with a line for each suite that has it. Checkpoints lie over the words or the
    steps that they had read, on a log scale. The section is empty where there are no models.
    `curves` are by suite.
    """
    first = next(iter(curves.values()), [])
    if not first:
        return Markup("")
    across, x_label = "place", "model"
    for unit in UNITS:
        if unit in first[0]:
            across, x_label = unit, f"{unit} read"
    plots = {}
    for name in ("loss", "entropy", "accuracy", "spearman"):
        lines = {}
        for suite, rows in curves.items():
            if name in rows[0]:
                lines[suite] = [(float(row[across]), float(row[name])) for row in rows]
        if lines:
            plots[name] = line_plot(lines, x_label, name, log_x=across != "place")
    order = " → ".join(row["model"] for row in first)
    return macros(__name__).progression_curves(order, plots)


def _rows_by_model(folder: Path, schema: pa.Schema, models: list[str]) -> dict[str, list[dict]]:
    """The rows of `folder`/MODEL.parquet."""
    return {model: read(folder / f"{model}.parquet", schema).to_pylist() for model in models}


def _token(row: dict) -> Token:
    """A row of PASSAGE as the page shows it."""
    expected = ", ".join(
        f"{token.strip() or '␣'} {100 * probability:.1f} %"
        for token, probability in json.loads(row["alternatives"])
    )
    title = (
        f"{row['surprisal']:.1f} bits, rank {row['rank']:,}, entropy {row['entropy']:.2f} nats; "
        f"expected: {expected}"
    )
    return Token(row["text"], f"{min(1.0, row['surprisal'] / FULL):.2f}", title)
