"""Scores tables for tests of comparisons: values of items by group go in, tables as fold_scores writes them come out."""

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
    """Scores under `metric` (and a constant second one) of {group: (items,) or (draws, items)}; items in `changed` have other content."""
    rows = []
    for group, of_group in sorted(values.items()):
        for number, of_item in enumerate(np.atleast_2d(of_group).T):
            item = f"{suite}/{group}/{number:04d}"
            content = int.from_bytes(
                hashlib.sha256((item + "!" * (item in changed)).encode()).digest()[:8], "big"
            )
            for draw, value in enumerate(of_item):
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
    """One side of a comparison with these values."""
    return read_side(scores(values, metric, **options).select, [metric], "scores", {})[1]
