"""How a `Diff` is shown: as text for a terminal, as Markdown for a pull request, or as JSON; strings come out."""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from lmcore.comparing.comparison import TWO_MODELS, VERDICTS, Comparison
from lmcore.comparing.diff import Diff, Row
from lmcore.comparing.model_pairs import as_json
from lmcore.folds.fold import PSEUDO
from lmcore.shown import for_html, for_json, for_markdown, for_terminal

HEAD = ("model", "suite", "metric", "A", "B", "B − A", "interval", "p", "verdict")
OF_CAUSAL = {"surprisal_per_byte": "bits_per_byte", "surprisal_per_word": "bits_per_word"}
LABELS = OF_CAUSAL | {PSEUDO + name: PSEUDO + label for name, label in OF_CAUSAL.items()}
COLOURS = {"worse": 31, "better": 32}  # ANSI
TEXT_LENGTH = 160  # characters of an example's text that are shown


def as_text(diff: Diff, *, colour: bool) -> str:
    """For a terminal: what changed, one line a comparison, then groups and examples where there are any."""
    diff = _shown(diff, for_terminal)
    paint: Callable[[str], str] = _painted if colour else str
    lines = [
        f"A  {diff.a}",
        f"B  {diff.b}",
        "",
        *_causes(diff),
        *(f"note   {line}" for line in doubts(diff)),
    ]
    if diff.rows:
        lines += [
            "",
            *_aligned(
                [HEAD, *(_cells(row.model, row.suite, row.comparison, diff) for row in diff.rows)],
                paint,
            ),
        ]
        lines += ["", *_notes(diff)]
    lines += ["", *_rest(diff)]
    for row in diff.rows:
        if row.groups:
            cells = [_cells("", name, part, diff) for name, part in worst_first(row.groups)]
            lines += [
                "",
                f"{row.model} on {row.suite}, by group",
                *_aligned([("", "group", *HEAD[2:]), *cells], paint),
            ]
        if row.items:
            lines += ["", f"{row.model} on {row.suite}, items", *_examples(row)]
    return "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"


def as_markdown(diff: Diff) -> str:
    """For a pull request: a summary line, the table, and the rest folded away."""
    titles = [
        f"<code>{for_html(row.model)}</code> on <code>{for_html(row.suite)}</code>"
        for row in diff.rows
    ]
    diff = _shown(diff, for_markdown)
    counts = Counter(row.comparison.verdict for row in diff.rows)
    found = [f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict]]
    found += [f"{len(diff.refused)} not comparable"] if diff.refused else []
    lines = [
        f"**{diff.a} → {diff.b}**: {', '.join([*found, f'{len(diff.unchanged)} unchanged'])}",
        "",
    ]
    lines += [*(f"- {line}" for line in doubts(diff)), ""] if doubts(diff) else []
    if diff.rows:
        cells = [_cells(row.model, row.suite, row.comparison, diff) for row in diff.rows]
        lines += [
            *_piped([HEAD, *((*cell[:-1], _bold(cell[-1])) for cell in cells)]),
            "",
            *_notes(diff),
            "",
        ]
    lines += (
        [*_rest(diff), ""]
        if not diff.rows or diff.refused or diff.lost or diff.only_a or diff.only_b
        else []
    )
    folded = {"What changed": [f"- {line}" for line in _causes(diff)]}
    for title, row in zip(titles, diff.rows, strict=True):
        if row.groups:
            cells = [_cells("", name, part, diff)[1:] for name, part in worst_first(row.groups)]
            folded[f"{title}, by group"] = _piped([("group", *HEAD[2:]), *cells])
        if row.items:
            folded[f"{title}, items"] = ["```", *_examples(row), "```"]
    for title, body in folded.items():
        lines += ["<details><summary>" + title + "</summary>", "", *body, "", "</details>", ""]
    return "\n".join(lines)


