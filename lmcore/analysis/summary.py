"""One model on one suite in a few numbers: the token rows go in, a dictionary for JSON comes out.

It holds means, standard deviations (n - 1) and percentiles of entropy (nats), probability,
surprisal (bits) and rank; the perplexity per token; and how often the token is the model's first
choice, or among its first ten. The draws of a random model count as so many more tokens.
"""

import math
from collections.abc import Callable

import numpy as np

from lmcore.analysis.quantiles import quantiles_of_groups
from lmcore.analysis.rows import TokenRows

PERCENTILES = (1, 5, 10, 25, 50, 75, 90, 95, 99)
TOP = 10
N_DENSITY = 60  # bins of a density


def summary(rows: TokenRows, masked: bool = False) -> dict:
    """The summary of these rows, unrounded.

    masked: whether they are of a masked LM, whose perplexity is a pseudo-perplexity.
    """
    logprob = rows.column("logprob")
    logprob.sort()
    rank = rows.column("rank")
    rank.sort()
    entropy = rows.column("entropy")
    entropy.sort()
    mean = float(logprob.mean(dtype=np.float64))
    return {
        "n_tokens": len(rows),
        "n_draws": rows.n_draws,
        "entropy": describe(entropy, lambda values: values),
        "probability": describe(logprob, np.exp),
        "surprisal": describe(logprob[::-1], lambda values: values / -math.log(2)),
        "rank": describe(rank, lambda values: values),
        "logprob_mean": mean,
        "pseudo_perplexity" if masked else "perplexity": math.exp(min(700.0, -mean)),
        "top_1_accuracy": float(rows.column("is_top").mean()),
        "top_10_accuracy": float(np.searchsorted(rank, TOP, "right") / len(rank)),
    }


def describe(ordered: np.ndarray, unit: Callable[[np.ndarray], np.ndarray]) -> dict:
    """The mean, std and percentiles of `unit(ordered)`, which must be sorted upwards.

    The std of a single value is 0.
    """
    values = unit(ordered.astype(np.float64))
    probabilities = [percentile / 100 for percentile in PERCENTILES]
    quantiles = quantiles_of_groups(values, np.array([len(values)]), probabilities)[0]
    spread = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    figures = {"mean": float(values.mean()), "std": spread}
    for percentile, value in zip(PERCENTILES, quantiles):
        figures[f"p{percentile:02d}"] = float(value)
    return figures


def density(values: np.ndarray, low: float, high: float) -> list[tuple[float, float]]:
    """The histogram of `values` in N_DENSITY bins from `low` to `high`, as (middle, density).

    Densities times widths add up to 1 where all values lie in this range.
    """
    counts, edges = np.histogram(values, bins=N_DENSITY, range=(low, max(high, low + 1e-6)))
    width = edges[1] - edges[0]
    return [
        (float(left + width / 2), float(count / len(values) / width))
        for left, count in zip(edges, counts)
    ]
