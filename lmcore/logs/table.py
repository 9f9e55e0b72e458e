"""Scores that anyone wrote: CSV, TSV, JSONL or Parquet with the columns `item` and `value`.

Further columns are read where they are there: `metric` (else the metric is called `value`),
`weight` (1), `group` (one group), `cluster` (items that share a story or a concept), `draw` or
`seed` (of an item that was asked several times), `model` (else the name of the file's folder),
`suite` or `task` (else the file's name) and `content_hash`. lmcore's own scores tables
(data/scores/MODEL/SUITE.parquet) have these columns.
"""

from pathlib import Path

from lmcore.errors import InputError
from lmcore.logs.evaluation import Evaluation, Item, finite
from lmcore.suites.records import SUFFIXES, Row, name_of, read_records
from lmcore.text_files import described

TOOL = "table"
Key = tuple[str, str]


def matches(path: Path) -> bool:
    """Whether a file may be such a table, by its suffix."""
    return path.name.endswith(SUFFIXES)


def read(paths: list[Path]) -> list[Evaluation]:
    """The evaluations in these tables, one for each model and suite.

    Raises InputError for a table without the columns `item` and `value`, and for a value that is
    no finite number, naming the line.
    """
    items: dict[Key, dict[tuple[str, int], Item]] = {}
    sources: dict[Key, Path] = {}
    for path in paths:
        rows = read_records(path)
        missing = [column for column in ("item", "value") if column not in rows[0]]
        if missing:
            raise InputError(
                f"{path}: no column '{missing[0]}'; expected a log of lm-eval, lighteval, Inspect"
                f" or BabyLM, or a table with item and value; columns are {', '.join(rows[0])}"
            )
        for row in rows:
            if row.get("variant"):
                continue  # other ways to ask the same items
            key = _key(row, path)
            sources.setdefault(key, path)
            _add(items.setdefault(key, {}), row)
    return [
        Evaluation(TOOL, model, suite, sources[model, suite], list(of_key.values()))
        for (model, suite), of_key in items.items()
    ]


def _key(row: Row, path: Path) -> Key:
    """Model and suite of a row."""
    suite_column = "suite" if "suite" in row else "task"
    model = row.name("model") if "model" in row else path.parent.resolve().name
    stem = path.name[: -len(next(suffix for suffix in SUFFIXES if path.name.endswith(suffix)))]
    return model, row.name(suite_column) if suite_column in row else stem


def _add(items: dict[tuple[str, int], Item], row: Row) -> None:
    """Add the value of a row to its item. Raises InputError for a metric that the item has."""
    item, draw = name_of(row.value("item"), row.place("item")), _draw(row)
    metric = row.name("metric") if "metric" in row else "value"
    value = _number(row, "value")
    weight = _number(row, "weight") if "weight" in row else 1.0
    if weight < 0:
        raise InputError(f"{row.place('weight')} must be at least 0, not {weight:g}")
    if (item, draw) not in items:
        content = str(row.get("content_hash", item))
        group = row.name("group") if "group" in row else "all"
        cluster = row.name("cluster") if "cluster" in row else ""
        items[item, draw] = Item(item, content, {}, group, draw, cluster=cluster)
    values = items[item, draw].values
    if metric in values:
        raise InputError(
            f"{row.where}: item '{item}' has metric '{metric}' twice; expected each item once"
            " (a column `draw` numbers repetitions)"
        )
    values[metric] = (value, weight)


def _draw(row: Row) -> int:
    """The number of a repetition, 0 where there is one."""
    for column in ("draw", "seed"):
        if column in row:
            return row.number(column, 0, 2**15 - 1)
    return 0


def _number(row: Row, column: str) -> float:
    """A number, which a CSV writes as text."""
    value = row.value(column)
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError as error:
            raise InputError(
                f"{row.place(column)} must be a finite number, not {described(value)}"
            ) from error
    return finite(value, row.place(column))
