"""The report: metrics, intervals, scores, tokens and loss curves go in, one HTML page that needs nothing else comes out.

The page holds no date and no path, so the same input gives the same bytes. Token tables are read in batches: memory grows with them by a
byte a row.
"""

import csv
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.compute as pc

from lmcore.analysis.rows import TokenRows
from lmcore.errors import InputError
from lmcore.files import whole
from lmcore.folds.metrics import item_means, share_interval
from lmcore.report.completions import completion_findings, context_validity
from lmcore.report.figures import Mark, dot_plot, histogram, line_plot, series, strip
from lmcore.report.seeds import seeds_section
from lmcore.report.style import STYLE
from lmcore.report.terms import KINDS, METRICS, headline, label, unit_of, written
from lmcore.report.tokens import progression_curves, token_sections
from lmcore.report.writing import writing_section
from lmcore.shown import for_html
from lmcore.statistics.stats import ratio
from lmcore.suites.declare import kind_of
from lmcore.tables import ITEMS, SCORES, read

TITLE = "Small language models, side by side"
BIN_WIDTH = 0.25  # nats


class Results(NamedTuple):
    """What the page shows, by model and suite in params' order."""

    models: list[str]
    kinds: dict[str, str]  # suite: kind
    metrics: dict[str, dict[str, dict]]
    intervals: dict[str, dict[str, dict]]
    confidence: float

    def bounds(self, model: str, suite: str, name: str) -> tuple[float, float] | None:
        """The interval of a metric that has one; the length baseline is a property of the items, no estimate."""
        found = self.intervals[model][suite].get(name)
        return (found["low"], found["high"]) if found and name != "length_baseline" else None


def write_report(
    models: list[str],
    suites: dict[str, dict],
    *,
    metrics: Path,
    intervals: Path,
    seeds: Path,
    curves: dict[str, Path],
    scores: Path,
    items: Path,
    tokens: Path,
    findings: Path,
    analysis: Path,
    imported: list[str],
    validity: Path,
    judged_suite: str,
    progression: Path,
    writers: list[str],
    generated: Path,
    writing: Path,
    out: Path,
    confidence: float,
) -> None:
    """Write `out`/index.html from `metrics`/MODEL.json, `intervals`, the spread of `seeds`, each trained model's loss curve,
    `scores`/MODEL/SUITE.parquet, `items`/SUITE.parquet and `tokens`/MODEL/SUITE, the `findings` of lmcore.analysis.completions, the `analysis` of
    lmcore.analysis and the `validity` table of lmcore.judging.context_validity, which is of the suite `judged_suite`;
    `progression`/SUITE.csv holds curves over models, and the models `writers` wrote `generated`/MODEL, with statistics in
    `writing`/MODEL.json; the models `imported` learned from other text than the rest. `confidence` is that of the intervals.

    Raises InputError, naming the file, where a model, a suite or its headline metric is missing, or a curve is none.
    """
    kinds = {suite: kind_of(suite, entry) for suite, entry in suites.items()}
    found, all_intervals = (
        {model: _read_json(metrics / f"{model}.json") for model in models},
        _read_json(intervals),
    )
    for model in models:
        for suite, kind in kinds.items():
            if headline(kind, found[model].get(suite, {})) not in found[model].get(suite, {}):
                raise InputError(
                    f"{metrics / f'{model}.json'}: suite '{suite}' has no '{KINDS[kind][0]}'; run the stage aggregate"
                )
            if suite not in all_intervals.get(model, {}):
                raise InputError(
                    f"{intervals}: nothing of model '{model}' on suite '{suite}'; run the stage aggregate"
                )
    results = Results(models, kinds, found, all_intervals, confidence)
    sections = {
        "results": ("Results", results_table(results)),
        "seeds": (
            "How far apart seeds lie",
            seeds_section(_read_json(seeds, "compare_models"), list(suites)),
        ),
        "loss": (
            "Loss while training",
            "".join(loss_curve(model, path) for model, path in curves.items()),
        ),
        "groups": (
            "Accuracy by group",
            "".join(accuracy_by_group(suite, results, scores) for suite in suites),
        ),
        "completions": (
            "The missing word, by frequency and context",
            completion_findings(findings, models, imported, confidence),
        ),
        "validity": (
            "Wrong words that fit",
            context_validity(validity, judged_suite, models, confidence),
        ),
        "entropy": ("Entropy of the predictions", entropy(results, items, tokens)),
        "all": ("Every metric", "".join(all_metrics(suite, results) for suite in suites)),
        "terms": ("What the numbers mean", definitions(results)),
    }
    sections |= token_sections(analysis, models)
    curves_over_models = {
        path.stem: list(csv.DictReader(path.read_text("utf-8").splitlines()))
        for path in sorted(progression.glob("*.csv"))
    }
    sections["models"] = (
        "From model to model",
        progression_curves({name: rows for name, rows in curves_over_models.items() if rows}),
    )
    sections["writing"] = ("What the models write", writing_section(writers, generated, writing))
    for last in ("all", "terms"):
        sections[last] = sections.pop(last)
    with whole(out) as folder:
        folder.mkdir()
        (folder / "index.html").write_text(
            page(results, {key: value for key, value in sections.items() if value[1]}), "utf-8"
        )


