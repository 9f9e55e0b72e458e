"""What a model says around each token: one row for every token that is frequent enough.

The token rows go in. They are grouped by the current token (what the model says after it) and by
the next token (what the model says about it). Standard deviations divide by n - 1 and quantiles
interpolate, as in pandas. Log-probs and entropies are in nats.
"""

import numpy as np
import pyarrow as pa

from lmcore.analysis.quantiles import quantiles_of_groups, sort_by_group
from lmcore.analysis.rows import TokenRows
from lmcore.errors import InputError
from lmcore.tables import check

QUANTILES = {"q05": 0.05, "q25": 0.25, "q50": 0.5, "q75": 0.75, "q95": 0.95}
SIDES = {"current": "current_id", "next": "next_id"}
MEASURES = ("entropy", "logprob")
STATISTICS = ("mean", "std", *QUANTILES)
BY_TOKEN = pa.schema(
    {
        "model": pa.string(),
        "suite": pa.string(),
        "side": pa.string(),
        "token_id": pa.int32(),
        "token": pa.string(),
        "n": pa.int64(),
        **{f"entropy_{name}": pa.float64() for name in STATISTICS},
        **{f"logprob_{name}": pa.float64() for name in STATISTICS},
        "probability_mean": pa.float64(),
        "rank_mean": pa.float64(),
    }
)


def by_token(
    rows: TokenRows, texts: list[str], *, model: str, suite: str, minimum_count: int
) -> pa.Table:
    """The BY_TOKEN table, by side and then from the most frequent token down (ids break ties).

    texts: those of the token ids.

    Raises InputError for a `minimum_count` below 2: one value has no standard deviation.
    """
    if minimum_count < 2:
        raise InputError(
            f"minimum_count must be at least 2, not {minimum_count}: "
            "one value has no standard deviation"
        )
    return pa.concat_tables(
        [_one_side(rows, texts, side, model, suite, minimum_count) for side in SIDES]
    )


def _one_side(
    rows: TokenRows, texts: list[str], side: str, model: str, suite: str, minimum_count: int
) -> pa.Table:
    """The BY_TOKEN rows of one side."""
    ids = rows.column(SIDES[side])
    counts = np.bincount(ids)  # by token id
    kept = np.flatnonzero(counts >= minimum_count)
    kept = kept[np.lexsort((kept, -counts[kept]))]
    columns: dict[str, np.ndarray | list] = {
        "model": [model] * len(kept),
        "suite": [suite] * len(kept),
        "side": [side] * len(kept),
        "token_id": kept.astype(np.int32),
        "token": [text_of(texts, number) for number in kept.tolist()],
        "n": counts[kept],
    }
    for measure in MEASURES:
        columns |= _statistics(rows, measure, ids, counts, kept)
    columns["rank_mean"] = _sums(ids, rows.column("rank"))[kept] / counts[kept]
    arrays = [pa.array(columns[field.name], field.type) for field in BY_TOKEN]
    return check(pa.table(arrays, BY_TOKEN), BY_TOKEN)


def _statistics(
    rows: TokenRows, measure: str, ids: np.ndarray, counts: np.ndarray, kept: np.ndarray
) -> dict[str, np.ndarray]:
    """{column: its values for the ids `kept`} of one measure; with log-probs also probabilities.

    ids: (N,) by which the rows are grouped; counts: the rows of each id.
    """
    n = counts[kept]
    values = rows.column(measure)
    means = _sums(ids, values)[kept] / n
    mean_of_id = np.zeros(len(counts))
    mean_of_id[kept] = means
    squares = _sums(ids, (values - mean_of_id[ids]) ** 2)
    columns = {f"{measure}_mean": means, f"{measure}_std": np.sqrt(squares[kept] / (n - 1))}
    if measure == "logprob":
        columns["probability_mean"] = _sums(ids, np.exp(values.astype(np.float64)))[kept] / n
    ordered, _ = sort_by_group(ids, values)
    del values
    occurring = np.flatnonzero(counts)
    quantiles = np.empty((len(counts), len(QUANTILES)))
    quantiles[occurring] = quantiles_of_groups(ordered, counts[occurring], list(QUANTILES.values()))
    for number, name in enumerate(QUANTILES):
        columns[f"{measure}_{name}"] = quantiles[kept, number]
    return columns


def text_of(texts: list[str], number: int) -> str:
    """The text of an id, also of one beyond the tokenizer's."""
    return texts[number] if number < len(texts) else f"<id {number}>"


def extremes(table: pa.Table, n: int) -> list[dict]:
    """The tokens at the ends of each suite and side, as small rows.

    These are the `n` tokens of the highest and the `n` of the lowest mean entropy (current) or mean
    log-prob (next).
    """
    names = ["suite", "side", "token", "token_id", "n", "entropy_mean", "logprob_mean"]
    rows = table.select(names).to_pylist()
    ends = []
    for suite in dict.fromkeys(row["suite"] for row in rows):
        for side, measure in (("current", "entropy_mean"), ("next", "logprob_mean")):
            group = [row for row in rows if row["suite"] == suite and row["side"] == side]
            group.sort(key=lambda row: (-row[measure], row["token_id"]))
            highest, lowest = group[:n], group[max(n, len(group) - n) :]
            ends += [_extreme(row, "highest", measure) for row in highest]
            ends += [_extreme(row, "lowest", measure) for row in lowest]
    return ends


def _extreme(row: dict, end: str, measure: str) -> dict:
    """A row of `extremes`: what a plot shows of a row of the table."""
    return {
        "suite": row["suite"],
        "side": row["side"],
        "end": end,
        "measure": measure,
        "token": row["token"],
        "n": row["n"],
        "value": row[measure],
    }


def _sums(ids: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(ids,) the sum of the values of each id."""
    return np.bincount(ids, weights=values)