def as_data(diff: Diff) -> str:
    """As JSON: everything that text and Markdown show, unrounded."""
    rows = [
        {"model": row.model, "suite": row.suite, **as_json(row.comparison), "n_lost": row.n_lost}
        | (
            {"groups": {name: as_json(part) for name, part in row.groups.items()}}
            if row.groups
            else {}
        )
        | ({"items": row.items} if row.items else {})
        for row in diff.rows
    ]
    values = diff._asdict() | {
        "rows": rows,
        "params": {name: {"a": a, "b": b} for name, (a, b) in diff.params.items()},
        "unchanged": [{"model": model, "suite": suite} for model, suite in diff.unchanged],
        "refused": [
            {"model": model, "suite": suite, "reason": reason}
            for (model, suite), reason in diff.refused.items()
        ],
    }
    return for_json(values, indent=2, allow_nan=False) + "\n"


def doubts(diff: Diff) -> list[str]:
    """Why no absence of `worse` means that nothing got worse: scores that are stale, and what was not compared."""
    return [*diff.stale, *diff.not_compared]


def worst_first(groups: dict[str, Comparison]) -> list[tuple[str, Comparison]]:
    """Groups in which an item changed, by verdict, then by p value."""
    changed = [(name, part) for name, part in groups.items() if part.changed]
    return sorted(changed, key=lambda pair: (VERDICTS.index(pair[1].verdict), pair[1].p, pair[0]))


def _shown(diff: Diff, show: Callable[[str], str]) -> Diff:
    """The diff with every name and value in it as `show` makes it; but for examples of items, which are code in Markdown."""

    def all_of(names: Iterable[str]) -> Any:
        return [show(name) for name in names]

    rows = []
    for row in diff.rows:
        comparison = row.comparison._replace(metric=show(row.comparison.metric))
        groups = {
            show(name): part._replace(metric=show(part.metric)) for name, part in row.groups.items()
        }
        rows.append(
            row._replace(
                model=show(row.model), suite=show(row.suite), comparison=comparison, groups=groups
            )
        )
    return diff._replace(
        a=show(diff.a),
        b=show(diff.b),
        params={
            show(name): (show(_short(a)), show(_short(b))) for name, (a, b) in diff.params.items()
        },
        stages={show(name): all_of(why) for name, why in diff.stages.items()},
        stale=all_of(diff.stale),
        not_compared=all_of(diff.not_compared),
        lost=all_of(diff.lost),
        rows=rows,
        unchanged=[(show(model), show(suite)) for model, suite in diff.unchanged],
        refused={
            (show(model), show(suite)): show(why) for (model, suite), why in diff.refused.items()
        },
        only_a=all_of(diff.only_a),
        only_b=all_of(diff.only_b),
        margin={show(metric): margin for metric, margin in diff.margin.items()},
    )


def _cells(model: str, suite: str, comparison: Comparison, diff: Diff) -> tuple[str, ...]:
    seeds = (comparison.n_seeds_a, comparison.n_seeds_b)
    name = f"{model} ({seeds[0]} and {seeds[1]} seeds)" if model and max(seeds) > 1 else model
    digits = 4 if max(abs(comparison.a), abs(comparison.b)) < 100 else 1
    low, high = comparison.low, comparison.high
    bounds = (
        f"[{low:+.{digits}f}, {high:+.{digits}f}]"
        if low is not None and high is not None
        else "unknown"
    )
    p = f"{comparison.p_corrected:.3f}" if comparison.p_corrected >= 0.001 else "<0.001"
    label = LABELS.get(comparison.metric, comparison.metric)
    a, b, difference = (
        f"{comparison.a:.{digits}f}",
        f"{comparison.b:.{digits}f}",
        f"{comparison.difference:+.{digits}f}",
    )
    return (
        name,
        suite,
        label,
        a,
        b,
        difference,
        bounds,
        p,
        _verdict(comparison, diff, in_full=bool(model)),
    )


def _verdict(comparison: Comparison, diff: Diff, in_full: bool) -> str:
    if comparison.verdict == "equal":
        return f"equal within {diff.margin[comparison.metric]:g}"
    if comparison.verdict == "no evidence" and comparison.detectable and in_full:
        return f"no evidence ({comparison.detectable:.2g} would show)"
    return comparison.verdict


