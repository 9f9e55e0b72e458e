"""The report's sections on missing words: the tables of lmcore.analysis.completions and lmcore.judging.context_validity go in, HTML comes out."""

from pathlib import Path

from lmcore.analysis.completions import CONTEXT_LENGTH, FINDINGS, FREQUENCY, bin_label
from lmcore.judging.context_validity import VALIDITY, summary
from lmcore.report.figures import Mark, series, trend_plot
from lmcore.report.terms import label, unit_of, written
from lmcore.shown import for_html
from lmcore.statistics.stats import wilson
from lmcore.tables import read

N_EXAMPLES = 8
N_WORDS = 14  # of an example's context, its last
MEASURES = {
    FREQUENCY: "occurrences of the target in the training corpus",
    CONTEXT_LENGTH: "words of context",
}
PLOTTED = {
    "accuracy": ("accuracy, %", 100.0),
    "target_logprob": ("mean log-prob of the target, nats", 1.0),
}
MISSING = "<td>–</td>"


def completion_findings(
    path: Path, models: list[str], imported: list[str], confidence: float
) -> str:
    """Accuracy by the target's frequency and by context length, a plot and a table each, for every completion suite; empty without one.

    `imported` are the models that were trained elsewhere, on text that was not counted.
    """
    rows = read(path, FINDINGS).to_pylist()
    body = ""
    for suite in dict.fromkeys(row["suite"] for row in rows):
        body += f"\n<h3><code>{for_html(suite)}</code></h3>"
        for by in MEASURES:
            body += _finding(
                by, [row for row in rows if row["suite"] == suite and row["by"] == by], models
            )
    elsewhere = [f"<code>{for_html(model)}</code>" for model in models if model in imported]
    note = (
        f" It is not what {', '.join(elsewhere)} learned from: there a word counted as unseen may be common."
        if elsewhere
        else ""
    )
    return body and (
        '<p class="caption">How often a model finds the missing word, by how often that word stands in the training split of this '
        f"project's own corpus, whatever its case, and by how many words precede it.{note} Upright lines are {100 * confidence:g} % "
        "intervals (Wilson's of a share, Student's of a mean); the draws of a random model are averaged within each item.</p>"
        + body
    )


def context_validity(path: Path, suite: str, models: list[str], confidence: float) -> str:
    """What BERT says of the greedy words of the models, and the wrong ones it likes best; empty where none is judged."""
    rows = read(path, VALIDITY).to_pylist()
    tables = {
        model: part for model in models if (part := [row for row in rows if row["model"] == model])
    }
    if not tables:
        return ""
    found = {model: summary(rows) for model, rows in tables.items()}
    heads = "".join(f'<th scope="col">{for_html(model)}</th>' for model in tables)
    lines = ""
    for name, (meaning, decimals, of) in STATEMENTS.items():
        lines += f'<tr><th scope="row">{meaning}</th>'
        for values in found.values():
            lines += _cell(
                values.get(name), decimals, values.get(of, 0.0) if of else 0.0, confidence
            )
        lines += "</tr>\n"
    examples = "".join(
        _examples(model, part, models.index(model)) for model, part in tables.items()
    )
    return (
        '<p class="caption">A model\'s guess is its greedy word. A masked language model says how probable guess and target are in their '
        "place (pseudo-log-likelihood) and how much the passage adds to its last sentence; a sentence encoder, how near the passage with "
        "the word stays to the passage without it (cosine). A guess is <em>valid</em> where it is as probable, <em>supported</em> where "
        "the passage adds as much, as with all but the least fitting targets. A judge that tells a target from another passage's no more "
        "than half the time knows nothing of the passage: both judges are small, and frequent words please them. Suite "
        f"<code>{for_html(suite)}</code>; ranges are {100 * confidence:g} % intervals.</p>\n"
        f'<div class="card scroll wide"><table><thead><tr><td></td>{heads}</tr></thead><tbody>\n{lines}</tbody></table></div>\n{examples}'
    )


STATEMENTS = {  # of lmcore.judging.context_validity.summary: what the page says, decimals (None: a share), and the count that a share is of
    "n_items": ("passages", 0, None),
    "n_words": ("guesses that are words", 0, None),
    "accuracy": ("guesses that are the target", None, "n_items"),
    "valid_of_correct": ("valid among the right guesses", None, "n_correct"),
    "valid_of_wrong": ("valid among the wrong guesses", None, "n_wrong"),
    "agreement_valid": ("right and valid, or neither", None, "n_words"),
    "supported_of_correct": ("supported among the right guesses", None, "n_correct"),
    "supported_of_wrong": ("supported among the wrong guesses", None, "n_wrong"),
    "agreement_supported": ("right and supported, or neither", None, "n_words"),
    "preferred_of_wrong_logprob": ("wrong guesses more probable than the target", None, "n_wrong"),
    "preferred_of_wrong_gain": ("wrong guesses to which the passage adds more", None, "n_wrong"),
    "preferred_of_wrong_cosine": ("wrong guesses that stay nearer", None, "n_wrong"),
    "auc_logprob": ("AUC of right against wrong guesses, by log-prob", 2, None),
    "auc_gain": ("… by what the passage adds", 2, None),
    "auc_cosine": ("… by cosine", 2, None),
    "swap_noticed_logprob": ("target above another passage's target, by log-prob", None, "n_items"),
    "swap_noticed_gain": ("… by what the passage adds", None, "n_items"),
    "swap_noticed_cosine": ("… by cosine", None, "n_items"),
}


