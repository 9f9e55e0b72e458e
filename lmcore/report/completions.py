"""The report's sections on missing words.

The tables of lmcore.analysis.completions and lmcore.judging.context_validity go in, HTML comes out.
"""

from pathlib import Path
from typing import NamedTuple

from lmcore.analysis.completions import CONTEXT_LENGTH, FINDINGS, FREQUENCY, bin_label
from lmcore.judging.context_validity import VALIDITY, summary
from lmcore.report.figures import Mark, series, trend_plot
from lmcore.report.terms import label, unit_of, written
from lmcore.shown import for_html
from lmcore.statistics.stats import wilson
from lmcore.tables import read

N_EXAMPLES = 8  # wrong guesses shown of each model
N_WORDS = 14  # the last words of an example's context that are shown
MEASURES = {
    FREQUENCY: "occurrences of the target in the training corpus",
    CONTEXT_LENGTH: "words of context",
}
# for each metric that is drawn: the name of its axis, and what a value of 1 reads on it
PLOTTED = {
    "accuracy": ("accuracy, %", 100.0),
    "target_logprob": ("mean log-prob of the target, nats", 1.0),
}
MISSING = "<td>–</td>"

Edges = tuple[int, int]  # the lowest and the highest value of a bin
Cells = dict[tuple[Edges, str, str], dict]  # rows of FINDINGS by bin, model and metric


class Statement(NamedTuple):
    """How the page shows one figure of lmcore.judging.context_validity.summary."""

    meaning: str
    decimals: int | None  # None for a share
    total: str | None  # for a share: the figure that says of how many


STATEMENTS = {
    "n_items": Statement("passages", 0, None),
    "n_words": Statement("guesses that are words", 0, None),
    "accuracy": Statement("guesses that are the target", None, "n_items"),
    "valid_of_correct": Statement("valid among the right guesses", None, "n_correct"),
    "valid_of_wrong": Statement("valid among the wrong guesses", None, "n_wrong"),
    "agreement_valid": Statement("right and valid, or neither", None, "n_words"),
    "supported_of_correct": Statement("supported among the right guesses", None, "n_correct"),
    "supported_of_wrong": Statement("supported among the wrong guesses", None, "n_wrong"),
    "agreement_supported": Statement("right and supported, or neither", None, "n_words"),
    "preferred_of_wrong_logprob": Statement(
        "wrong guesses more probable than the target", None, "n_wrong"
    ),
    "preferred_of_wrong_gain": Statement(
        "wrong guesses to which the passage adds more", None, "n_wrong"
    ),
    "preferred_of_wrong_cosine": Statement("wrong guesses that stay nearer", None, "n_wrong"),
    "auc_logprob": Statement("AUC of right against wrong guesses, by log-prob", 2, None),
    "auc_gain": Statement("… by what the passage adds", 2, None),
    "auc_cosine": Statement("… by cosine", 2, None),
    "swap_noticed_logprob": Statement(
        "target above another passage's target, by log-prob", None, "n_items"
    ),
    "swap_noticed_gain": Statement("… by what the passage adds", None, "n_items"),
    "swap_noticed_cosine": Statement("… by cosine", None, "n_items"),
}


def completion_findings(
    path: Path, models: list[str], imported: list[str], confidence: float
) -> str:
    """Accuracy by the target's frequency and by context length, for every completion suite.

    There are plots and a table for each of the two. The section is empty without such a suite.

    `imported` are the models that were trained elsewhere, on text that was not counted.
    """
    rows = read(path, FINDINGS).to_pylist()
    body = ""
    for suite in dict.fromkeys(row["suite"] for row in rows):
        body += f"\n<h3><code>{for_html(suite)}</code></h3>"
        for by in MEASURES:
            chosen = [row for row in rows if row["suite"] == suite and row["by"] == by]
            body += _finding(by, chosen, models)
    if not body:
        return ""
    note = _note_on_imported([model for model in models if model in imported])
    return (
        '<p class="caption">How often a model finds the missing word, by how often that word '
        "stands in the training split of this project's own corpus, whatever its case, and by how "
        f"many words precede it.{note} Upright lines are {100 * confidence:g} % intervals "
        "(Wilson's of a share, Student's of a mean); the draws of a random model are averaged "
        f"within each item.</p>{body}"
    )


def context_validity(path: Path, suite: str, models: list[str], confidence: float) -> str:
    """What BERT says of the greedy words of the models, and the wrong ones that it likes best.

    The section is empty where no model is judged.
    """
    rows = read(path, VALIDITY).to_pylist()
    judged: dict[str, list[dict]] = {}
    for model in models:
        if rows_of_model := [row for row in rows if row["model"] == model]:
            judged[model] = rows_of_model
    if not judged:
        return ""
    summaries = [summary(rows_of_model) for rows_of_model in judged.values()]
    heads = "".join(f'<th scope="col">{for_html(model)}</th>' for model in judged)
    lines = ""
    for name, statement in STATEMENTS.items():
        cells = "".join(_statement_cell(name, figures, confidence) for figures in summaries)
        lines += f'<tr><th scope="row">{statement.meaning}</th>{cells}</tr>\n'
    examples = "".join(
        _examples(model, rows_of_model, models.index(model))
        for model, rows_of_model in judged.items()
    )
    return (
        '<p class="caption">A model\'s guess is its greedy word. A masked language model says how '
        "probable guess and target are in their place (pseudo-log-likelihood) and how much the "
        "passage adds to its last sentence; a sentence encoder, how near the passage with the word "
        "stays to the passage without it (cosine). A guess is <em>valid</em> where it is as "
        "probable, <em>supported</em> where the passage adds as much, as with all but the least "
        "fitting targets. A judge that tells a target from another passage's no more than half the "
        "time knows nothing of the passage: both judges are small, and frequent words please them. "
        f"Suite <code>{for_html(suite)}</code>; ranges are {100 * confidence:g} % intervals.</p>\n"
        f'<div class="card scroll wide"><table><thead><tr><td></td>{heads}</tr></thead><tbody>\n'
        f"{lines}</tbody></table></div>\n{examples}"
    )