def page(results: Results, sections: dict[str, tuple[str, str]]) -> str:
    """The whole page: `sections` maps an anchor to title and body."""
    links = "\n".join(f'<a href="#{anchor}">{title}</a>' for anchor, (title, _) in sections.items())
    body = "\n".join(
        f'<section id="{anchor}">\n<h2>{title}</h2>\n{html}\n</section>'
        for anchor, (title, html) in sections.items()
    )
    lead = (
        f"{len(results.models)} models on {len(results.kinds)} suites. Every model read every text teacher-forced, and every figure is "
        f"folded from what it said of each token. Ranges are {100 * results.confidence:g} % intervals over items: they speak of other "
        "items of the same kind, not of another training run; what seeds change has a table of its own."
    )
    footer = (
        "Made by lmcore. Whether two models differ is a paired question, item by item: where their ranges overlap the difference may "
        "still be certain."
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{TITLE}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{TITLE}</h1>\n<p>{lead}</p>\n"
        f"<nav>{links}</nav>\n{body}\n<footer>{footer}</footer>\n</main>\n</body>\n</html>\n"
    )


def results_table(results: Results) -> str:
    """Models by suites: the headline metric of each with its interval, and the length baseline below an accuracy."""
    heads = "".join(
        f'<th scope="col">{for_html(suite)}<small>{label(KINDS[kind][0])} {"↓" if kind == "text" else "↑"}</small></th>'
        for suite, kind in results.kinds.items()
    )
    rows = "\n".join(
        f'<tr class="{series(number)}"><th scope="row"><i></i>{for_html(model)}</th>'
        + "".join(_headline_cell(results, number, suite) for suite in results.kinds)
        + "</tr>"
        for number, model in enumerate(results.models)
    )
    asked = "".join(
        f"<dt><code>{for_html(suite)}</code></dt><dd>{KINDS[kind][1]}</dd>"
        for suite, kind in results.kinds.items()
    )
    return (
        '<p class="caption">One row a model, one column a suite: the headline metric with its range, both drawn on a line from 0 to 100 % '
        "(or to the column's largest value). The upright tick is the length baseline, what random logits score because shorter text wins: "
        "an accuracy says something only where it leaves the tick. ↑ higher is better, ↓ lower is better.</p>\n"
        f'<div class="card scroll"><table><thead><tr><td></td>{heads}</tr></thead><tbody>\n{rows}\n</tbody></table></div>\n'
        f'<dl class="asked">{asked}</dl>'
    )


def loss_curve(model: str, path: Path) -> str:
    """The training loss and the dev loss of one model by step."""
    try:
        rows = list(csv.DictReader(path.read_text("utf-8").splitlines()))
        train, dev = (
            [(float(row["step"]), float(row[name])) for row in rows if row[name]]
            for name in ("train_loss", "dev_loss")
        )
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file; run the stage train_model") from error
    except (KeyError, ValueError) as error:
        raise InputError(
            f"{path}: not a loss curve: {error}; expected the columns step, train_loss, dev_loss"
        ) from error
    if not train or not dev:
        raise InputError(
            f"{path}: an empty loss curve; expected rows of step, train_loss, dev_loss"
        )
    step, lowest = min(dev, key=lambda point: point[1])
    plot = line_plot(
        {"train loss": train, "dev loss": dev},
        "step",
        "nats per token",
        (step, lowest, f"lowest dev loss {lowest:.3f} at step {step:,g}"),
    )
    return (
        f'<p class="caption">The loss of <code>{for_html(model)}</code> on the text it learns from and on text it never sees. Where the '
        f'dev loss rises while the training loss falls, the model learns by heart.</p>\n<div class="card">{plot}</div>'
    )


