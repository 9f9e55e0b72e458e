"""How a `Diff` is shown: as text for a terminal, as Markdown for a pull request, or as JSON.

A Diff goes in. A string comes out.
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from lmcore.comparing.comparison import TWO_MODELS, VERDICTS, Comparison
from lmcore.comparing.diff_results import Diff, Row, WithoutTables
from lmcore.comparing.model_pairs import as_json
from lmcore.folds.fold import PSEUDO
from lmcore.shown import for_html, for_json, for_markdown, for_terminal
from lmcore.statistics.stats import FEW_ITEMS

HEAD = ("model", "suite", "metric", "A", "B", "B − A", "interval", "p", "verdict")
OF_CAUSAL = {"surprisal_per_byte": "bits_per_byte", "surprisal_per_word": "bits_per_word"}
LABELS = OF_CAUSAL | {PSEUDO + name: PSEUDO + label for name, label in OF_CAUSAL.items()}
COLOURS = {"worse": 31, "better": 32}  # ANSI
TEXT_LENGTH = 160  # the characters of an example's text that are shown
# how the differences of figures without tables were tested (lmcore.comparing.diff_unpaired)
METHODS = {
    "welch": "Welch's t, with the standard error sqrt(se_A² + se_B²)",
    "newcombe": "of shares of right items in one group, Newcombe's interval and the pooled z test",
    "bounds": "of medians, from the bounds of both intervals (Zou & Donner)",
}
VALUE_LENGTH = 60  # the characters of a param's value that are shown


class Parts(NamedTuple):
    """What the text shows, piece by piece, for a page that escapes it."""

    counts: list[str]
    causes: list[str]
    doubts: list[str]  # on tables that are nowhere, how others counted, and what is stale
    head: tuple[str, ...]
    rows: list[tuple[str, ...]]
    notes: list[str]
    rest: list[str]
    group_head: tuple[str, ...]
    groups: dict[str, list[tuple[str, ...]]]


def as_parts(diff: Diff) -> Parts:
    """The parts of a diff, as they are: whoever shows them escapes them."""
    diff = _shown(diff, str)
    groups = {}
    for row in diff.rows:
        if row.groups:
            cells = [cells[1:] for cells in _group_cells(row, diff)]
            groups[f"{row.model} on {row.suite}"] = cells
    return Parts(
        counts=_counts(diff),
        causes=_causes(diff),
        doubts=[*_about_tables(diff), *diff.notes, *doubts(diff)],
        head=HEAD,
        rows=[_row_cells(row, diff) for row in diff.rows],
        notes=_notes(diff) if diff.rows else [],
        rest=_rest(diff),
        group_head=("group", *HEAD[2:]),
        groups=groups,
    )


def as_text(diff: Diff, *, colour: bool) -> str:
    """For a terminal: what changed, and one line for each comparison.

    Groups and examples follow where there are any.
    """
    diff = _shown(diff, for_terminal)
    paint: Callable[[str], str] = _painted if colour else str
    notes = [f"note   {line}" for line in [*_about_tables(diff), *diff.notes, *doubts(diff)]]
    lines = [f"A  {diff.a}", f"B  {diff.b}", "", *_causes(diff), *notes]
    if diff.rows:
        table: list[tuple[str, ...]] = [HEAD, *(_row_cells(row, diff) for row in diff.rows)]
        lines += ["", *_aligned(table, paint), "", *_notes(diff)]
    if diff.without_tables and diff.without_tables.others:
        others = _other_cells(diff)
        lines += ["", _about_others(diff), *(_aligned([HEAD, *others], paint) if others else [])]
    lines += ["", *_rest(diff)]
    for row in diff.rows:
        title = f"{row.model} on {row.suite}"
        if row.groups:
            groups = [("", "group", *HEAD[2:]), *_group_cells(row, diff)]
            lines += ["", f"{title}, by group", *_aligned(groups, paint)]
        if row.items:
            lines += ["", f"{title}, items", *_examples(row)]
    return "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"


def as_markdown(diff: Diff) -> str:
    """For a pull request: a summary line, the table, and the rest folded away."""
    titles = [
        f"<code>{for_html(row.model)}</code> on <code>{for_html(row.suite)}</code>"
        for row in diff.rows
    ]
    diff = _shown(diff, for_markdown)
    lines = [f"**{diff.a} → {diff.b}**: {', '.join(_counts(diff))}", ""]
    if notes := [*_about_tables(diff), *diff.notes, *doubts(diff)]:
        lines += [*(f"- {line}" for line in notes), ""]
    if diff.rows:
        table: list[tuple[str, ...]] = [HEAD]
        for row in diff.rows:
            *cells, verdict = _row_cells(row, diff)
            table.append((*cells, _bold(verdict)))
        lines += [*_piped(table), "", *_notes(diff), ""]
    if not diff.rows or diff.refused or diff.lost or diff.only_a or diff.only_b:
        lines += [*_rest(diff), ""]
    folded = {}
    if causes := _causes(diff):
        folded["What changed"] = [f"- {line}" for line in causes]
    if others := _other_cells(diff):
        folded["Other metrics"] = [_about_others(diff), "", *_piped([HEAD, *others])]
    for title, row in zip(titles, diff.rows, strict=True):
        if row.groups:
            groups = [cells[1:] for cells in _group_cells(row, diff)]
            folded[f"{title}, by group"] = _piped([("group", *HEAD[2:]), *groups])
        if row.items:
            folded[f"{title}, items"] = ["```", *_examples(row), "```"]
    for title, body in folded.items():
        lines += ["<details><summary>" + title + "</summary>", "", *body, "", "</details>", ""]
    return "\n".join(lines)


def _counts(diff: Diff) -> list[str]:
    """How many comparisons have each verdict, were refused, or did not change."""
    counts = Counter(row.comparison.verdict for row in diff.rows)
    lines = [f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict]]
    if diff.refused:
        lines.append(f"{len(diff.refused)} not comparable")
    return [*lines, f"{len(diff.unchanged)} unchanged"]


def as_data(diff: Diff) -> str:
    """As JSON: everything that text and Markdown show, unrounded."""
    refused = []
    for (model, suite), reason in diff.refused.items():
        refused.append({"model": model, "suite": suite, "reason": reason})
    values = diff._asdict() | {
        "rows": [_row_data(row) for row in diff.rows],
        "params": {name: {"a": a, "b": b} for name, (a, b) in diff.params.items()},
        "unchanged": [{"model": model, "suite": suite} for model, suite in diff.unchanged],
        "refused": refused,
    }
    if values.pop("of_logs"):
        del values["params"], values["stages"], values["stale"]
    elif not values["notes"]:
        del values["notes"]
    without_tables = values.pop("without_tables")
    if without_tables:
        others = [_row_data(row) for row in without_tables.others]
        values["without_tables"] = without_tables._asdict() | {"others": others}
    return for_json(values, indent=2, allow_nan=False) + "\n"


def _row_data(row: Row) -> dict[str, Any]:
    """A row as JSON has it. Of an unpaired one, what only paired items tell is left out."""
    row = _as_recorded(row)
    values: dict[str, Any] = {"model": row.model, "suite": row.suite}
    values |= as_json(row.comparison)
    if row.method:
        for name in ("n_groups", "n_better", "n_worse"):
            del values[name]
        if math.isinf(row.comparison.df):
            del values["df"]
        return values | {"method": row.method} | _note_data(row)
    values["n_lost"] = row.n_lost
    if row.subset:
        values["subset"] = row.subset
    if row.groups:
        values["groups"] = {group: as_json(part) for group, part in row.groups.items()}
    if row.items:
        values["items"] = row.items
    return values | _note_data(row)


def _note_data(row: Row) -> dict[str, str]:
    """The note on a row's few texts, under its key in JSON."""
    note = few_texts(row)
    return {"note": note} if note else {}