def _note_on_imported(models: list[str]) -> str:
    """That the corpus says nothing of what these models learned from; empty without models."""
    if not models:
        return ""
    names = ", ".join(f"<code>{for_html(model)}</code>" for model in models)
    return f" It is not what {names} learned from: there a word counted as unseen may be common."


def _finding(by: str, rows: list[dict], models: list[str]) -> str:
    """The plots of one of MEASURES, and the table, which is folded away.

    rows: those of FINDINGS of one suite that are by this measure.
    """
    n_items = {_edges(row): row["n"] for row in rows}
    bins = {edges: bin_label(by, *edges) for edges in sorted(n_items)}
    cells: Cells = {(_edges(row), row["model"], row["metric"]): row for row in rows}
    heads = "".join(
        f'<th scope="col">{for_html(name)}<small>{n_items[edges]:,} items</small></th>'
        for edges, name in bins.items()
    )
    lines = ""
    for metric in sorted({row["metric"] for row in rows}):
        for number, model in enumerate(models):
            lines += (
                f'<tr class="{series(number)}"><th scope="row"><i></i>{for_html(model)} '
                f'<span class="muted">{for_html(label(metric))}</span></th>'
            )
            for edges in bins:
                lines += _value_cell(cells.get((edges, model, metric)))
            lines += "</tr>\n"
    plots = "".join(_finding_plot(metric, by, bins, cells, models) for metric in PLOTTED)
    return (
        f"{plots}\n<details>"
        f"<summary>Accuracy, success rate, probability and log-prob by {MEASURES[by]}</summary>"
        f'<div class="card scroll wide"><table><thead><tr><td></td>{heads}</tr></thead><tbody>\n'
        f"{lines}</tbody></table></div></details>"
    )


def _edges(row: dict) -> Edges:
    return row["bin_low"], row["bin_high"]


def _finding_plot(
    metric: str, by: str, bins: dict[Edges, str], cells: Cells, models: list[str]
) -> str:
    """The models' values of one metric over the bins; empty where there is none.

    bins: their names by their edges.
    """
    y_label, unit = PLOTTED[metric]
    marks = {}
    for edges, name in bins.items():
        marks[name] = [_mark(cells.get((edges, model, metric)), model) for model in models]
    if not any(any(row) for row in marks.values()):
        return ""
    return f'\n<div class="card">{trend_plot(marks, models, y_label, MEASURES[by], unit)}</div>'


def _mark(row: dict | None, model: str) -> Mark | None:
    """A row of FINDINGS as a mark; None where there is no row."""
    if row is None:
        return None
    value, low, high = _written_estimate(row)
    title = f"{model} {value} ({low} – {high}), {row['n']:,} items"
    return Mark(row["value"], (row["low"], row["high"]), None, title)


def _value_cell(row: dict | None) -> str:
    """A row of FINDINGS as a cell of the table; a dash where there is no row."""
    if row is None:
        return MISSING
    value, low, high = _written_estimate(row)
    return f"<td>{value}{unit_of(row['metric'])} <small>{low} – {high}</small></td>"


def _written_estimate(row: dict) -> tuple[str, str, str]:
    """The value of a row of FINDINGS and the ends of its interval, as the report writes them."""
    value, low, high = (written(row["metric"], row[name]) for name in ("value", "low", "high"))
    return value, low, high


def _statement_cell(name: str, figures: dict[str, float], confidence: float) -> str:
    """One of STATEMENTS about one model; a share has Wilson's interval."""
    if name not in figures:
        return MISSING
    value, statement = figures[name], STATEMENTS[name]
    if statement.decimals is not None:
        return f"<td>{value:,.{statement.decimals}f}</td>"
    n = figures.get(statement.total, 0.0) if statement.total else 0.0
    low, high = wilson(value * n, int(n), confidence)
    return f"<td>{100 * value:.1f}&thinsp;% <small>{100 * low:.1f} – {100 * high:.1f}</small></td>"


def _examples(model: str, rows: list[dict], number: int) -> str:
    """The wrong guesses that the masked LM finds most probable, with the ends of their contexts."""
    fitting = [
        row
        for row in rows
        if row["is_word"] and not row["is_correct"] and row["is_valid"] and row["is_supported"]
    ]
    best = sorted(fitting, key=lambda row: (-row["prediction_logprob"], row["item"]))[:N_EXAMPLES]
    if not best:
        return ""
    lines = "\n".join(_example(row) for row in best)
    return (
        f'<details class="{series(number)}">'
        f"<summary>Wrong guesses of <code>{for_html(model)}</code> that fit best</summary>"
        '<div class="card scroll wide"><table class="text"><thead><tr>'
        '<th scope="col">the passage ends</th>'
        '<th scope="col">target <small>log-prob</small></th>'
        '<th scope="col">guess <small>log-prob</small></th></tr></thead>'
        f"<tbody>\n{lines}\n</tbody></table></div></details>\n"
    )


def _example(row: dict) -> str:
    """A row of VALIDITY as a row of the table of examples."""
    end = " ".join(row["context"].split()[-N_WORDS:])
    cells = f"<td>… {for_html(end)}</td>"
    for word in ("target", "prediction"):
        logprob = row[f"{word}_logprob"]
        cells += f"<td>{for_html(row[word].strip())} <small>{logprob:.1f}</small></td>"
    return f"<tr>{cells}</tr>"
