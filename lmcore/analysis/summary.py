"""One model on one suite in a few numbers: the token rows go in, a dictionary for JSON comes out.

It holds means, standard deviations (n - 1) and percentiles of entropy (nats), probability,
surprisal (bits) and rank; the perplexity per token; and how often the token is the model's first
choice, or among its first ten. The draws of a random model count as so many more tokens.
"""

import math
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from lmcore.analysis.rows import TokenRows
from lmcore.analysis.selection import quantiles_of

PERCENTILES = (1, 5, 10, 25, 50, 75, 90, 95, 99)
TOP = 10
N_DENSITY = 60  # bins of a density


def summary(rows: TokenRows, masked: bool = False) -> dict:
    """The summary of these rows, unrounded.

    masked: whether they are of a masked LM, whose perplexity is a pseudo-perplexity.
    """
    mean = _Moments(rows, "logprob", _same).mean
    n_top = sum(int(values.sum()) for values in rows.values("is_top"))
    n_first = sum(int((values <= TOP).sum()) for values in rows.values("rank"))
    return {
        "n_tokens": len(rows),
        "n_draws": rows.n_draws,
        "entropy": describe(rows, "entropy", _same),
        "probability": describe(rows, "logprob", np.exp),
        "surprisal": describe(rows, "logprob", lambda values: values / -math.log(2), falls=True),
        "rank": describe(rows, "rank", _same),
        "logprob_mean": mean,
        "pseudo_perplexity" if masked else "perplexity": math.exp(min(700.0, -mean)),
        "top_1_accuracy": n_top / len(rows),
        "top_10_accuracy": n_first / len(rows),
    }


def _same(values: np.ndarray) -> np.ndarray:
    return values


class _Moments:
    """The mean and the standard deviation of `unit` of a column; the std of one value is 0."""

    def __init__(self, rows: TokenRows, name: str, unit: Callable[[np.ndarray], np.ndarray]):
        n = len(rows)
        self.rows, self.name, self.unit = rows, name, unit
        self.mean = sum(float(values.sum()) for values in self._values()) / n
        self.std = 0.0
        if n > 1:
            squares = sum(float(((values - self.mean) ** 2).sum()) for values in self._values())
            self.std = math.sqrt(squares / (n - 1))

    def _values(self) -> Iterator[np.ndarray]:
        """The values in their unit, a batch at a time."""
        for values in self.rows.values(self.name):
            yield self.unit(values.astype(np.float64))


def describe(
    rows: TokenRows, name: str, unit: Callable[[np.ndarray], np.ndarray], *, falls: bool = False
) -> dict:
    """The mean, std and percentiles of `unit` of a column.

    `unit` rises with its argument, or `falls`. The std of a single value is 0.
    """
    probabilities = [percentile / 100 for percentile in PERCENTILES]
    quantiles = quantiles_of(lambda: rows.values(name), len(rows), probabilities, unit, falls=falls)
    moments = _Moments(rows, name, unit)
    figures = {"mean": moments.mean, "std": moments.std}
    for percentile, value in zip(PERCENTILES, quantiles):
        figures[f"p{percentile:02d}"] = float(value)
    return figures


def density(batches: Iterable[np.ndarray], low: float, high: float) -> list[tuple[float, float]]:
    """The histogram of values in N_DENSITY bins from `low` to `high`, as (middle, density).

    Densities times widths add up to 1 where all values lie in this range.
    """
    counts, n = np.zeros(N_DENSITY, np.int64), 0
    within = (low, max(high, low + 1e-6))
    for values in batches:
        of_batch, edges = np.histogram(values, bins=N_DENSITY, range=within)
        counts += of_batch
        n += len(values)
    width = edges[1] - edges[0]
    return [
        (float(left + width / 2), float(count / n / width)) for left, count in zip(edges, counts)
    ]