def few_texts(row: Row) -> str:
    """What is said of a comparison whose texts count like fewer than FEW_ITEMS of equal size.

    Where items share clusters, it is said of these. Empty for all others.
    """
    n_effective, n_clusters = row.comparison.n_effective, row.comparison.n_clusters
    if n_effective is None or n_effective >= FEW_ITEMS:
        return ""
    n = f"{n_clusters:,} clusters" if n_clusters else f"{row.comparison.n_items:,} texts"
    return (
        f"{row.model} on {row.suite}: its {n} count like {n_effective:.1f} of equal size."
        f" With fewer than {FEW_ITEMS}, only large differences can show."
    )


def doubts(diff: Diff) -> list[str]:
    """Why the absence of `worse` does not mean that nothing got worse.

    These are scores that are stale, and what was not compared.
    """
    return [*diff.stale, *diff.not_compared]


def _about_tables(diff: Diff) -> list[str]:
    """The lines on tables that are nowhere, and on the options that need them."""
    if diff.without_tables is None:
        return []
    return [diff.without_tables.why, *diff.without_tables.left_out]


def _other_cells(diff: Diff) -> list[tuple[str, ...]]:
    """The cells under HEAD of the other metrics for whose difference there is evidence."""
    others = diff.without_tables.others if diff.without_tables else []
    rows = [row for row in others if row.comparison.verdict in VERDICTS[:4]]
    return [(*_row_cells(row, diff)[:-1], row.comparison.verdict) for row in rows]


