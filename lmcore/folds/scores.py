"""A suite's scores, one metric at a time.

A scores table goes in; of each metric the means of its items come out. No more than one metric is
in memory: of a file with more than ROW_GROUP rows, some 22 bytes for each item and draw.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lmcore.errors import InputError
from lmcore.folds.runs import BATCH_ROWS, BUFFER_BYTES
from lmcore.tables import CLUSTER, ROW_GROUP, SCORES, check, parts_of, read, schema_of

NUMBERS = ["draw", "value", "weight"]
DICTIONARIES = ["metric", "group"]


class Scores:
    """The scores of one model on one suite.

    `metrics` and `groups` are the sorted names, `n_draws` is how many draws there are.
    """

    def __init__(self, source: pa.Table | Path):
        """`source` is a scores table, or its path.

        Raises InputError where there is no table at the path, or none of SCORES.
        """
        self.table: pa.Table | None = None  # it stays None for a file of many rows
        self.path = Path("table")
        if isinstance(source, pa.Table):
            self.table = source
        else:
            self.path = source
            if _n_rows(source) <= ROW_GROUP:
                self.table = read(source, SCORES)
        self.has_clusters = CLUSTER in self._schema().names
        metrics, groups, draws = set[str](), set[str](), set[int]()
        for batch in self._batches(["metric", "group", "draw"]):
            metrics |= set(pc.unique(batch["metric"]).to_pylist())
            groups |= set(pc.unique(batch["group"]).to_pylist())
            draws |= set(pc.unique(batch["draw"]).to_pylist())
        self.metrics, self.groups, self.n_draws = sorted(metrics), sorted(groups), len(draws)

    def columns(self, metric: str) -> dict[str, np.ndarray]:
        """{values, weights, groups}: one value for each item, the mean of its draws.

        `groups` are the places of the names in `self.groups`. Where items share clusters, there are
        also `clusters`, integers from 0.

        Raises InputError unless the rows of a file of many rows are one for each item and draw, in
        their order.
        """
        names = [*NUMBERS, *([CLUSTER] if self.has_clusters else [])]
        rows = self.rows(metric, names).combine_chunks()
        draws, n_draws = rows["draw"].to_numpy(), self.n_draws
        if len(rows) % n_draws == 0 and (draws.reshape(-1, n_draws) == np.arange(n_draws)).all():
            means = self._means_in_order(rows)
        elif self.table is not None:
            means = self._means(metric)
        else:
            raise InputError(
                f"{self.path}: expected one row an item and draw of metric '{metric}', sorted;"
                " rebuild it with `dvc repro fold_scores`"
            )
        columns = {
            "values": means["value"].to_numpy(),
            "weights": means["weight"].to_numpy(),
            "groups": means["group"].to_numpy(),
        }
        clusters = _shared(means[CLUSTER]) if self.has_clusters else None
        return columns if clusters is None else columns | {"clusters": clusters}

    def rows(self, metric: str, columns: list[str]) -> pa.Table:
        """These columns of a metric's rows; a `group` is its place in `self.groups`."""
        names = pa.array(self.groups, pa.string())
        chosen = []
        for batch in self._batches(["metric", "group", *columns]):
            rows = batch.filter(pc.equal(batch["metric"], metric))
            groups = pc.index_in(rows["group"].cast(pa.string()), names)
            chosen.append(rows.select(columns).append_column("group", groups))
        return pa.concat_tables(chosen)

    def _means(self, metric: str) -> pa.Table:
        """The items' means of a table in memory, whose rows may stand in any order."""
        keys = ["group", "item", *([CLUSTER] if self.has_clusters else [])]
        rows = self.rows(metric, [*keys[1:], "value", "weight"])
        means = rows.group_by(keys, use_threads=False).aggregate(
            [("value", "mean"), ("weight", "mean")]
        )
        return means.rename_columns({"value_mean": "value", "weight_mean": "weight"})

    def _means_in_order(self, rows: pa.Table) -> pa.Table:
        """The items' means of a metric's rows that stand in the order of items and draws."""
        first = rows if self.n_draws == 1 else _every(rows, self.n_draws)
        means = first.drop_columns(NUMBERS)
        for name in ("value", "weight"):
            total = np.zeros(len(means))
            for of_draw in rows[name].to_numpy().reshape(-1, self.n_draws).T:
                total += of_draw
            total /= self.n_draws
            rows = rows.drop_columns([name])  # of many items, each column counts
            means = means.append_column(name, pa.array(total))
        return means

    def _schema(self) -> pa.Schema:
        """The schema of the table. Raises InputError where it is not that of SCORES."""
        if self.table is not None:
            return self.table.schema
        return check(schema_of(self.path).empty_table(), SCORES, self.path).schema

    def _batches(self, columns: list[str]) -> Iterator[pa.Table]:
        """Some columns, some rows at a time; of a file, names are dictionaries."""
        columns = list(dict.fromkeys(columns))
        if self.table is not None:
            yield self.table.select(columns)
            return
        yield from _batches(self.path, columns)


def rows_of_metric(path: Path, metric: str, columns: list[str]) -> pa.Table:
    """These columns of a metric's rows in the scores table at `path`, as lmcore.tables.read.

    What is in memory besides is some rows of the table. `metric` and `group` are dictionaries, of
    the values that are there, in the order of the rows. CLUSTER is left out where there is none.

    Raises InputError where there is no scores table.
    """
    schema = check(schema_of(path).empty_table(), SCORES, path).schema
    columns = [name for name in columns if name in schema.names]
    chosen = []
    for batch in _batches(path, list(dict.fromkeys(["metric", *columns]))):
        rows = batch.filter(pc.equal(batch["metric"], metric)).select(columns)
        for number, name in enumerate(columns):
            if name in DICTIONARIES:
                encoded = rows[name].cast(pa.string()).dictionary_encode()
                rows = rows.set_column(number, name, encoded)
        chosen.append(rows)
    return pa.concat_tables(chosen).unify_dictionaries()


def _batches(path: Path, columns: list[str]) -> Iterator[pa.Table]:
    """Some columns of a scores table, some rows at a time; DICTIONARIES are dictionaries.

    Raises InputError for nulls.
    """
    for part in parts_of(path):
        with pq.ParquetFile(part, read_dictionary=DICTIONARIES, buffer_size=BUFFER_BYTES) as file:
            for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=columns):
                for name, column in zip(batch.schema.names, batch.columns, strict=True):
                    if column.null_count:
                        raise InputError(f"{path}: column '{name}' holds nulls")
                yield pa.Table.from_batches([batch])


def _every(rows: pa.Table, n: int) -> pa.Table:
    """Each n-th row, from the first."""
    return rows.take(pa.array(np.arange(0, len(rows), n)))


def _n_rows(path: Path) -> int:
    """The number of rows of the table. Raises InputError where there is none."""
    try:
        return sum(pq.read_metadata(part).num_rows for part in parts_of(path))
    except pa.ArrowInvalid as error:
        raise InputError(f"{path}: not a readable Parquet table: {error}") from error


def _shared(names: pa.ChunkedArray) -> np.ndarray | None:
    """(N,) the clusters as integers from 0 in the order of their names.

    None where no two items share one.
    """
    unique = pc.unique(names)
    if len(unique) == len(names):
        return None
    return pc.index_in(names, unique.take(pc.sort_indices(unique))).to_numpy().astype(np.int64)
