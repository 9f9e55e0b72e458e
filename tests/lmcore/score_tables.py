"""Scores tables for tests of comparisons.

Values of items by group go in; tables as fold_scores writes them come out.
"""

import hashlib

import numpy as np
import pyarrow as pa

from lmcore.comparing.comparison import Side, read_side
from lmcore.tables import SCORES


def scores(
    values: dict[str, np.ndarray],
    metric: str = "accuracy",
    weight: float = 1.0,
    suite: str = "s",
    changed: tuple[str, ...] = (),
) -> pa.Table:
    """A scores table under `metric`, and under a second metric that is constant.

    `values` is {group: array}, where an array is (items,) or (draws, items). Items named in
    `changed` have another content hash than usual.
    """
    rows = []
    for group, group_values in sorted(values.items()):
        for number, item_values in enumerate(np.atleast_2d(group_values).T):
            item = f"{suite}/{group}/{number:04d}"
            text = f"{item}!" if item in changed else item
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
                    rows.append(row | {"weight": weight, "content_hash": content})
    return pa.Table.from_pylist(rows, SCORES)


def side(values: dict[str, np.ndarray], metric: str = "accuracy", **options) -> Side:
    """One side of a comparison, with these values; `options` are those of `scores`."""
    return read_side(scores(values, metric, **options).select, [metric], "scores", {})[1]