def accuracy_by_group(suite: str, results: Results, scores: Path) -> str:
    """Accuracy by group (paradigm) and model of one suite of pairs; empty for other kinds and for a single group."""
    if results.kinds[suite] != "pairs":
        return ""
    by_model = [
        _group_marks(model, scores / model / f"{suite}.parquet", results.confidence)
        for model in results.models
    ]
    groups = sorted(by_model[0], key=lambda group: (-by_model[0][group].value, group))
    if len(groups) < 2:
        return ""
    rows = {group.replace("_", " "): [marks[group] for marks in by_model] for group in groups}
    heads = "".join(f'<th scope="col">{for_html(model)}</th>' for model in results.models)
    numbers = "\n".join(
        f'<tr><th scope="row">{for_html(name)}</th>'
        + "".join(
            f"<td>{100 * mark.value:.1f} {_range('accuracy', mark.interval)}</td>" for mark in marks
        )
        + "</tr>"
        for name, marks in rows.items()
    )
    return (
        f'<h3><code>{for_html(suite)}</code></h3>\n<p class="caption">A dot is one model\'s accuracy on one group of pairs, the line '
        f"through it the {100 * results.confidence:g} % interval. The dashed line is 50 %, a coin; the tick is the length baseline. Groups "
        f"are sorted by <code>{for_html(results.models[0])}</code>, models stand below each other in the legend's order.</p>\n"
        f'<div class="card">{dot_plot(rows, results.models, 0.5)}</div>\n<details><summary>The same numbers as a table (per cent)</summary>'
        f'<div class="card scroll wide"><table><thead><tr><td></td>{heads}</tr></thead><tbody>\n{numbers}\n</tbody></table></div></details>'
    )


def entropy(results: Results, items: Path, tokens: Path) -> str:
    """Histograms of the entropies that the metric `entropy` is the mean of, one panel a model and suite, all on one axis."""
    counts = {}
    for suite in results.kinds:
        table = read(items / f"{suite}.parquet", ITEMS)
        counts[suite] = [
            _entropies(TokenRows(tokens / model / suite, table, "gold")) for model in results.models
        ]
    n_bins = max(len(bins) for panels in counts.values() for bins, _ in panels)
    body = ""
    for suite, panels in counts.items():
        drawn = "\n".join(
            histogram(bins, BIN_WIDTH, mean, n_bins, number, results.models[number])
            for number, (bins, mean) in enumerate(panels)
        )
        body += (
            f'\n<h3><code>{for_html(suite)}</code></h3>\n<div class="card panels">\n{drawn}\n</div>'
        )
    return (
        '<p class="caption">How the entropy of the distributions that predicted the tokens of the right targets is spread, in nats: 0 is '
        "certainty, further right is more undecided. The triangle below the axis is the mean, the metric of that name. Panels share the "
        "axis, not the height. A larger vocabulary leaves more to be undecided about, so between tokenizers compare the shapes, not the "
        "places.</p>" + body
    )


def all_metrics(suite: str, results: Results) -> str:
    """All metrics of one suite, folded away: one row a metric, one column a model."""
    order = list(METRICS)
    names = {name for model in results.models for name in results.metrics[model][suite]} - {
        "convention"
    }
    heads = "".join(f'<th scope="col">{for_html(model)}</th>' for model in results.models)
    rows = ""
    for name in sorted(
        names, key=lambda name: (order.index(name) if name in METRICS else len(order), name)
    ):
        rows += f'<tr><th scope="row">{for_html(label(name))}</th>'
        for model in results.models:
            value, bounds = (
                results.metrics[model][suite].get(name),
                results.bounds(model, suite, name),
            )
            rows += (
                "<td>–</td>"
                if value is None
                else f"<td>{written(name, value)}{unit_of(name)} {_range(name, bounds)}</td>"
            )
        rows += "</tr>\n"
    convention = results.metrics[results.models[0]][suite].get("convention")
    note = (
        f' <span class="muted">scored by the convention {for_html(str(convention))}</span>'
        if convention
        else ""
    )
    return (
        f"<details><summary><code>{for_html(suite)}</code>{note}</summary>"
        f'<div class="card scroll wide"><table><thead><tr><td></td>{heads}</tr></thead><tbody>\n{rows}</tbody></table></div></details>\n'
    )


