"""How good a model's predictions are, by how sure it was.

Token rows go in; rows of entropy bins and of calibration come out.

Entropy bins hold equally many tokens (qcut). Common edges come from the tokens of several models
together, so that the bins of these models can be set side by side.

Calibration groups tokens by the probability of the model's first choice, in bins of equal width.
The expected calibration error is the mean distance between that probability and how often the
choice was right, weighted by tokens (Guo et al. 2017, equation 3).
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from lmcore.analysis.by_token import SIDES, add_in_order, text_of
from lmcore.analysis.quantiles import bin_of, bin_probabilities, distinct_edges
from lmcore.analysis.rows import TokenRows
from lmcore.analysis.selection import quantiles_of
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
    """ENTROPY_BINS and BIN_TOKENS for each named set of `edges`.

    BIN_TOKENS has the `n_frequent` most frequent current and next tokens of each bin. A bin without
    a token, as common edges can give, has no row.
    """
    bins = {name: _Bins(values) for name, values in edges.items()}
    for batch in rows.batches(["entropy", "logprob", "top_logprob", "is_top", *SIDES.values()]):
        for of_edges in bins.values():
            of_edges.add(batch)
    labels = {"model": model, "suite": suite}
    bin_rows: list[dict] = []
    for name, of_edges in bins.items():
        means = _bin_means(of_edges.counts, edges[name], of_edges.sums)
        bin_rows += [{**labels, "edges": name, **row} for row in means]
    frequent = [{**labels, **row} for row in _frequent_tokens(texts, bins, n_frequent)]
    return _table(bin_rows, ENTROPY_BINS), _table(frequent, BIN_TOKENS)


class _Bins:
    """What is counted and summed in the bins between some edges, batch by batch."""

    def __init__(self, edges: np.ndarray):
        self.edges = edges
        n_bins = len(edges) - 1
        self.counts = np.zeros(n_bins, np.int64)
        names = ("entropy_mean", "probability_mean", "top_probability_mean", "accuracy")
        self.sums = {name: np.zeros(n_bins) for name in names}
        # by side: (bins, ids) how often each id is in each bin
        self.ids = {side: np.zeros((n_bins, 0), np.int64) for side in SIDES}

    def add(self, batch: dict[str, np.ndarray]) -> None:
        """Add the columns of some tokens."""
        if not len(batch["entropy"]):
            return
        numbers = bin_of(batch["entropy"], self.edges).astype(np.int32)
        self.counts += np.bincount(numbers, minlength=len(self.counts))
        add_in_order(self.sums["entropy_mean"], numbers, batch["entropy"])
        add_in_order(self.sums["probability_mean"], numbers, np.exp(batch["logprob"]))
        add_in_order(self.sums["top_probability_mean"], numbers, np.exp(batch["top_logprob"]))
        add_in_order(self.sums["accuracy"], numbers, batch["is_top"])
        for side, column in SIDES.items():
            counts = _counts_by_bin(numbers, batch[column], len(self.counts))
            counts, known = _alike(counts, self.ids[side])
            self.ids[side] = counts + known


def _alike(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two arrays (bins, ids) with as many ids as the one with more of them."""
    n = max(one.shape[1], other.shape[1])
    return tuple(np.pad(counts, ((0, 0), (0, n - counts.shape[1]))) for counts in (one, other))  # type: ignore[return-value]


def _bin_means(counts: np.ndarray, edges: np.ndarray, sums: dict[str, np.ndarray]) -> list[dict]:
    """One row for each bin that holds tokens, with the means of the columns.

    counts: (bins,) tokens; edges: (bins + 1,); sums: {column: (bins,) sums over tokens}.
    """
    rows = []
    for number in np.flatnonzero(counts):
        n = counts[number]
        row = {"bin": number, "low": edges[number], "high": edges[number + 1], "n": n}
        for column, total in sums.items():
            row[column] = total[number] / n
        rows.append(row)
    return rows


