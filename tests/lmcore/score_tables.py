"""Scores tables for tests of comparisons.

Values of items by group go in; tables as fold_scores writes them come out.
"""

import hashlib
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from lmcore.comparing.comparison import Side, read_side
from lmcore.tables import OPTIONAL_CLUSTER, SCORES


def scores(
    values: dict[str, np.ndarray],
    metric: str = "accuracy",
    weight: float | dict[str, np.ndarray] = 1.0,
    suite: str = "s",
    changed: tuple[str, ...] = (),
    clusters: dict[str, list[str]] | None = None,
) -> pa.Table:
    """A scores table under `metric`, and under a second metric that is constant.

    `values` is {group: array}, where an array is (items,) or (draws, items); `weight` is one number
    or likewise {group: (items,)}, and so are `clusters`. Items named in `changed` have another
    content hash than usual.
    """
    rows = []
    for group, group_values in sorted(values.items()):
        for number, item_values in enumerate(np.atleast_2d(group_values).T):
            item = f"{suite}/{group}/{number:04d}"
            text = f"{item}!" if item in changed else item
            of_item = weight[group][number] if isinstance(weight, dict) else weight
            content = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
            for draw, value in enumerate(item_values):
                for name, score in sorted({metric: float(value), "entropy": 2.0}.items()):
                    row = {
                        "item": item,
                        "draw": draw,
                        "variant": "",
                        "group": group,
                        "metric": name,
                        "value": score,
                    }
                    if clusters:
                        row["cluster"] = clusters[group][number]
                    rows.append(row | {"weight": float(of_item), "content_hash": content})
    schema = pa.schema([*SCORES, *OPTIONAL_CLUSTER]) if clusters else SCORES
    return pa.Table.from_pylist(rows, schema)


def reader(table: pa.Table) -> Callable[[list[str]], pa.Table]:
    """A function that gives those of the columns asked for that the table has."""
    return lambda columns: table.select([name for name in columns if name in table.column_names])


def side(values: dict[str, np.ndarray], metric: str = "accuracy", **options) -> Side:
    """One side of a comparison, with these values; `options` are those of `scores`."""
    return read_side(reader(scores(values, metric, **options)), [metric], "scores", {})[1]
