"""The report: one HTML page that needs nothing else.

Metrics, intervals, scores, tokens and loss curves go in. The page holds no date and no path, so the
same input gives the same bytes. Token tables are read in batches: memory grows with them by a byte
a row.
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
from lmcore.suites.declare import declared_subset, kind_of
from lmcore.tables import ITEMS, SCORES, read

TITLE = "Small language models, side by side"
SECTIONS = {  # title by anchor; those on tokens have theirs in lmcore.report.tokens
    "results": "Results",
    "seeds": "How far apart seeds lie",
    "loss": "Loss while training",
    "groups": "Accuracy by group",
    "completions": "The missing word, by frequency and context",
    "validity": "Wrong words that fit",
    "entropy": "Entropy of the predictions",
    "models": "From model to model",
    "writing": "What the models write",
    "all": "Every metric",
    "terms": "What the numbers mean",
}
BIN_WIDTH = 0.25  # nats


class Results(NamedTuple):
    """What the page shows, by model and suite in the order of params."""

    models: list[str]
    kinds: dict[str, str]  # suite: kind
    metrics: dict[str, dict[str, dict]]  # model: suite: metric: value
    intervals: dict[str, dict[str, dict]]  # model: suite: metric: low and high
    confidence: float
    subsets: dict[str, str]  # suite: which part of a benchmark it is; empty for a whole one

    def bounds(self, model: str, suite: str, name: str) -> tuple[float, float] | None:
        """The interval of a metric that has one.

        The length baseline has none: it is a property of the items, and no estimate.
        """
        interval = self.intervals[model][suite].get(name)
        if not interval or name == "length_baseline":
            return None
        return interval["low"], interval["high"]

    def headline_name(self, model: str, suite: str) -> str:
        """The headline metric of the suite, by its name in the model's metrics."""
        return headline(self.kinds[suite], self.metrics[model][suite])


def write_report(
    models: list[str],
    suites: dict[str, dict],
    *,
    metrics: Path,  # MODEL.json
    intervals: Path,
    seeds: Path,  # the spread of seeds
    curves: dict[str, Path],  # the loss curve of each trained model
    scores: Path,  # MODEL/SUITE.parquet
    items: Path,  # SUITE.parquet
    tokens: Path,  # MODEL/SUITE
    findings: Path,  # the table of lmcore.analysis.completions
    analysis: Path,  # the folder of lmcore.analysis
    imported: list[str],  # the models that learned from other text than the rest
    validity: Path,  # the table of lmcore.judging.context_validity
    judged_suite: str,  # which suite `validity` is of
    progression: Path,  # SUITE.csv, curves over models
    writers: list[str],  # the models that wrote `generated`
    generated: Path,  # MODEL/generations.parquet
    writing: Path,  # MODEL.json, the statistics of `generated`
    out: Path,
    confidence: float,  # of the intervals
) -> None:
    """Write the report to `out`/index.html.

    Raises InputError, naming the file, where a model, a suite or its headline metric is missing, or
    where a loss curve is none.
    """
    results = _read_results(models, suites, metrics, intervals, confidence)
    on_suites = {
        "results": results_table(results),
        "seeds": seeds_section(_read_json(seeds, "compare_models"), list(suites)),
        "loss": "".join(loss_curve(model, path) for model, path in curves.items()),
        "groups": "".join(accuracy_by_group(suite, results, scores) for suite in suites),
        "completions": completion_findings(findings, models, imported, confidence),
        "validity": context_validity(validity, judged_suite, models, confidence),
        "entropy": entropy(results, items, tokens),
    }
    on_tokens = token_sections(analysis, models)
    at_the_end = {
        "models": progression_curves(_read_progression(progression)),
        "writing": writing_section(writers, generated, writing),
        "all": "".join(all_metrics(suite, results) for suite in suites),
        "terms": definitions(results),
    }
    sections = _titled(on_suites) | on_tokens | _titled(at_the_end)
    with whole(out) as folder:
        folder.mkdir()
        (folder / "index.html").write_text(page(results, sections), "utf-8")