def _about_others(diff: Diff) -> str:
    """The line on the metrics that are not the headline of their suite."""
    assert diff.without_tables is not None
    n_found, n = len(_other_cells(diff)), diff.without_tables.n_others
    return (
        f"{n_found} of {n} other metrics differ (p corrected among those that changed, as for"
        " groups); `--json` has all."
    )


def _as_recorded(row: Row) -> Row:
    """A row whose metric has the name of what was compared: of ranks, git has the median."""
    if row.method != "bounds":
        return row
    name = row.comparison.metric.replace("rank", "median_rank")
    return row._replace(comparison=row.comparison._replace(metric=name))


def worst_first(groups: dict[str, Comparison]) -> list[tuple[str, Comparison]]:
    """Groups in which an item changed, by verdict, then by p value."""
    changed = [(name, comparison) for name, comparison in groups.items() if comparison.changed]
    return sorted(changed, key=lambda pair: (VERDICTS.index(pair[1].verdict), pair[1].p, pair[0]))


def _shown(diff: Diff, show: Callable[[str], str]) -> Diff:
    """The diff with every name and value in it as `show` makes it.

    Examples of items are left as they are: in Markdown, they are code.
    """

    def all_of(names: Iterable[str]) -> list[str]:
        return [show(name) for name in names]

    params: dict[str, tuple[Any, Any]] = {}
    for name, (a, b) in diff.params.items():
        params[show(name)] = (show(_short(a)), show(_short(b)))
    refused = {}
    for (model, suite), reason in diff.refused.items():
        refused[show(model), show(suite)] = show(reason)
    return diff._replace(
        a=show(diff.a),
        b=show(diff.b),
        params=params,
        stages={show(name): all_of(reasons) for name, reasons in diff.stages.items()},
        stale=all_of(diff.stale),
        not_compared=all_of(diff.not_compared),
        notes=tuple(all_of(diff.notes)),
        lost=all_of(diff.lost),
        cannot_tell=all_of(diff.cannot_tell),
        rows=[_shown_row(row, show) for row in diff.rows],
        unchanged=[(show(model), show(suite)) for model, suite in diff.unchanged],
        refused=refused,
        only_a=all_of(diff.only_a),
        only_b=all_of(diff.only_b),
        margin={show(metric): margin for metric, margin in diff.margin.items()},
        without_tables=_shown_without_tables(diff.without_tables, show),
    )


def _shown_without_tables(
    found: WithoutTables | None, show: Callable[[str], str]
) -> WithoutTables | None:
    """What is said where tables are nowhere, with the names in it as `show` makes them."""
    if found is None:
        return None
    return found._replace(
        why=show(found.why),
        left_out=[show(line) for line in found.left_out],
        others=[_shown_row(row, show) for row in found.others],
    )


def _shown_row(row: Row, show: Callable[[str], str]) -> Row:
    """A row with the names in it as `show` makes them."""
    row = _as_recorded(row)
    groups = {}
    for name, comparison in row.groups.items():
        groups[show(name)] = comparison._replace(metric=show(comparison.metric))
    comparison = row.comparison._replace(metric=show(row.comparison.metric))
    return row._replace(
        model=show(row.model), suite=show(row.suite), comparison=comparison, groups=groups
    )


