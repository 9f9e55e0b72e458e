"""How good a model's predictions are by how sure it was: token rows go in, rows of entropy bins and of calibration come out.

Entropy bins hold equally many tokens (qcut); common edges, over the tokens of several models together, make bins that can be set side by
side. Calibration groups tokens by the probability of the model's first choice, in bins of equal width; the expected calibration error is
the mean distance between that probability and how often the choice was right, weighted by tokens (Guo et al. 2017, equation 3).
"""

from typing import Any

import numpy as np
import pyarrow as pa

from lmcore.analysis.by_token import SIDES, text_of
from lmcore.analysis.quantiles import bin_of, qcut_edges
from lmcore.analysis.rows import TokenRows
from lmcore.tables import check

ENTROPY_BINS = pa.schema(
    {
        "model": pa.string(),
        "suite": pa.string(),
        "edges": pa.string(),  # own, or common to all models
        "bin": pa.int32(),
        "low": pa.float64(),
        "high": pa.float64(),
        "n": pa.int64(),
        "entropy_mean": pa.float64(),
        "probability_mean": pa.float64(),  # of the token that came
        "top_probability_mean": pa.float64(),  # of the model's first choice
        "accuracy": pa.float64(),  # how often that was right
    }
)
BIN_TOKENS = pa.schema(
    {
        "model": pa.string(),
        "suite": pa.string(),
        "edges": pa.string(),
        "bin": pa.int32(),
        "side": pa.string(),
        "place": pa.int32(),
        "token_id": pa.int32(),
        "token": pa.string(),
        "n": pa.int64(),
    }
)
CALIBRATION = pa.schema(
    {
        "model": pa.string(),
        "suite": pa.string(),
        "low": pa.float64(),
        "high": pa.float64(),
        "n": pa.int64(),
        "top_probability_mean": pa.float64(),
        "accuracy": pa.float64(),
    }
)


def entropy_bins(
    rows: TokenRows,
    texts: list[str],
    edges: dict[str, np.ndarray],
    *,
    model: str,
    suite: str,
    n_frequent: int,
) -> tuple[pa.Table, pa.Table]:
    """ENTROPY_BINS and BIN_TOKENS for each named set of `edges`, with the `n_frequent` most frequent current and next tokens of a bin.

    A bin without a token, as common edges can give, has no row.
    """
    entropy = rows.column("entropy")
    bins = {name: bin_of(entropy, values).astype(np.int32) for name, values in edges.items()}
    sums = {
        name: {"entropy_mean": np.bincount(number, weights=entropy)}
        for name, number in bins.items()
    }
    del entropy
    for column, derive in (
        ("probability_mean", lambda: np.exp(rows.column("logprob"))),
        ("top_probability_mean", lambda: np.exp(rows.column("top_logprob"))),
        ("accuracy", lambda: rows.column("is_top")),
    ):
        values = derive()
        for name, number in bins.items():
            sums[name][column] = np.bincount(number, weights=values)
        del values
    found: list[dict] = []
    frequent: list[dict[str, Any]] = []
    for name, number in bins.items():
        n = np.bincount(number)
        for at in np.flatnonzero(n):
            row = {
                "model": model,
                "suite": suite,
                "edges": name,
                "bin": at,
                "low": edges[name][at],
                "high": edges[name][at + 1],
            }
            found.append(
                row
                | {"n": n[at]}
                | {column: total[at] / n[at] for column, total in sums[name].items()}
            )
    for side, column in SIDES.items():
        ids = rows.column(column).astype(np.int64)
        n_ids = int(ids.max()) + 1
        for name, number in bins.items():
            counts = np.bincount(
                number * n_ids + ids, minlength=(int(number.max()) + 1) * n_ids
            ).reshape(-1, n_ids)
            for which, of_bin in enumerate(counts):
                for place, token in enumerate(_most(of_bin, n_frequent).tolist()):
                    where = {
                        "model": model,
                        "suite": suite,
                        "edges": name,
                        "bin": which,
                        "side": side,
                        "place": place + 1,
                    }
                    frequent.append(
                        where
                        | {"token_id": token, "token": text_of(texts, token), "n": of_bin[token]}
                    )
    order = {name: number for number, name in enumerate(edges)}
    frequent.sort(key=lambda row: (order[row["edges"]], row["bin"], row["side"], row["place"]))
    return _table(found, ENTROPY_BINS), _table(frequent, BIN_TOKENS)


def calibration(rows: TokenRows, *, model: str, suite: str, n_bins: int) -> pa.Table:
    """The CALIBRATION table: `n_bins` bins of equal width over the probability of the first choice, closed on the right; none is empty."""
    confidence = np.exp(rows.column("top_logprob").astype(np.float64))
    number = np.clip(np.ceil(confidence * n_bins).astype(np.int64) - 1, 0, n_bins - 1)
    n = np.bincount(number, minlength=n_bins)
    total, right = (
        np.bincount(number, weights=values, minlength=n_bins)
        for values in (confidence, rows.column("is_top"))
    )
    found = [
        {
            "model": model,
            "suite": suite,
            "low": at / n_bins,
            "high": (at + 1) / n_bins,
            "n": n[at],
            "top_probability_mean": total[at] / n[at],
            "accuracy": right[at] / n[at],
        }
        for at in np.flatnonzero(n)
    ]
    return _table(found, CALIBRATION)


def expected_calibration_error(bins: list[dict]) -> float:
    """The mean of |accuracy - probability of the first choice| over bins, weighted by their tokens."""
    total = sum(row["n"] for row in bins)
    return float(
        sum(row["n"] * abs(row["accuracy"] - row["top_probability_mean"]) for row in bins) / total
    )


def common_edges(tables: list[TokenRows], n_bins: int) -> np.ndarray:
    """The edges of bins of equally many tokens of all tables together."""
    values = np.empty(sum(map(len, tables)), np.float32)
    start = 0
    for rows in tables:
        values[start : start + len(rows)] = rows.column("entropy")
        start += len(rows)
    values.sort()
    return qcut_edges(values, n_bins)


def _most(counts: np.ndarray, n: int) -> np.ndarray:
    """The ids of the `n` greatest counts above 0, of equal ones the lowest first."""
    n_there = min(n, int((counts > 0).sum()))
    if not n_there:
        return np.zeros(0, np.int64)
    least = np.partition(counts, len(counts) - n_there)[len(counts) - n_there]
    ids = np.flatnonzero(counts >= max(least, 1))
    return ids[np.lexsort((ids, -counts[ids]))][:n]


def _table(rows: list[dict], schema: pa.Schema) -> pa.Table:
    columns = [pa.array([row[field.name] for row in rows], field.type) for field in schema]
    return check(pa.table(columns, schema), schema)
