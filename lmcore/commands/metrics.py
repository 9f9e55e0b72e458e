"""The command `lmcore metrics`: the metrics that git tracks, as tables that people read.

A `Revision` goes in. Text, Markdown, CSV or JSON comes out. Text and Markdown have a table for each
suite with the models side by side. There, a figure is rounded to what its interval supports unless
all digits are asked for. CSV and JSON hold the figures as they are recorded.
"""

import csv
import io
import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from lmcore.errors import InputError
from lmcore.history.revisions import METRICS, Revision
from lmcore.shown import for_json, for_markdown, for_terminal

WIDTH = 100  # columns of a terminal
OF_SUITE = ("n_items", "convention")  # in the title, if all models have the same
STEP = 50  # rounding to a fiftieth of the standard error or less
TWO_SIDED = 2 * 1.96  # the standard errors between the bounds of a 95 % interval


class Cell(NamedTuple):
    """A recorded figure, with its interval {low, high, n, se} where there is one."""

    value: Any
    interval: dict[str, float]


Tables = dict[str, dict[str, dict[str, Cell]]]  # {suite: {model: {metric: cell}}}


def read_tables(revision: Revision, models: list[str], suites: list[str]) -> Tables:
    """The figures of these models and suites; without names, of all.

    Raises InputError where there is no metric, and for a name that is not there.
    """
    recorded = {model: revision.metrics(model) for model in _models(revision)}
    _refuse_unknown("model", models, recorded, revision)
    there: dict[str, None] = {}
    for metrics in recorded.values():
        there |= dict.fromkeys(metrics)
    known_suites = _in_order(there, revision.params.get("suites"))
    _refuse_unknown("suite", suites, known_suites, revision)
    tables: Tables = {}
    for suite in suites or known_suites:
        of_models = {}
        for model in models or recorded:
            if suite in recorded[model]:
                intervals = revision.intervals.get(model, {}).get(suite, {})
                metrics = recorded[model][suite]
                of_models[model] = {
                    name: Cell(value, intervals.get(name, {})) for name, value in metrics.items()
                }
        if of_models:
            tables[suite] = of_models
    return tables


def _models(revision: Revision) -> list[str]:
    """The models that have metrics: first those of params.yaml in their order, then any other.

    Raises InputError where there is none.
    """
    try:
        files = revision.files(METRICS)
    except InputError as error:
        raise InputError(
            f"{revision.name}: {METRICS}: there are no metrics; run `dvc repro`"
        ) from error
    names = [
        path.rpartition("/")[2].removesuffix(".json") for path in files if path.endswith(".json")
    ]
    return _in_order(names, revision.params.get("models"))


def _in_order(names: Iterable[str], params: Iterable[str] | None) -> list[str]:
    """Names in the order of params.yaml, and behind them those that it does not have."""
    names = list(names)
    first = [name for name in params or [] if name in names]
    return [*first, *(name for name in names if name not in first)]


def _refuse_unknown(kind: str, asked: list[str], known: Iterable[str], revision: Revision) -> None:
    """Raises InputError for a name that was asked for and is not known."""
    known = list(known)
    for name in asked:
        if name not in known:
            raise InputError(
                f"{revision.name}: there is no {kind} '{name}' in {METRICS};"
                f" there are {', '.join(known)}"
            )


def as_text(tables: Tables, *, full: bool) -> str:
    """For a terminal: a table for each suite, cut into several where it is wider than WIDTH."""
    parts = []
    for suite, of_models in tables.items():
        title, rows = _table(suite, of_models, full, for_terminal)
        parts += [title, ""]
        for columns in _blocks(rows):
            block = []
            for row in rows:
                cells = [row[column] for column in columns]
                if any(cells[1:]):
                    block.append(cells)
            parts += [*_aligned(block), ""]
    return "\n".join(parts)


def as_markdown(tables: Tables, *, full: bool) -> str:
    """For a page or a pull request: a heading and a table for each suite."""
    lines = []
    for suite, of_models in tables.items():
        title, (head, *body) = _table(suite, of_models, full, for_markdown)
        lines += [f"### {title}", ""]
        rule = ["---", *("---:" for _ in head[1:])]
        lines += ["| " + " | ".join(row) + " |" for row in (head, rule, *body)]
        lines.append("")
    return "\n".join(lines)