def page(results: Results, sections: dict[str, tuple[str, str]]) -> str:
    """The whole page: `sections` maps an anchor to title and body."""
    links = "\n".join(f'<a href="#{anchor}">{title}</a>' for anchor, (title, _) in sections.items())
    body = "\n".join(
        f'<section id="{anchor}">\n<h2>{title}</h2>\n{html}\n</section>'
        for anchor, (title, html) in sections.items()
    )
    lead = (
        f"{len(results.models)} models on {len(results.kinds)} suites. Every model read every text "
        "teacher-forced, and every figure is folded from what it said of each token. Ranges are "
        f"{100 * results.confidence:g} % intervals over items: they speak of other items of the "
        "same kind, not of another training run; what seeds change has a table of its own."
    )
    footer = (
        "Made by lmcore. Whether two models differ is a paired question, item by item: where their "
        "ranges overlap the difference may still be certain."
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{TITLE}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n<h1>{TITLE}</h1>\n<p>{lead}</p>\n"
        f"<nav>{links}</nav>\n{body}\n<footer>{footer}</footer>\n</main>\n</body>\n</html>\n"
    )


def results_table(results: Results) -> str:
    """Models by suites: the headline metric of each with its interval.

    The length baseline stands below an accuracy.
    """
    heads = asked = ""
    for suite, kind in results.kinds.items():
        metric, question = KINDS[kind]
        arrow = "↓" if kind == "text" else "↑"
        small = f"<small>{label(metric)} {arrow}</small>{_small(results.subsets[suite])}"
        heads += f'<th scope="col">{for_html(suite)}{small}</th>'
        asked += f"<dt><code>{for_html(suite)}</code></dt><dd>{question}</dd>"
    rows = []
    for number, model in enumerate(results.models):
        cells = "".join(_headline_cell(results, number, suite) for suite in results.kinds)
        head = f'<th scope="row"><i></i>{for_html(model)}</th>'
        rows.append(f'<tr class="{series(number)}">{head}{cells}</tr>')
    body = "\n".join(rows)
    return (
        '<p class="caption">One row a model, one column a suite: the headline metric with its '
        "range, both drawn on a line from 0 to 100 % (or to the column's largest value). The "
        "upright tick is the length baseline, what random logits score because shorter text wins: "
        "an accuracy says something only where it leaves the tick. ↑ higher is better, ↓ lower is "
        "better.</p>\n"
        f'<div class="card scroll"><table><thead><tr><td></td>{heads}</tr></thead><tbody>\n'
        f'{body}\n</tbody></table></div>\n<dl class="asked">{asked}</dl>'
    )


def loss_curve(model: str, path: Path) -> str:
    """The training loss and the dev loss of one model by step."""
    try:
        rows = _read_csv(path)
        train, dev = _losses(rows, "train_loss"), _losses(rows, "dev_loss")
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
        f'<p class="caption">The loss of <code>{for_html(model)}</code> on the text it learns from '
        "and on text it never sees. Where the dev loss rises while the training loss falls, the "
        f'model learns by heart.</p>\n<div class="card">{plot}</div>'
    )


def accuracy_by_group(suite: str, results: Results, scores: Path) -> str:
    """Accuracy by group (paradigm) and model of one suite of pairs.

    Empty for other kinds of suites and where there is a single group.
    """
    if results.kinds[suite] != "pairs":
        return ""
    by_model = [
        _group_marks(model, scores / model / f"{suite}.parquet", results.confidence)
        for model in results.models
    ]
    groups = sorted(by_model[0], key=lambda group: (-by_model[0][group].value, group))
    if len(groups) < 2:
        return ""
    rows = {}
    for group in groups:
        rows[group.replace("_", " ")] = [marks[group] for marks in by_model]
    return (
        f'<h3><code>{for_html(suite)}</code></h3>\n<p class="caption">A dot is one model\'s '
        "accuracy on one group of pairs, the line through it the "
        f"{100 * results.confidence:g} % interval. The dashed line is 50 %, a coin; the tick is "
        "the length baseline. Groups are sorted by "
        f"<code>{for_html(results.models[0])}</code>, models stand below each other in the "
        "legend's order.</p>\n"
        f'<div class="card">{dot_plot(rows, results.models, 0.5)}</div>\n'
        "<details><summary>The same numbers as a table (per cent)</summary>"
        f"{_group_table(rows, results.models)}</details>"
    )


def entropy(results: Results, items: Path, tokens: Path) -> str:
    """Histograms of the entropies that the metric `entropy` is the mean of.

    There is one panel for each model and suite, all on one axis.
    """
    panels: dict[str, list[tuple[list[int], float]]] = {}
    n_bins = 0
    for suite in results.kinds:
        table = read(items / f"{suite}.parquet", ITEMS)
        panels[suite] = [
            _entropies(TokenRows(tokens / model / suite, table, "gold")) for model in results.models
        ]
        n_bins = max(n_bins, *(len(counts) for counts, _ in panels[suite]))
    body = ""
    for suite, of_models in panels.items():
        drawn = "\n".join(
            histogram(counts, BIN_WIDTH, mean, n_bins, number, results.models[number])
            for number, (counts, mean) in enumerate(of_models)
        )
        body += (
            f'\n<h3><code>{for_html(suite)}</code></h3>\n<div class="card panels">\n{drawn}\n</div>'
        )
    return (
        '<p class="caption">How the entropy of the distributions that predicted the tokens of the '
        "right targets is spread, in nats: 0 is certainty, further right is more undecided. The "
        "triangle below the axis is the mean, the metric of that name. Panels share the axis, not "
        "the height. A larger vocabulary leaves more to be undecided about, so between tokenizers "
        f"compare the shapes, not the places.</p>{body}"
    )


