"""Items of the pipeline's tables, page by page: DuckDB reads the files, plain data come out.

The values of a model on a suite are computed once, when they are first asked for, and kept in
memory: one row an item. A page of items is a query over two such tables. When a file changes, its
values are computed again. Numbers alone come from outside, and every value in a query is a prepared
parameter.
"""

import threading
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lmcore.errors import InputError
from lmcore.folds.fold import PSEUDO
from lmcore.items.details import item_data, side_values, texts_of, tokens_of_items
from lmcore.items.sides import (
    MEASURES,
    TOKEN_COLUMNS,
    TOP_COLUMNS,
    Measure,
    Side,
    Values,
    side_of_files,
)
from lmcore.models.folder import holds_masked
from lmcore.shown import for_terminal
from lmcore.tables import ITEMS as ITEMS_SCHEMA
from lmcore.tables import OPTIONAL_TOKENS, TOKENS, parts_of

MOST_TOKENS = 4000  # of a text whose figures are sent; the rest is plain text
MOST_ROWS = 200  # of a page
CELLS = 40  # of the values of a model, each of which is a circle at most
SORTS = {
    "item": "item",
    "a": "a.value",
    "b": "b.value",
    "difference": "b.value - a.value",
    "size": "abs(b.value - a.value)",
}
ITEMS = """
    SELECT row_number() OVER (ORDER BY item) - 1 AS number, item, "group"
    FROM read_parquet(?, hive_partitioning = false) WHERE "option" = 0 AND variant = ''
"""
SCORES = """
    SELECT item,
        avg(value) FILTER (metric IN (?, ?)) AS "right",
        avg(value) FILTER (metric IN (?, ?)) AS value,
        avg(value) FILTER (metric IN (?, ?)) AS rank
    FROM read_parquet(?, hive_partitioning = false) GROUP BY item
"""
LEADS = """
    WITH options AS (
        SELECT item, "option", sum(CAST(logprob AS DOUBLE)) / (1 + max(draw)) AS logprob
        FROM read_parquet($tokens, hive_partitioning = false)
        WHERE is_target AND variant = '' GROUP BY item, "option"
    ), marked AS (
        SELECT item, "option", gold FROM read_parquet($items, hive_partitioning = false)
        WHERE variant = ''
    )
    SELECT item,
        max(logprob) FILTER (gold) - max(logprob) FILTER (NOT gold) AS value
    FROM options JOIN marked USING (item, "option") GROUP BY item
"""
CIRCLES = """
    WITH chosen(number, item, "group", a_right, a, a_rank, b_right, b, b_rank) AS ({}),
    pairs AS (SELECT a, b FROM chosen WHERE a IS NOT NULL AND b IS NOT NULL),
    ends AS (SELECT least(min(a), min(b)) AS low, greatest(max(a), max(b)) AS high FROM pairs),
    placed AS (
        SELECT low, high, a, b, ? / greatest(high - low, 1e-9) AS per_unit, ? AS last
        FROM pairs CROSS JOIN ends
    )
    SELECT any_value(low), any_value(high), avg(a), avg(b), count(*) FROM placed
    GROUP BY least(floor((a - low) * per_unit), last), least(floor((b - low) * per_unit), last)
    ORDER BY 3, 4
"""
ROWS_OF_ITEM = "SELECT {} FROM read_parquet(?, hive_partitioning = false) WHERE item = ?"


class Suite(NamedTuple):
    """A suite, its kind, and where its tables lie."""

    name: str
    kind: str
    items: Path
    models: list["Model"]

    @property
    def measure(self) -> Measure:
        """What is shown of its items."""
        return MEASURES[self.kind]


class Model(NamedTuple):
    """A model that was scored on a suite: its tables, and the folder with its tokenizer."""

    name: str
    scores: Path
    tokens: Path
    folder: Path


class Choice(NamedTuple):
    """Which items are asked for, under which two models; suite, models and group are numbers."""

    suite: int
    a: int
    b: int
    group: int = -1  # -1 for all
    only_different: bool = False
    within: tuple[float, float, float, float] | None = None  # A from and to, B from and to


class Page(NamedTuple):
    """Which of the items in their order are asked for."""

    sort: str = "item"  # of SORTS
    is_descending: bool = False
    offset: int = 0
    limit: int = MOST_ROWS


def suites_there(data: Path, models: list[str], kinds: dict[str, str]) -> list[Suite]:
    """The suites that have items in `data`, under those of `models` that have scores and tokens.

    Raises InputError where there is none.
    """
    suites = []
    for name, kind in kinds.items():
        items = data / "items" / f"{name}.parquet"
        found = []
        for model in models:
            scores, tokens = data / "scores" / model / f"{name}.parquet", data / "tokens" / model
            if scores.exists() and (tokens / name).exists():
                found.append(Model(model, scores, tokens / name, data / "models" / model))
        if found and items.exists():
            suites.append(Suite(name, kind, items, found))
    if not suites:
        raise InputError(
            f"{data}: has no suite with items, scores and tokens of a model of params.yaml;"
            " run `dvc repro fold_scores`, or name another folder by --data"
        )
    return suites