def _row_cells(row: Row, diff: Diff) -> tuple[str, ...]:
    """A row's cells under HEAD."""
    comparison = row.comparison
    seeds = (comparison.n_seeds_a, comparison.n_seeds_b)
    name = row.model
    if max(seeds) > 1:
        name += f" ({seeds[0]} and {seeds[1]} seeds)"
    verdict = _verdict(comparison, diff, in_full=True)
    return (name, row.suite, *_figures(comparison), verdict)


def _group_cells(row: Row, diff: Diff) -> list[tuple[str, ...]]:
    """The cells of a row's groups under HEAD: no model, and the group in the place of the suite."""
    cells = []
    for name, comparison in worst_first(row.groups):
        verdict = _verdict(comparison, diff, in_full=False)
        cells.append(("", name, *_figures(comparison), verdict))
    return cells


def _figures(comparison: Comparison) -> tuple[str, ...]:
    """The cells of a comparison from its metric to its p value."""
    digits = 4 if max(abs(comparison.a), abs(comparison.b)) < 100 else 1
    low, high = comparison.low, comparison.high
    interval = "unknown"
    if low is not None and high is not None:
        interval = f"[{low:+.{digits}f}, {high:+.{digits}f}]"
    return (
        LABELS.get(comparison.metric, comparison.metric),
        f"{comparison.a:.{digits}f}",
        f"{comparison.b:.{digits}f}",
        f"{comparison.difference:+.{digits}f}",
        interval,
        f"{comparison.p_corrected:.3f}" if comparison.p_corrected >= 0.001 else "<0.001",
    )


def _verdict(comparison: Comparison, diff: Diff, in_full: bool) -> str:
    """A verdict with its margin or, `in_full`, with the difference that would show."""
    if comparison.verdict == "equal":
        return f"equal within {diff.margin[comparison.metric]:g}"
    if comparison.verdict == "no evidence" and comparison.detectable and in_full:
        return f"no evidence ({comparison.detectable:.2g} would show)"
    return comparison.verdict


def _causes(diff: Diff) -> list[str]:
    """What changed: params, the stages with another cause than their inputs, and what followed."""
    if diff.of_logs:
        return []
    lines = [f"param  {name}: {a} → {b}" for name, (a, b) in diff.params.items()]
    follows = {"inputs", "outputs"}
    causes = {}
    for name, reasons in diff.stages.items():
        causes[name] = [reason for reason in reasons if reason not in follows]
    grouped = _grouped(causes)
    lines += [f"stage  {name}: {', '.join(reasons)}" for name, reasons in grouped if reasons]
    if after := [name for name, reasons in grouped if not reasons]:
        lines.append(f"then   {', '.join(after)}")
    return lines or ["no param and no stage changed"]


def _grouped(causes: dict[str, list[str]]) -> list[tuple[str, list[str]]]:
    """Stages of one matrix with the same cause as one: `extract_tokens ×4`."""
    counts = Counter((name.partition("@")[0], tuple(why)) for name, why in causes.items())
    return [(f"{name} ×{n}" if n > 1 else name, list(why)) for (name, why), n in counts.items()]


def _notes(diff: Diff) -> list[str]:
    """How the table of comparisons is to be read."""
    n = len(diff.rows)
    what_changed = "a recorded figure" if diff.without_tables else "an item"
    lines = [
        f"Intervals are {100 * diff.confidence:g} %, of each comparison alone;"
        f" p is corrected ({diff.correction}) for the {n} comparison{'s' * (n > 1)}"
        f" in which {what_changed} changed."
    ]
    methods = {row.method for row in diff.rows if row.method}
    if methods:
        how = "; ".join(METHODS[name] for name in METHODS if name in methods)
        lines.append(f"A and B are taken as independent: {how}.")
    claims = {row.comparison.claim for row in diff.rows if row.comparison.claim}
    if TWO_MODELS in claims:
        lines.append(
            "With one seed a side, better and worse say: these two models differ;"
            " seed noise unknown."
        )
    if claims - {TWO_MODELS}:
        lines.append("With several seeds a side, better and worse speak of the recipe.")
    subsets = {row.suite: row.subset for row in diff.rows if row.subset}
    lines += [f"{suite} is a {subset}." for suite, subset in subsets.items()]
    clusters = {row.suite: row.comparison.n_clusters for row in diff.rows}
    for suite, n_clusters in clusters.items():
        if n_clusters:
            lines.append(
                f"{suite}: its items lie in {n_clusters:,} clusters; intervals and p take whole"
                " clusters."
            )
    for row in diff.rows:
        if row.n_lost:
            lines.append(
                f"{row.model} on {row.suite}: {row.n_lost:,} items fell out,"
                f" {row.comparison.n_items:,} compared."
            )
    return [*lines, *diff.cannot_tell, *(note for note in map(few_texts, diff.rows) if note)]