def all_metrics(suite: str, results: Results) -> str:
    """All metrics of one suite, folded away: one row for each metric, one column for each model."""
    places = {name: place for place, name in enumerate(METRICS)}
    names: set[str] = set()
    for model in results.models:
        names.update(results.metrics[model][suite])
    names.discard("convention")
    rows = ""
    for name in sorted(names, key=lambda name: (places.get(name, len(places)), name)):
        cells = "".join(_metric_cell(results, model, suite, name) for model in results.models)
        rows += f'<tr><th scope="row">{for_html(label(name))}</th>{cells}</tr>\n'
    heads = "".join(f'<th scope="col">{for_html(model)}</th>' for model in results.models)
    note = ""
    if convention := results.metrics[results.models[0]][suite].get("convention"):
        note = f' <span class="muted">scored by the convention {for_html(str(convention))}</span>'
    if subset := results.subsets[suite]:
        note = f' <span class="muted">{subset}</span>{note}'
    return (
        f"<details><summary><code>{for_html(suite)}</code>{note}</summary>"
        f'<div class="card scroll wide"><table><thead><tr><td></td>{heads}</tr></thead><tbody>\n'
        f"{rows}</tbody></table></div></details>\n"
    )


def _small(text: str) -> str:
    """Text below the name of a column; nothing for no text."""
    return f"<small>{text}</small>" if text else ""


def definitions(results: Results) -> str:
    """What each metric on the page means."""
    used: set[str] = set()
    for model in results.models:
        for suite in results.kinds:
            used.update(results.metrics[model][suite])
    terms = [
        f"<dt>{metric.label}</dt><dd>{metric.meaning}.</dd>"
        for name, metric in METRICS.items()
        if name in used
    ]
    return "<dl>" + "\n".join(terms) + "</dl>"


def _read_results(
    models: list[str],
    suites: dict[str, dict],
    metrics: Path,
    intervals: Path,
    confidence: float,
) -> Results:
    """What the stage aggregate wrote of `models` on `suites`.

    Raises InputError, naming the file, where a model, a suite or its headline metric is missing.
    """
    kinds = {suite: kind_of(suite, entry) for suite, entry in suites.items()}
    by_model = {model: _read_json(metrics / f"{model}.json") for model in models}
    all_intervals = _read_json(intervals)
    for model in models:
        for suite, kind in kinds.items():
            values = by_model[model].get(suite, {})
            if headline(kind, values) not in values:
                raise InputError(
                    f"{metrics / f'{model}.json'}: suite '{suite}' has no '{KINDS[kind][0]}'; "
                    "run the stage aggregate"
                )
            if suite not in all_intervals.get(model, {}):
                raise InputError(
                    f"{intervals}: nothing of model '{model}' on suite '{suite}'; "
                    "run the stage aggregate"
                )
    subsets = {suite: declared_subset(suite, entry) for suite, entry in suites.items()}
    return Results(models, kinds, by_model, all_intervals, confidence, subsets)


def _read_progression(folder: Path) -> dict[str, list[dict]]:
    """The rows of `folder`/SUITE.csv, without the files that have none."""
    curves = {}
    for path in sorted(folder.glob("*.csv")):
        if rows := _read_csv(path):
            curves[path.stem] = rows
    return curves


def _read_csv(path: Path) -> list[dict]:
    return list(csv.DictReader(path.read_text("utf-8").splitlines()))


def _read_json(path: Path, stage: str = "aggregate") -> dict:
    """The JSON that `stage` wrote. Raises InputError naming both."""
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file; run the stage {stage}") from error
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: not JSON: {error}; run the stage {stage}") from error


def _titled(bodies: dict[str, str]) -> dict[str, tuple[str, str]]:
    """{anchor: (title, body)} of the sections that are not empty."""
    return {anchor: (SECTIONS[anchor], body) for anchor, body in bodies.items() if body}