def _finding(by: str, rows: list[dict], models: list[str]) -> str:
    cells = {(row["bin_low"], row["bin_high"], row["model"], row["metric"]): row for row in rows}
    bins = sorted({(row["bin_low"], row["bin_high"]): row["n"] for row in rows}.items())
    names = {edges: bin_label(by, *edges) for edges, _ in bins}
    metrics = sorted({row["metric"] for row in rows})
    heads = "".join(
        f'<th scope="col">{for_html(names[edges])}<small>{n:,} items</small></th>'
        for edges, n in bins
    )
    table = ""
    for metric in metrics:
        for number, model in enumerate(models):
            found = (cells.get((*edges, model, metric)) for edges, _ in bins)
            numbers = "".join(_value(metric, row) for row in found)
            head = f'<th scope="row"><i></i>{for_html(model)} <span class="muted">{for_html(label(metric))}</span></th>'
            table += f'<tr class="{series(number)}">{head}{numbers}</tr>\n'
    plots = ""
    for metric, (y_label, unit) in PLOTTED.items():
        marks = {
            names[edges]: [_mark(cells.get((*edges, model, metric)), model) for model in models]
            for edges, _ in bins
        }
        if any(mark for row in marks.values() for mark in row):
            plots += f'\n<div class="card">{trend_plot(marks, models, y_label, MEASURES[by], unit)}</div>'
    return (
        f"{plots}\n<details><summary>Accuracy, success rate, probability and log-prob by {MEASURES[by]}</summary>"
        f'<div class="card scroll wide"><table><thead><tr><td></td>{heads}</tr></thead><tbody>\n{table}</tbody></table></div></details>'
    )


def _mark(row: dict | None, model: str) -> Mark | None:
    if row is None:
        return None
    value, low, high = (written(row["metric"], row[name]) for name in ("value", "low", "high"))
    return Mark(
        row["value"],
        (row["low"], row["high"]),
        None,
        f"{model} {value} ({low} – {high}), {row['n']:,} items",
    )


def _value(metric: str, row: dict | None) -> str:
    if row is None:
        return MISSING
    value, low, high = (written(metric, row[name]) for name in ("value", "low", "high"))
    return f"<td>{value}{unit_of(metric)} <small>{low} – {high}</small></td>"


def _cell(value: float | None, decimals: int | None, n: float, confidence: float) -> str:
    if value is None:
        return MISSING
    if decimals is not None:
        return f"<td>{value:,.{decimals}f}</td>"
    low, high = wilson(value * n, int(n), confidence)
    return f"<td>{100 * value:.1f}&thinsp;% <small>{100 * low:.1f} – {100 * high:.1f}</small></td>"


def _examples(model: str, rows: list[dict], number: int) -> str:
    """The wrong guesses that the masked LM finds most probable, with the ends of their contexts."""
    wrong = [
        row
        for row in rows
        if row["is_word"] and not row["is_correct"] and row["is_valid"] and row["is_supported"]
    ]
    best = sorted(wrong, key=lambda row: (-row["prediction_logprob"], row["item"]))[:N_EXAMPLES]
    if not best:
        return ""
    lines = "\n".join(
        f"<tr><td>… {for_html(_end(row['context']))}</td>{_judged(row, 'target')}{_judged(row, 'prediction')}</tr>"
        for row in best
    )
    return (
        f'<details class="{series(number)}"><summary>Wrong guesses of <code>{for_html(model)}</code> that fit best</summary>'
        '<div class="card scroll wide"><table class="text"><thead><tr><th scope="col">the passage ends</th>'
        '<th scope="col">target <small>log-prob</small></th><th scope="col">guess <small>log-prob</small></th></tr></thead>'
        f"<tbody>\n{lines}\n</tbody></table></div></details>\n"
    )


def _judged(row: dict, name: str) -> str:
    return f"<td>{for_html(row[name].strip())} <small>{row[f'{name}_logprob']:.1f}</small></td>"


def _end(context: str) -> str:
    return " ".join(context.split()[-N_WORDS:])
