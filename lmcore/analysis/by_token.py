"""What a model says around each token: the token rows go in, one row for every token that is frequent enough comes out.

Grouped by the current token (what the model says after it) and by the next one (what it says of it). Standard deviations divide by n - 1,
quantiles interpolate: as pandas. Log-probs and entropies are in nats.
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
BY_TOKEN = pa.schema(
    {
        "model": pa.string(),
        "suite": pa.string(),
        "side": pa.string(),
        "token_id": pa.int32(),
        "token": pa.string(),
        "n": pa.int64(),
        **{
            f"{measure}_{name}": pa.float64()
            for measure in MEASURES
            for name in ("mean", "std", *QUANTILES)
        },
        "probability_mean": pa.float64(),
        "rank_mean": pa.float64(),
    }
)


def by_token(
    rows: TokenRows, texts: list[str], *, model: str, suite: str, minimum_count: int
) -> pa.Table:
    """The BY_TOKEN table, by side and then from the most frequent token down (ids break ties); `texts` are those of the ids.

    Raises InputError for a `minimum_count` below 2: one value has no standard deviation.
    """
    if minimum_count < 2:
        raise InputError(
            f"minimum_count must be at least 2, not {minimum_count}: one value has no standard deviation"
        )
    return pa.concat_tables(
        [_of_side(rows, texts, side, model, suite, minimum_count) for side in SIDES]
    )


def _of_side(
    rows: TokenRows, texts: list[str], side: str, model: str, suite: str, minimum_count: int
) -> pa.Table:
    ids = rows.column(SIDES[side])
    counts = np.bincount(ids)
    kept = np.flatnonzero(counts >= minimum_count)
    kept = kept[np.lexsort((kept, -counts[kept]))]
    n = counts[kept]
    columns: dict[str, np.ndarray | list] = {
        "model": [model] * len(kept),
        "suite": [suite] * len(kept),
        "side": [side] * len(kept),
        "token_id": kept.astype(np.int32),
        "token": [text_of(texts, number) for number in kept.tolist()],
        "n": n,
    }
    for measure in MEASURES:
        values = rows.column(measure)
        means = _sums(ids, values)[kept] / n
        columns[f"{measure}_mean"] = means
        all_means = np.zeros(len(counts))
        all_means[kept] = means
        columns[f"{measure}_std"] = np.sqrt(
            _sums(ids, (values - all_means[ids]) ** 2)[kept] / (n - 1)
        )
        if measure == "logprob":
            columns["probability_mean"] = _sums(ids, np.exp(values.astype(np.float64)))[kept] / n
        ordered, _ = sort_by_group(ids, values)
        del values
        there = np.flatnonzero(counts)
        found = np.empty((len(counts), len(QUANTILES)))
        found[there] = quantiles_of_groups(ordered, counts[there], list(QUANTILES.values()))
        columns |= {
            f"{measure}_{name}": found[kept, number] for number, name in enumerate(QUANTILES)
        }
        del ordered
    columns["rank_mean"] = _sums(ids, rows.column("rank"))[kept] / n
    return check(
        pa.table([pa.array(columns[field.name], field.type) for field in BY_TOKEN], BY_TOKEN),
        BY_TOKEN,
    )


def text_of(texts: list[str], number: int) -> str:
    """The text of an id, also of one beyond the tokenizer's."""
    return texts[number] if number < len(texts) else f"<id {number}>"


def extremes(table: pa.Table, n: int) -> list[dict]:
    """Of each suite and side the `n` tokens of highest and of lowest mean entropy (current) or mean log-prob (next), as small rows."""
    found = []
    rows = table.select(
        ["suite", "side", "token", "token_id", "n", "entropy_mean", "logprob_mean"]
    ).to_pylist()
    for suite in dict.fromkeys(row["suite"] for row in rows):
        for side, measure in (("current", "entropy_mean"), ("next", "logprob_mean")):
            group = [row for row in rows if row["suite"] == suite and row["side"] == side]
            group.sort(key=lambda row: (-row[measure], row["token_id"]))
            chosen = {"highest": group[:n], "lowest": group[max(n, len(group) - n) :]}
            found += [
                {
                    "suite": suite,
                    "side": side,
                    "end": end,
                    "measure": measure,
                    "token": row["token"],
                    "n": row["n"],
                    "value": row[measure],
                }
                for end, part in chosen.items()
                for row in part
            ]
    return found


def _sums(ids: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.bincount(ids, weights=values)
