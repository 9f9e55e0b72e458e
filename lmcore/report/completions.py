"""The report's sections on missing words.

The tables of lmcore.analysis.completions and lmcore.judging.context_validity go in, HTML comes out.
"""

from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

from lmcore.analysis.completions import CONTEXT_LENGTH, FINDINGS, FREQUENCY, bin_label
from lmcore.figures.intervals import over_bins
from lmcore.figures.specification import Field, Rows
from lmcore.judging.context_validity import VALIDITY, summary
from lmcore.report.figures import drawn
from lmcore.report.layout import macros
from lmcore.report.terms import Cell, cell, label
from lmcore.statistics.stats import wilson
from lmcore.tables import read

N_EXAMPLES = 8  # wrong guesses shown of each model
N_WORDS = 14  # the last words of an example's context that are shown
MEASURES = {
    FREQUENCY: "occurrences of the target in the training corpus",
    CONTEXT_LENGTH: "words of context",
}
PLOTTED = (
    Field("accuracy", "accuracy", ".1%"),
    Field("target_logprob", "mean log-prob of the target, nats", ".2f"),
)

Edges = tuple[int, int]  # the lowest and the highest value of a bin
Cells = dict[tuple[Edges, str, str], dict]  # rows of FINDINGS by bin, model and metric


class Row(NamedTuple):
    """A row of the table of one of MEASURES: a metric of a model by bin."""

    number: int  # of the model
    model: str
    metric: str
    cells: list[Cell | None]


class Finding(NamedTuple):
    """The plots of one of MEASURES, and the table, which is folded away."""

    measure: str
    plots: list[Markup]
    bins: list[str]
    n_items: list[str]  # by bin
    rows: list[Row]


class Example(NamedTuple):
    """A wrong guess that fits, beside the target, with their log-probs."""

    end: str  # of the passage
    target: str
    target_logprob: str
    guess: str
    guess_logprob: str


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
) -> Markup:
    """Accuracy by the target's frequency and by context length, for every completion suite.

    There are plots and a table for each of the two. The section is empty without such a suite.

    `imported` are the models that were trained elsewhere, on text that was not counted.
    """
    rows = read(path, FINDINGS).to_pylist()
    findings: dict[str, list[Finding]] = {}
    for suite in dict.fromkeys(row["suite"] for row in rows):
        findings[suite] = []
        for by in MEASURES:
            chosen = [row for row in rows if row["suite"] == suite and row["by"] == by]
            findings[suite].append(_finding(suite, by, chosen, models))
    if not findings:
        return Markup("")
    elsewhere = [model for model in models if model in imported]
    return macros(__name__).completion_findings(findings, elsewhere, f"{100 * confidence:g}")


def context_validity(path: Path, suite: str, models: list[str], confidence: float) -> Markup:
    """What BERT says of the greedy words of the models, and the wrong ones that it likes best.

    The section is empty where no model is judged.
    """
    rows = read(path, VALIDITY).to_pylist()
    judged: dict[str, list[dict]] = {}
    for model in models:
        if rows_of_model := [row for row in rows if row["model"] == model]:
            judged[model] = rows_of_model
    if not judged:
        return Markup("")
    summaries = [summary(rows_of_model) for rows_of_model in judged.values()]
    statements = []
    for name, statement in STATEMENTS.items():
        cells = [_statement_cell(name, figures, confidence) for figures in summaries]
        statements.append((statement.meaning, cells))
    examples = {}
    for model, rows_of_model in judged.items():
        if fitting := _examples(rows_of_model):
            examples[model] = (models.index(model), fitting)
    level = f"{100 * confidence:g}"
    return macros(__name__).context_validity(suite, level, list(judged), statements, examples)


def _finding(suite: str, by: str, rows: list[dict], models: list[str]) -> Finding:
    """The plots and the table of one of MEASURES.

    rows: those of FINDINGS of the suite that are by this measure.
    """
    n_items = {_edges(row): row["n"] for row in rows}
    bins = {edges: bin_label(by, *edges) for edges in sorted(n_items)}
    cells: Cells = {(_edges(row), row["model"], row["metric"]): row for row in rows}
    table = []
    for metric in sorted({row["metric"] for row in rows}):
        for number, model in enumerate(models):
            values = [_value_cell(cells.get((edges, model, metric))) for edges in bins]
            table.append(Row(number, model, label(metric), values))
    plots = [_finding_plot(suite, metric, by, bins, cells, models) for metric in PLOTTED]
    return Finding(
        measure=MEASURES[by],
        plots=[plot for plot in plots if plot],
        bins=list(bins.values()),
        n_items=[f"{n_items[edges]:,} items" for edges in bins],
        rows=table,
    )


def _edges(row: dict) -> Edges:
    return row["bin_low"], row["bin_high"]


def _finding_plot(
    suite: str, metric: Field, by: str, bins: dict[Edges, str], cells: Cells, models: list[str]
) -> Markup:
    """The models' values of one metric over the bins; empty where there is none.

    bins: their names by their edges.
    """
    rows: Rows = []
    for edges, name in bins.items():
        for model in models:
            if row := cells.get((edges, model, metric.name)):
                ends = {f"{metric.name}_low": row["low"], f"{metric.name}_high": row["high"]}
                found = {"model": model, by: name, metric.name: row["value"], "n": row["n"]}
                rows.append(found | ends)
    if not rows:
        return Markup("")
    figure = over_bins(
        f"completions-{suite}-{by}-{metric.name}",
        f"Every model on {suite} by {MEASURES[by]}: {metric.title}, with intervals",
        rows,
        Field(by, MEASURES[by]),
        metric,
        Field("model", "model"),
        models,
        bins=list(bins.values()),
        more=[Field("n", "items", ",")],
    )
    return drawn(figure, table=False)


def _value_cell(row: dict | None) -> Cell | None:
    """A row of FINDINGS as a cell of the table; None where there is no row."""
    if row is None:
        return None
    return cell(row["metric"], row["value"], (row["low"], row["high"]))


def _statement_cell(name: str, figures: dict[str, float], confidence: float) -> Cell | None:
    """One of STATEMENTS about one model; a share has Wilson's interval."""
    if name not in figures:
        return None
    value, statement = figures[name], STATEMENTS[name]
    if statement.decimals is not None:
        return Cell(f"{value:,.{statement.decimals}f}", "")
    n = figures.get(statement.total, 0.0) if statement.total else 0.0
    return cell("accuracy", value, wilson(value * n, int(n), confidence))


def _examples(rows: list[dict]) -> list[Example]:
    """The wrong guesses that the masked LM finds most probable, with the ends of their contexts."""
    fitting = [
        row
        for row in rows
        if row["is_word"] and not row["is_correct"] and row["is_valid"] and row["is_supported"]
    ]
    best = sorted(fitting, key=lambda row: (-row["prediction_logprob"], row["item"]))[:N_EXAMPLES]
    return [
        Example(
            end=" ".join(row["context"].split()[-N_WORDS:]),
            target=row["target"].strip(),
            target_logprob=f"{row['target_logprob']:.1f}",
            guess=row["prediction"].strip(),
            guess_logprob=f"{row['prediction_logprob']:.1f}",
        )
        for row in best
    ]
