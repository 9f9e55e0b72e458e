"""What a model says around each token: one row for every token that is frequent enough.

The token rows go in. They are grouped by the current token (what the model says after it) and by
the next token (what the model says about it). Standard deviations divide by n - 1 and quantiles
interpolate, as in pandas. Log-probs and entropies are in nats.
"""

from contextlib import ExitStack

import numpy as np
import pyarrow as pa

from lmcore.analysis.rows import TokenRows
from lmcore.analysis.selection import GroupedValues
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
    counts, sums = _sums_by_id(rows, SIDES[side])
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
    columns |= _statistics(rows, SIDES[side], counts, sums, kept)
    for name in ("probability", "rank"):
        columns[f"{name}_mean"] = sums[name][kept] / counts[kept]
    arrays = [pa.array(columns[field.name], field.type) for field in BY_TOKEN]
    return check(pa.table(arrays, BY_TOKEN), BY_TOKEN)


def _sums_by_id(rows: TokenRows, id_column: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """(ids,) how many rows each id has, and {name: (ids,) sums over its rows}."""
    counts = np.zeros(0, np.int64)
    sums = {name: np.zeros(0) for name in (*MEASURES, "probability", "rank")}
    for batch in rows.batches([id_column, *MEASURES, "rank"]):
        ids = batch[id_column]
        of_batch = np.bincount(ids, minlength=len(counts))
        more = len(of_batch) - len(counts)
        counts = np.pad(counts, (0, more)) + of_batch
        batch["probability"] = np.exp(batch["logprob"].astype(np.float64))
        for name in sums:
            sums[name] = np.pad(sums[name], (0, more))
            add_in_order(sums[name], ids, batch[name])
    return counts, sums


def _statistics(
    rows: TokenRows,
    id_column: str,
    counts: np.ndarray,
    sums: dict[str, np.ndarray],
    kept: np.ndarray,
) -> dict[str, np.ndarray]:
    """{column: its values for the ids `kept`}: mean, std and quantiles of the MEASURES.

    counts, sums: of each id, as of `_sums_by_id`.
    """
    n = counts[kept]
    means = {name: np.zeros(len(counts)) for name in MEASURES}
    squares = {name: np.zeros(len(counts)) for name in MEASURES}
    columns: dict[str, np.ndarray] = {}
    for name in MEASURES:
        columns[f"{name}_mean"] = means[name][kept] = sums[name][kept] / n
    with ExitStack() as stack:
        ordered = {name: stack.enter_context(GroupedValues(counts)) for name in MEASURES}
        for batch in rows.batches([id_column, *MEASURES]):
            ids = batch[id_column]
            for name in MEASURES:
                add_in_order(squares[name], ids, (batch[name] - means[name][ids]) ** 2)
                ordered[name].add(ids, batch[name])
        for name in MEASURES:
            columns[f"{name}_std"] = np.sqrt(squares[name][kept] / (n - 1))
            quantiles = ordered[name].quantiles(list(QUANTILES.values()))
            for number, quantile in enumerate(QUANTILES):
                columns[f"{name}_{quantile}"] = quantiles[kept, number]
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


def add_in_order(sums: np.ndarray, ids: np.ndarray, values: np.ndarray) -> None:
    """Add each value to the sum of its id, one after the other.

    The sums of several batches are to the bit those of np.bincount over all values at once.
    """
    np.add.at(sums, ids, values.astype(np.float64))
