"""The report's sections on tokens: the tables of lmcore.analysis go in, HTML comes out."""

import json
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
from markupsafe import Markup

from lmcore.analysis.by_token import BY_TOKEN, extremes
from lmcore.analysis.entropy_bins import CALIBRATION, ENTROPY_BINS
from lmcore.analysis.passage import PASSAGE
from lmcore.analysis.same_text import MAX_BITS, SCATTER
from lmcore.figures.counts import squares
from lmcore.figures.lines import lines
from lmcore.figures.specification import Field, Rows
from lmcore.report.figures import drawn
from lmcore.report.layout import macros
from lmcore.tables import read

N_EXTREMES = 8  # tokens at either end of the by-token tables
FULL = 16  # bits at which a token's colour is full
MODEL, TOKENS = Field("model", "model"), Field("n", "tokens", ",")
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
    names = ("n", "entropy_mean", "probability_mean", "accuracy")
    rows: Rows = []
    for model in models:
        for row in bins[model]:
            if row["suite"] == suite and row["edges"] == "own":
                rows.append({"model": model} | {name: row[name] for name in names})
    figure = lines(
        "probability_by_entropy",
        f"Mean probability of the token that came on {suite}, by entropy, for every model",
        rows,
        Field("entropy_mean", "entropy, nats", ".2f"),
        Field("probability_mean", "mean probability of the token", ".1%"),
        MODEL,
        models,
        more=[Field("accuracy", "first choice right", ".1%"), TOKENS],
        from_zero=True,
    )
    return macros(__name__).probability_by_entropy(suite, drawn(figure))


def calibration_curves(bins: dict[str, list[dict]], models: list[str], suite: str) -> Markup:
    """How often the model's first choice was right, by the probability that it gave it.

    bins: for each model its rows of CALIBRATION.
    """
    names = ("n", "top_probability_mean", "accuracy")
    rows: Rows = []
    for model in models:
        for row in bins[model]:
            if row["suite"] == suite:
                rows.append({"model": model} | {name: row[name] for name in names})
    figure = lines(
        "calibration",
        f"Share of first choices that were right on {suite}, by their probability",
        rows,
        Field("top_probability_mean", "probability of the first choice", ".1%"),
        Field("accuracy", "share right", ".1%"),
        MODEL,
        models,
        more=[TOKENS],
        with_diagonal=True,
    )
    return macros(__name__).calibration_curves(drawn(figure))


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
    if not any(any(lists) for lists in ends.values()):  # a short text has rare tokens alone
        return Markup("")
    titles = [title for _, _, title in EXTREMES]
    return macros(__name__).token_extremes(suite, titles, ends)


def scatter_plots(rows: list[dict], models: list[str]) -> Markup:
    """The words by their bits under the first model (across) and under another (upwards).

    There is one panel of squares for each other model. rows: those of SCATTER.
    """
    if not rows:
        return Markup("")
    panels = []
    for model in models:
        counts = [(row["x"], row["y"], row["n"]) for row in rows if row["y_model"] == model]
        if counts:
            across = rows[0]["x_model"]
            label = f"Words by their bits under {across} (across) and under {model} (upwards)"
            figure = squares(f"words-{model}", label, counts, MAX_BITS, (across, model), models)
            panels.append(drawn(figure))
    return macros(__name__).scatter_plots(rows[0]["suite"], MAX_BITS, panels)


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