def definitions(results: Results) -> str:
    """What each metric on the page means."""
    used = {
        name
        for model in results.models
        for suite in results.kinds
        for name in results.metrics[model][suite]
    }
    terms = [
        f"<dt>{metric.label}</dt><dd>{metric.meaning}.</dd>"
        for name, metric in METRICS.items()
        if name in used
    ]
    return "<dl>" + "\n".join(terms) + "</dl>"


def _headline_cell(results: Results, number: int, suite: str) -> str:
    kind = results.kinds[suite]
    model = results.models[number]
    names = {other: headline(kind, results.metrics[other][suite]) for other in results.models}
    name = names[model]
    value, bounds, baseline = (
        results.metrics[model][suite][name],
        results.bounds(model, suite, name),
        results.metrics[model][suite].get("length_baseline"),
    )
    highs = [(results.bounds(other, suite, names[other]) or (0, 0))[1] for other in results.models]
    scale = (
        max(highs + [results.metrics[other][suite][names[other]] for other in results.models])
        if kind == "text"
        else 1.0
    )
    mark = Mark(value / scale, bounds and (bounds[0] / scale, bounds[1] / scale), baseline, "")
    below = "" if baseline is None else f"<small>length baseline {written(name, baseline)}</small>"
    below += "" if name == KINDS[kind][0] else f"<small>{label(name)}</small>"
    return f"<td><b>{written(name, value)}{unit_of(name)}</b> {_range(name, bounds)}{strip(mark, number)}{below}</td>"


def _range(name: str, bounds: tuple[float, float] | None) -> str:
    return (
        ""
        if bounds is None
        else f"<small>{written(name, bounds[0])} – {written(name, bounds[1])}</small>"
    )


def _group_marks(model: str, path: Path, confidence: float) -> dict[str, Mark]:
    """One model's accuracy by group."""
    table = read(path, SCORES)
    parts = item_means(table)
    if "accuracy" not in parts:
        raise InputError(f"{path}: no scores of metric 'accuracy'; run the stage fold_scores")
    marks = {}
    for number, group in enumerate(sorted(pc.unique(table["group"]).to_pylist())):
        rows = parts["accuracy"]["groups"] == number
        values = parts["accuracy"]["values"][rows]
        estimate = ratio(values, parts["accuracy"]["weights"][rows])
        bounds = share_interval(values, estimate, confidence)
        baseline = (
            float(parts["length_baseline"]["values"][rows].mean())
            if "length_baseline" in parts
            else None
        )
        said = "" if bounds is None else f" ({100 * bounds[0]:.0f} – {100 * bounds[1]:.0f})"
        marks[group] = Mark(
            estimate.mean, bounds, baseline, f"{model} {100 * estimate.mean:.1f} %{said}"
        )
    return marks


def _entropies(rows: TokenRows) -> tuple[list[int], float]:
    """Counts in bins of BIN_WIDTH nats, up to the last that is not empty, and the mean."""
    counts, total = np.zeros(1, np.int64), 0.0
    for values in rows.values("entropy"):
        values = values.astype(np.float64)
        total += float(values.sum())
        bins = (np.maximum(values, 0) / BIN_WIDTH).astype(np.int64)  # rounding can leave -1e-7
        found = np.bincount(bins, minlength=len(counts))
        found[: len(counts)] += counts
        counts = found
    return [int(count) for count in counts], total / len(rows)


def _read_json(path: Path, stage: str = "aggregate") -> dict:
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file; run the stage {stage}") from error
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: not JSON: {error}; run the stage {stage}") from error