def _causes(diff: Diff) -> list[str]:
    """What changed: params, the stages with another cause than their inputs, and what followed."""
    lines = [f"param  {name}: {a} → {b}" for name, (a, b) in diff.params.items()]
    follows = {"inputs", "outputs"}
    causes = {
        name: [reason for reason in why if reason not in follows]
        for name, why in diff.stages.items()
    }
    lines += [f"stage  {name}: {', '.join(why)}" for name, why in _grouped(causes) if why]
    if after := [name for name, why in _grouped(causes) if not why]:
        lines.append(f"then   {', '.join(after)}")
    return lines or ["no param and no stage changed"]


def _grouped(causes: dict[str, list[str]]) -> list[tuple[str, list[str]]]:
    """Stages of one matrix with the same cause as one: `extract_tokens ×4`."""
    counts = Counter((name.partition("@")[0], tuple(why)) for name, why in causes.items())
    return [(f"{name} ×{n}" if n > 1 else name, list(why)) for (name, why), n in counts.items()]


def _notes(diff: Diff) -> list[str]:
    n = len(diff.rows)
    lines = [
        f"Intervals are {100 * diff.confidence:g} %, of each comparison alone; p is corrected ({diff.correction}) "
        f"for the {n} comparison{'s' * (n > 1)} in which an item changed."
    ]
    if any(row.comparison.claim == TWO_MODELS for row in diff.rows):
        lines.append(
            "With one seed a side, better and worse say: these two models differ; seed noise unknown."
        )
    if any(row.comparison.claim and row.comparison.claim != TWO_MODELS for row in diff.rows):
        lines.append("With several seeds a side, better and worse speak of the recipe.")
    lines += [
        f"{row.model} on {row.suite}: {row.n_lost:,} items fell out, {row.comparison.n_items:,} compared."
        for row in diff.rows
        if row.n_lost
    ]
    return lines


def _rest(diff: Diff) -> list[str]:
    """What there is no verdict on."""
    lines = []
    if diff.unchanged:
        suites: dict[tuple[str, ...], list[str]] = {}
        models = dict.fromkeys(model for model, _ in diff.unchanged)
        for model in models:
            suites.setdefault(
                tuple(suite for name, suite in diff.unchanged if name == model), []
            ).append(model)
        lines += [
            "unchanged (no item differs): "
            + "; ".join(f"{', '.join(names)} on {', '.join(on)}" for on, names in suites.items())
        ]
    lines += diff.lost
    for reason in dict.fromkeys(diff.refused.values()):
        names = [model for (model, _), found in diff.refused.items() if found == reason]
        lines.append(
            f"not comparable: {', '.join(names)} on {reason}; `--common` compares the items that both have"
        )
    lines += [
        f"only in {side}: {', '.join(names)}"
        for side, names in (("A", diff.only_a), ("B", diff.only_b))
        if names
    ]
    return lines


def _examples(row: Row) -> list[str]:
    lines = []
    for example in row.items:
        lines += [
            "",
            f"{example['turned']}: {for_terminal(example['item'])}  ({example['a']:.4g} → {example['b']:.4g})",
        ]
        for option in example["options"]:
            text = for_terminal(_cut(option["context"] + option["target"]))
            a, b = (
                f"{option[side]:10.2f}" if option[side] is not None else f"{'':10}" for side in "ab"
            )
            lines.append(f"  {'*' if option['gold'] else ' '} {a} →{b}  {text}")
    return lines


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return (
        text
        if len(text) <= TEXT_LENGTH
        else f"{text[: TEXT_LENGTH // 2]} … {text[-TEXT_LENGTH // 2 :]}"
    )


def _short(value: Any) -> str:
    text = "none" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _aligned(rows: list[tuple[str, ...]], paint: Callable[[str], str]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    numbers = range(3, 8)
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if column in numbers else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths))
        ]
        lines.append("  ".join([*cells[:-1], paint(row[-1])]).rstrip())
    return lines


def _piped(rows: list[tuple[str, ...]]) -> list[str]:
    head, *body = rows
    rule = tuple("---" for _ in head)
    return ["| " + " | ".join(row) + " |" for row in (head, rule, *body)]


def _painted(verdict: str) -> str:
    return f"\x1b[{COLOURS[verdict]}m{verdict}\x1b[0m" if verdict in COLOURS else verdict


def _bold(verdict: str) -> str:
    return f"**{verdict}**" if verdict in COLOURS else verdict