class Pages:
    """The pages of some suites."""

    def __init__(self, suites: list[Suite]):
        self.suites = suites
        # nothing is fetched from elsewhere
        self._database = duckdb.connect(config={"autoinstall_known_extensions": False})
        self._lock = threading.Lock()  # a query at a time
        self._tables: dict[tuple, str] = {}  # names of tables, by what they were made of
        self._sides: dict[tuple, Side] = {}

    def sets(self) -> list[dict[str, Any]]:
        """What a page says of every suite, as lmcore.items.embedded.set_data."""
        return [self._set(suite) for suite in self.suites]

    def _set(self, suite: Suite) -> dict[str, Any]:
        measure = suite.measure
        with self._lock:
            (n_items,) = self._rows(f"SELECT count(*) FROM {self._items(suite)}")[0]
            groups = self._groups(suite)
        return {
            "label": for_terminal(suite.name),
            "kind": suite.kind,
            "measure": measure.label,
            "unit": measure.unit,
            "isDecision": measure.is_decision,
            "isLessBetter": measure.is_less_better,
            "hasRank": bool(measure.rank),
            "nItems": n_items,
            "groups": [for_terminal(group) for group in groups],
            "sides": [
                {"name": for_terminal(model.name), "isMasked": holds_masked(model.folder)}
                for model in suite.models
            ],
        }

    def page(self, choice: Choice, page: Page) -> dict[str, Any]:
        """{total, rows} of a page. Raises InputError for a number that nothing has."""
        direction = "DESC" if page.is_descending else "ASC"
        with self._lock:
            suite, chosen, values = self._chosen(choice)
            (total,) = self._rows(f"SELECT count(*) FROM ({chosen})", values)[0]
            order = f"ORDER BY {SORTS[page.sort]} {direction} NULLS LAST, item LIMIT ? OFFSET ?"
            rows = self._rows(f"{chosen} {order}", [*values, page.limit, page.offset])
        return {"total": total, "rows": [_row(row, suite.measure) for row in rows]}

    def circles(self, choice: Choice) -> dict[str, Any]:
        """The items by their values under both models, as lmcore.figures.rectangle draws them.

        {low, high, circles}: the lowest and highest value of either model, and at most CELLS² rows
        {a, b, n}: mean values, and how many items. Raises InputError as `page` does.
        """
        with self._lock:
            _, chosen, values = self._chosen(choice)
            rows = self._rows(CIRCLES.format(chosen), [*values, CELLS, CELLS - 1])
        if not rows:
            return {"low": 0, "high": 1, "circles": []}
        low, high = rows[0][:2]
        circles = [dict(zip("abn", row[2:], strict=True)) for row in rows]
        return {"low": low, "high": high, "circles": circles}

    def _chosen(self, choice: Choice) -> tuple[Suite, str, list[Any]]:
        """The suite, and the query for the chosen items of both models with its values."""
        suite, a, b = self._named(choice.suite, choice.a, choice.b)
        groups = self._groups(suite)
        if not -1 <= choice.group < len(groups):
            raise InputError(f"there is no group {choice.group}")
        differs = '"right"' if suite.measure.is_decision else "value"
        sql = f"""
            SELECT number, item, "group", a."right", a.value, a.rank, b."right", b.value, b.rank
            FROM {self._items(suite)} JOIN {self._values(suite, a)} a USING (number)
            JOIN {self._values(suite, b)} b USING (number)
            WHERE (? IS NULL OR "group" = ?)
            AND (? OR a.{differs} IS DISTINCT FROM b.{differs})
        """
        group = None if choice.group < 0 else groups[choice.group]
        values: list[Any] = [group, group, not choice.only_different]
        if choice.within:
            sql += "AND a.value BETWEEN ? AND ? AND b.value BETWEEN ? AND ?"
            values += choice.within
        return suite, sql, values

    def item(self, suite_number: int, a: int, b: int, number: int) -> dict[str, Any]:
        """An item under two models, as lmcore.items.details has it.

        Raises InputError for a number that nothing has.
        """
        suite, *models = self._named(suite_number, a, b)
        with self._lock:
            names = self._rows(
                f'SELECT item, "group" FROM {self._items(suite)} WHERE number = ?', [number]
            )
            if not names:
                raise InputError(f"{suite.name} has no item {number}")
            item, group = names[0]
            values = []
            for model in models:
                table = self._values(suite, model)
                sql = f'SELECT "right", value, rank FROM {table} WHERE number = ?'
                values.append(_as_values(self._rows(sql, [number])[0]))
            texts = texts_of(self._read([suite.items], ITEMS_SCHEMA, item), [item])[item]
            tokens = [tokens_of_items(self._side(model), [item]) for model in models]
        sides = []
        for said, of_model in zip(tokens, values, strict=True):
            sides.append((said, side_values(of_model, 0, said, item, texts, suite.measure)))
        return item_data(item, group, texts, sides, most_tokens=MOST_TOKENS)

    def _named(self, suite: int, a: int, b: int) -> tuple[Suite, Model, Model]:
        """The suite and its two models of these numbers."""
        if not 0 <= suite < len(self.suites):
            raise InputError(f"there is no suite {suite}")
        models = self.suites[suite].models
        for number in (a, b):
            if not 0 <= number < len(models):
                raise InputError(f"there is no model {number}")
        return self.suites[suite], models[a], models[b]

    def _rows(self, sql: str, values: Any = None) -> list[tuple]:
        return self._database.execute(sql, values).fetchall()

    def _side(self, model: Model) -> Side:
        """The side of a model; its tokenizer is read once."""
        if model not in self._sides:
            side = side_of_files(*model)
            self._sides[model] = side._replace(tokens=partial(self._tokens, model))
        return self._sides[model]

    def _tokens(self, model: Model, items: list[str]) -> pa.Table:
        """The token rows of one item."""
        (item,) = items
        parts = parts_of(model.tokens)
        known = pq.read_schema(parts[0]).names
        names = TOKEN_COLUMNS + [name for name in TOP_COLUMNS if name in known]
        fields = {field.name: field for field in [*TOKENS, *OPTIONAL_TOKENS]}
        return self._read(parts, pa.schema([fields[name] for name in names]), item)

    def _read(self, files: list[Path], schema: pa.Schema, item: str) -> pa.Table:
        """The rows of one item in Parquet files."""
        columns = ", ".join(f'"{name}"' for name in schema.names)
        rows = self._rows(ROWS_OF_ITEM.format(columns), [list(map(str, files)), item])
        return pa.Table.from_pylist(
            [dict(zip(schema.names, row, strict=True)) for row in rows], schema
        )

    def _groups(self, suite: Suite) -> list[str]:
        sql = f'SELECT DISTINCT "group" FROM {self._items(suite)}'
        return sorted(group for (group,) in self._rows(sql))

    def _items(self, suite: Suite) -> str:
        """The name of the table of a suite's items, which is made if need be."""
        return self._table(("items", *_state(suite.items)), ITEMS, [str(suite.items)])

    def _values(self, suite: Suite, model: Model) -> str:
        """The name of the table (number, right, value, rank) of a model on a suite."""
        state = (*_state(suite.items), *_state(model.scores), *_state(model.tokens))
        measure, items = suite.measure, self._items(suite)
        names = (measure.differs_by, measure.metric, measure.rank)
        asked = [name for metric in names for name in (metric, PSEUDO + metric)]
        scores = self._table(("scores", *state), SCORES, [*asked, str(model.scores)])
        value, leads = "s.value", ""
        if not measure.metric:
            files = {"tokens": list(map(str, parts_of(model.tokens))), "items": str(suite.items)}
            table = self._table(("leads", *state), LEADS, files)
            value, leads = "l.value", f"LEFT JOIN {table} l USING (item)"
        sql = f"""
            SELECT number, round("right", 3) AS "right", round({value}, 3) AS value, rank
            FROM {items} LEFT JOIN {scores} s USING (item) {leads}
        """
        return self._table(("values", *state), sql, None)

    def _table(self, made_of: tuple, sql: str, values: Any) -> str:
        """The name of the table of a query's rows, which is made where there is none."""
        if made_of not in self._tables:
            name = f"t{len(self._tables)}"
            self._database.sql(sql, params=values).create(name)
            self._tables[made_of] = name
        return self._tables[made_of]


def _state(path: Path) -> tuple:
    """What changes when a table changes: its files, and when they were written.

    Raises InputError where there is no table.
    """
    return tuple((str(part), part.stat().st_mtime_ns) for part in parts_of(path))


def _row(row: tuple, measure: Measure) -> dict[str, Any]:
    """A row of a page as the script reads it."""
    number, item, group, *values = row
    sides = []
    for right, value, rank in (values[:3], values[3:]):
        right = right if measure.is_decision else None
        sides.append({"right": right, "value": value, "rank": rank})
    shown = {"number": number, "id": for_terminal(item), "group": for_terminal(group)}
    return {**shown, "a": sides[0], "b": sides[1]}


def _as_values(row: tuple) -> Values:
    """A row of values as those of a single item."""
    right, value, rank = (np.array([np.nan if one is None else one]) for one in row)
    return Values(right, value, rank, is_masked=False)
