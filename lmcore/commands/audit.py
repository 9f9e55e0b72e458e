"""The page of `lmcore audit`: Audits go in, text, Markdown or JSON comes out."""

from collections.abc import Callable
from pathlib import Path

from lmcore.errors import InputError
from lmcore.logs.audit import Audit, audit
from lmcore.logs.evaluation import Evaluation
from lmcore.logs.open import read_logs
from lmcore.logs.own import read_model
from lmcore.shown import for_json, for_markdown, for_terminal

HEAD = (
    "suite",
    "items",
    "printed",
    "first",
    "half",
    "95 %",
    "lost",
    "ties",
    "identical",
    "decide",
    "shortest",
    "first chosen",
    "first right",
)
LEGEND = (
    "printed: the tool's figure ± its standard error; first, half, lost: what the score is if a tie"
    " counts for the first option (as argmax does), as guessing would, as wrong; 95 %: of half,"
    " a mean over groups; decide: items that are neither tied nor have identical options; shortest:"
    " what choosing the shortest option scores; first chosen, right: the first option's share"
)


def audits_of(name: str, data: Path) -> tuple[list[Audit], list[str]]:
    """The audits of a log (a file or a folder) or of a model of the pipeline, and what has none.

    Raises InputError where there is neither, and where nothing has the log-probs of options.
    """
    path = Path(name)
    evaluations = read_logs(path) if path.exists() else read_model(name, data)
    audits, without = [], []
    for evaluation in evaluations:
        found = audit(evaluation)
        if found:
            audits.append(found)
        else:
            without.append(_without(evaluation))
    if not audits:
        raise InputError(f"{name}: {'; '.join(without)}; there is nothing to audit")
    return audits, without


def _without(evaluation: Evaluation) -> str:
    return f"{evaluation.model} on {evaluation.task}: the log has no log-probs of options"


def as_text(audits: list[Audit], without: list[str]) -> str:
    """For a terminal: a table for each model, and the findings."""
    lines: list[str] = []
    for model, of_model in _by_model(audits).items():
        rows = [HEAD, *(_cells(found, for_terminal) for found in of_model)]
        widths = [max(map(len, column)) for column in zip(*rows)]
        lines += [for_terminal(f"{model} ({_tool(of_model[0])})"), ""]
        for row in rows:
            numbers = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
            lines.append("  ".join([row[0].ljust(widths[0]), *numbers]).rstrip())
        lines.append("")
        findings = [for_terminal(line) for line in _findings(of_model)]
        lines += [*(findings or ["nothing to object to"]), ""]
    lines += [LEGEND, *(for_terminal(line) for line in without)]
    return "\n".join(lines) + "\n"


def as_markdown(audits: list[Audit], without: list[str]) -> str:
    """For a pull request or a page."""
    lines: list[str] = []
    for model, of_model in _by_model(audits).items():
        lines += [f"### {for_markdown(model)} ({for_markdown(_tool(of_model[0]))})", ""]
        rows = [_cells(found, for_markdown) for found in of_model]
        rule = ("---", *("---:" for _ in HEAD[1:]))
        lines += ["| " + " | ".join(row) + " |" for row in (HEAD, rule, *rows)]
        findings = [for_markdown(line) for line in _findings(of_model)]
        lines += ["", *(f"- {line}" for line in findings), ""]
    lines += [LEGEND, *(f"- {for_markdown(line)}" for line in without)]
    return "\n".join(lines) + "\n"


def as_data(audits: list[Audit], without: list[str]) -> str:
    """As JSON, unrounded."""
    rows = []
    for found in audits:
        rows.append({key: value for key, value in found._asdict().items() if value is not None})
    return for_json({"audits": rows, "without": without}, indent=2, allow_nan=False) + "\n"


def _by_model(audits: list[Audit]) -> dict[str, list[Audit]]:
    by_model: dict[str, list[Audit]] = {}
    for found in audits:
        by_model.setdefault(found.model, []).append(found)
    return by_model


def _tool(found: Audit) -> str:
    return f"{found.tool}, {found.dtype or 'dtype not logged'}"


def _findings(audits: list[Audit]) -> list[str]:
    """The findings, each with the suites that it holds for."""
    suites: dict[str, list[str]] = {}
    for found in audits:
        for line in found.findings:
            suites.setdefault(line, []).append(found.task)
    return [f"{', '.join(tasks)}: {line}" for line, tasks in suites.items()]


def _cells(found: Audit, show: Callable[[str], str]) -> tuple[str, ...]:
    printed = "–"
    if found.printed is not None:
        se = f" ± {found.printed_se:.3f}" if found.printed_se is not None else ""
        printed = f"{found.printed:.3f}{se}"
    bounds = "unknown"
    if found.low is not None and found.high is not None:
        bounds = f"[{found.low:.3f}, {found.high:.3f}]"
    return (
        show(found.task),
        f"{found.n_items:,}",
        printed,
        f"{found.first:.3f}",
        f"{found.half:.3f}",
        bounds,
        f"{found.lost:.3f}",
        f"{found.n_ties:,}",
        f"{found.n_identical:,}",
        f"{found.n_deciding:,}",
        f"{found.shortest:.3f}",
        f"{found.chosen_first:.3f}",
        f"{found.right_first:.3f}",
    )