def _frequent_tokens(texts: list[str], bins: dict[str, _Bins], n_frequent: int) -> list[dict]:
    """The `n_frequent` most frequent tokens of each bin and side, by edges, bin, side and place.

    bins: by the name of their edges.
    """
    frequent: list[dict] = []
    for side in SIDES:
        for name, of_edges in bins.items():
            for number, counts in enumerate(of_edges.ids[side]):
                for place, token in enumerate(_most(counts, n_frequent).tolist(), 1):
                    frequent.append(
                        {
                            "edges": name,
                            "bin": number,
                            "side": side,
                            "place": place,
                            "token_id": token,
                            "token": text_of(texts, token),
                            "n": counts[token],
                        }
                    )
    order = {name: place for place, name in enumerate(bins)}
    frequent.sort(key=lambda row: (order[row["edges"]], row["bin"], row["side"], row["place"]))
    return frequent


def _counts_by_bin(numbers: np.ndarray, ids: np.ndarray, n_bins: int) -> np.ndarray:
    """(bins, ids) how often each id is in each bin; `numbers` are the bins of `ids`, both (N,)."""
    n_ids = int(ids.max()) + 1
    cells = numbers.astype(np.int64) * n_ids + ids
    return np.bincount(cells, minlength=n_bins * n_ids).reshape(-1, n_ids)


def calibration(rows: TokenRows, *, model: str, suite: str, n_bins: int) -> pa.Table:
    """The CALIBRATION table: bins of equal width over the probability of the first choice.

    The `n_bins` bins are closed on the right. Empty bins have no row.
    """
    n, total, n_right = np.zeros(n_bins, np.int64), np.zeros(n_bins), np.zeros(n_bins)
    for batch in rows.batches(["top_logprob", "is_top"]):
        confidence = np.exp(batch["top_logprob"].astype(np.float64))
        number = np.clip(np.ceil(confidence * n_bins).astype(np.int64) - 1, 0, n_bins - 1)
        n += np.bincount(number, minlength=n_bins)
        add_in_order(total, number, confidence)
        add_in_order(n_right, number, batch["is_top"])
    bins = [
        {
            "model": model,
            "suite": suite,
            "low": at / n_bins,
            "high": (at + 1) / n_bins,
            "n": n[at],
            "top_probability_mean": total[at] / n[at],
            "accuracy": n_right[at] / n[at],
        }
        for at in np.flatnonzero(n)
    ]
    return _table(bins, CALIBRATION)


def expected_calibration_error(bins: list[dict]) -> float:
    """The mean over bins of |accuracy - probability of the first choice|, weighted by tokens."""
    n_tokens = sum(row["n"] for row in bins)
    distances = [row["n"] * abs(row["accuracy"] - row["top_probability_mean"]) for row in bins]
    return float(sum(distances) / n_tokens)


def common_edges(tables: list[TokenRows], n_bins: int) -> np.ndarray:
    """The edges of bins of equally many tokens of all tables together."""

    def batches() -> Iterator[np.ndarray]:
        for rows in tables:
            yield from rows.values("entropy")

    n = sum(map(len, tables))
    return distinct_edges(quantiles_of(batches, n, bin_probabilities(n_bins)))


def _most(counts: np.ndarray, n: int) -> np.ndarray:
    """The ids of the `n` greatest counts above 0; of equal counts the lowest ids first."""
    n_above = min(n, int((counts > 0).sum()))
    if not n_above:
        return np.zeros(0, np.int64)
    least = np.partition(counts, len(counts) - n_above)[len(counts) - n_above]
    ids = np.flatnonzero(counts >= max(least, 1))
    return ids[np.lexsort((ids, -counts[ids]))][:n]


def _table(rows: list[dict], schema: pa.Schema) -> pa.Table:
    """The checked table of rows that have a value for every column of `schema`."""
    columns = []
    for field in schema:
        columns.append(pa.array([row[field.name] for row in rows], field.type))
    return check(pa.table(columns, schema), schema)