def as_csv(tables: Tables) -> str:
    """A line for each suite, model and metric, as recorded."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = ("low", "high", "se", "n")
    writer.writerow(("suite", "model", "metric", "value", *names))
    for suite, of_models in tables.items():
        for model, cells in of_models.items():
            for metric, (value, interval) in cells.items():
                bounds = [interval.get(name, "") for name in names]
                writer.writerow((suite, model, metric, value, *bounds))
    return text.getvalue()


def as_data(tables: Tables) -> str:
    """JSON: {suite: {model: {metric: {value, low, high, se, n}}}}, as recorded."""
    values: dict[str, dict[str, dict[str, dict]]] = {}
    for suite, of_models in tables.items():
        values[suite] = {}
        for model, cells in of_models.items():
            values[suite][model] = {
                name: {"value": cell.value, **cell.interval} for name, cell in cells.items()
            }
    return for_json(values, indent=2, allow_nan=False) + "\n"


def _table(
    suite: str, of_models: dict[str, dict[str, Cell]], full: bool, show: Callable[[str], str]
) -> tuple[str, list[list[str]]]:
    """The title of a suite, and its table: a row for each metric, a column for each model.

    What all models have in common of OF_SUITE stands in the title.
    """
    metrics: dict[str, None] = {}
    for cells in of_models.values():
        metrics |= dict.fromkeys(cells)
    title = [show(suite)]
    for name in OF_SUITE:
        values = {cells[name].value if name in cells else None for cells in of_models.values()}
        if len(values) == 1 and (value := values.pop()) is not None:
            del metrics[name]
            title.append(f"{value:,} items" if name == "n_items" else f"{name} {show(value)}")
    rows = [["metric", *map(show, of_models)]]
    for metric in metrics:
        row = [show(metric)]
        for cells in of_models.values():
            row.append(_shown(cells[metric], full, show) if metric in cells else "")
        rows.append(row)
    return ", ".join(title), rows


def _shown(cell: Cell, full: bool, show: Callable[[str], str]) -> str:
    """A figure as `written`, or a text, such as the name of a convention, as `show` makes it."""
    return show(cell.value) if isinstance(cell.value, str) else written(cell, full)


def written(cell: Cell, full: bool) -> str:
    """A figure and its interval in plain decimals.

    Unless it is to be written in `full`, it is rounded to a fiftieth of its standard error or less.
    Where there is none, the width of the interval stands for it; without an interval the figure is
    written as it is.
    """
    value, interval = cell
    decimals = None if full else _decimals(cell)
    text = _plain(value, decimals)
    if not interval:
        return text
    return f"{text} [{_plain(interval['low'], decimals)}, {_plain(interval['high'], decimals)}]"


def _decimals(cell: Cell) -> int | None:
    """The decimals that an interval supports and that are recorded, None where nothing says so."""
    interval = cell.interval
    se = interval.get("se")
    if not se and interval:
        se = (interval["high"] - interval["low"]) / TWO_SIDED
    if not se:
        return None
    recorded = [_plain(number, None) for number in (cell.value, interval["low"], interval["high"])]
    most = max(len(number.partition(".")[2]) for number in recorded)
    return min(most, max(0, math.ceil(-math.log10(se / STEP))))


def _plain(value: float, decimals: int | None) -> str:
    """A number without an exponent; without `decimals`, with all digits that it has."""
    if decimals is not None:
        return f"{value:.{decimals}f}"
    if isinstance(value, int):
        return str(value)
    text = f"{value:.17f}".rstrip("0") if "e" in repr(value) else repr(value)
    return text.removesuffix(".").removesuffix(".0")


def _blocks(rows: list[list[str]]) -> list[list[int]]:
    """The columns of each of the tables that a table is cut into, so that they fit in WIDTH.

    Each begins with the first column, and has at least one other.
    """
    widths = [max(map(len, column)) for column in zip(*rows)]
    blocks: list[list[int]] = []
    room = 0
    for column, width in enumerate(widths[1:], 1):
        if not blocks or room < width + 2:
            blocks.append([0])
            room = WIDTH - widths[0]
        blocks[-1].append(column)
        room -= width + 2
    return blocks


def _aligned(rows: list[list[str]]) -> list[str]:
    """A table for a terminal."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths)]
        lines.append("  ".join(cells).rstrip())
    return lines