def _losses(rows: list[dict], name: str) -> list[tuple[float, float]]:
    """(step, loss) of every row that has the loss `name`."""
    return [(float(row["step"]), float(row[name])) for row in rows if row[name]]


def _headline_cell(results: Results, number: int, suite: str) -> str:
    """The headline metric of a model on a suite, in words and drawn."""
    model = results.models[number]
    metrics, name = results.metrics[model][suite], results.headline_name(model, suite)
    value, baseline = metrics[name], metrics.get("length_baseline")
    bounds, end = results.bounds(model, suite, name), _end_of_line(results, suite)
    interval = bounds and (bounds[0] / end, bounds[1] / end)
    drawn = strip(Mark(value / end, interval, baseline, ""), number)
    below = "" if baseline is None else f"<small>length baseline {written(name, baseline)}</small>"
    if name != KINDS[results.kinds[suite]][0]:
        below += f"<small>{label(name)}</small>"
    shown = f"<b>{written(name, value)}{unit_of(name)}</b> {_range(name, bounds)}"
    return f"<td>{shown}{drawn}{below}</td>"


def _end_of_line(results: Results, suite: str) -> float:
    """What the right end of the line below a headline metric stands for.

    It is 1 for a share; in a column of bits per byte it is the largest value or upper bound.
    """
    if results.kinds[suite] != "text":
        return 1.0
    candidates = []
    for model in results.models:
        name = results.headline_name(model, suite)
        _, high = results.bounds(model, suite, name) or (0, 0)
        candidates += [high, results.metrics[model][suite][name]]
    return max(candidates)


def _metric_cell(results: Results, model: str, suite: str, name: str) -> str:
    """One metric of a model on a suite; a dash where the model lacks it."""
    value = results.metrics[model][suite].get(name)
    if value is None:
        return "<td>–</td>"
    shown_range = _range(name, results.bounds(model, suite, name))
    return f"<td>{written(name, value)}{unit_of(name)} {shown_range}</td>"


def _range(name: str, bounds: tuple[float, float] | None) -> str:
    """The interval of a metric as the page writes it; empty where there is none."""
    if bounds is None:
        return ""
    return f"<small>{written(name, bounds[0])} – {written(name, bounds[1])}</small>"


def _group_marks(model: str, path: Path, confidence: float) -> dict[str, Mark]:
    """One model's accuracy by group."""
    table = read(path, SCORES)
    means = item_means(table)
    if "accuracy" not in means:
        raise InputError(f"{path}: no scores of metric 'accuracy'; run the stage fold_scores")
    accuracy, baselines = means["accuracy"], means.get("length_baseline")
    marks = {}
    for number, group in enumerate(sorted(pc.unique(table["group"]).to_pylist())):
        rows = accuracy["groups"] == number
        values = accuracy["values"][rows]
        estimate = ratio(values, accuracy["weights"][rows])
        bounds = share_interval(values, estimate, confidence)
        baseline = float(baselines["values"][rows].mean()) if baselines else None
        title = f"{model} {100 * estimate.mean:.1f} %"
        if bounds is not None:
            title += f" ({100 * bounds[0]:.0f} – {100 * bounds[1]:.0f})"
        marks[group] = Mark(estimate.mean, bounds, baseline, title)
    return marks


def _group_table(rows: dict[str, list[Mark]], models: list[str]) -> str:
    """The marks of `accuracy_by_group` as numbers: a row for each group."""
    heads = "".join(f'<th scope="col">{for_html(model)}</th>' for model in models)
    lines = []
    for name, marks in rows.items():
        cells = ""
        for mark in marks:
            cells += f"<td>{100 * mark.value:.1f} {_range('accuracy', mark.interval)}</td>"
        lines.append(f'<tr><th scope="row">{for_html(name)}</th>{cells}</tr>')
    body = "\n".join(lines)
    return (
        f'<div class="card scroll wide"><table><thead><tr><td></td>{heads}</tr></thead><tbody>\n'
        f"{body}\n</tbody></table></div>"
    )


def _entropies(rows: TokenRows) -> tuple[list[int], float]:
    """Counts in bins of BIN_WIDTH nats, up to the last bin that is not empty, and the mean."""
    counts, total = np.zeros(1, np.int64), 0.0
    for values in rows.values("entropy"):
        values = values.astype(np.float64)
        total += float(values.sum())
        bins = (np.maximum(values, 0) / BIN_WIDTH).astype(np.int64)  # rounding can leave -1e-7
        sums = np.bincount(bins, minlength=len(counts))
        sums[: len(counts)] += counts
        counts = sums
    return [int(count) for count in counts], total / len(rows)