def _rest(diff: Diff) -> list[str]:
    """The lines on what has no verdict."""
    lines = [_unchanged_line(diff)] if diff.unchanged else []
    lines += diff.lost
    models_of: dict[str, list[str]] = {}  # by the reason for which they were refused
    for (model, _), reason in diff.refused.items():
        models_of.setdefault(reason, []).append(model)
    remedy = "; `--common` compares the items that both have"
    if diff.without_tables:
        remedy = "; with the tables of both, `--common` would compare the items that both have"
    for reason, models in models_of.items():
        lines.append(f"not comparable: {', '.join(models)} on {reason}{remedy}")
    for side, names in (("A", diff.only_a), ("B", diff.only_b)):
        if names:
            lines.append(f"only in {side}: {', '.join(names)}")
    return lines


def _unchanged_line(diff: Diff) -> str:
    """The models and suites that did not change; models with the same suites together."""
    suites_of: dict[str, list[str]] = {}
    for model, suite in diff.unchanged:
        suites_of.setdefault(model, []).append(suite)
    models_of: dict[tuple[str, ...], list[str]] = {}
    for model, suites in suites_of.items():
        models_of.setdefault(tuple(suites), []).append(model)
    parts = [f"{', '.join(models)} on {', '.join(suites)}" for suites, models in models_of.items()]
    what = "no recorded figure" if diff.without_tables else "no item"
    return f"unchanged ({what} differs): " + "; ".join(parts)


def _examples(row: Row) -> list[str]:
    """The items that changed most, each with a line for each of its options."""
    lines = []
    for example in row.items:
        change = f"{example['a']:.4g} → {example['b']:.4g}"
        lines += ["", f"{example['turned']}: {for_terminal(example['item'])}  ({change})"]
        for option in example["options"]:
            text = for_terminal(_cut(option["context"] + option["target"]))
            a, b = _logprob_cell(option["a"]), _logprob_cell(option["b"])
            lines.append(f"  {'*' if option['gold'] else ' '} {a} →{b}  {text}")
    return lines


def _logprob_cell(logprob: float | None) -> str:
    return f"{logprob:10.2f}" if logprob is not None else " " * 10


def _cut(text: str) -> str:
    """A text in one line, without its middle if it is long."""
    text = " ".join(text.split())
    if len(text) <= TEXT_LENGTH:
        return text
    half = TEXT_LENGTH // 2
    return f"{text[:half]} … {text[-half:]}"


def _short(value: Any) -> str:
    """A value of params.yaml, cut off if it is long."""
    text = "none" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= VALUE_LENGTH else f"{text[: VALUE_LENGTH - 3]}…"


def _aligned(rows: list[tuple[str, ...]], paint: Callable[[str], str]) -> list[str]:
    """A table for a terminal; `paint` colours the verdicts, which are the last cells."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    numbers = range(3, 8)  # these columns are aligned on the right
    lines = []
    for row in rows:
        cells = []
        for column, (cell, width) in enumerate(zip(row, widths)):
            cells.append(cell.rjust(width) if column in numbers else cell.ljust(width))
        lines.append("  ".join([*cells[:-1], paint(row[-1])]).rstrip())
    return lines


def _piped(rows: list[tuple[str, ...]]) -> list[str]:
    """A table in Markdown."""
    head, *body = rows
    rule = tuple("---" for _ in head)
    return ["| " + " | ".join(row) + " |" for row in (head, rule, *body)]


def _painted(verdict: str) -> str:
    """A verdict in its colour, for a terminal."""
    return f"\x1b[{COLOURS[verdict]}m{verdict}\x1b[0m" if verdict in COLOURS else verdict


def _bold(verdict: str) -> str:
    """A verdict in bold, for Markdown."""
    return f"**{verdict}**" if verdict in COLOURS else verdict
