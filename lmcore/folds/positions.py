"""How a choice forms token by token: one row for each position in the ending.

The tokens of suites of kind choices go in. After p tokens of every ending, the running choice is
the ending with the greatest log-prob so far; an ending that is over keeps its sum. Endings that
begin alike are tied so far, and the suite's tie policy holds.
"""

import numpy as np

from lmcore.files import rounded
from lmcore.folds.by_text import TextStats
from lmcore.folds.ties import settle
from lmcore.statistics.stats import ratio

DIGITS = 6  # significant


def position_lines(texts: TextStats, ties: str) -> list[dict]:
    """The rows of `by_position` with their `position`, counted from 1; figures are rounded."""
    columns = by_position(texts, ties)
    lines = []
    for position, values in enumerate(zip(*columns.values()), 1):
        figures = rounded(list(map(float, values)), DIGITS)
        lines.append({"position": position, **dict(zip(columns, figures))})
    return lines


def by_position(texts: TextStats, ties: str) -> dict[str, np.ndarray]:
    """{column: one value for each position}, up to the end of the longest right ending.

    Draws are averaged within items. The columns are

    - `accuracy` and `accuracy_se`: of the running choice, over all items;
    - `logprob`: the mean log-prob of the token there, over the `n` right endings that reach it.
    """
    n_tokens = texts.n_tokens[0].astype(int)
    steps = np.arange(n_tokens[texts.gold_rows].max())
    reached = steps < n_tokens[:, None]  # (texts, positions)
    n = reached[texts.gold_rows].sum(0)
    settled, logprobs = [], []
    for first in texts.first_target.reshape(texts.shape):
        token = np.minimum(first[:, None] + steps, len(texts.tokens["logprob"]) - 1)
        logprob = np.where(reached, texts.tokens["logprob"][token], 0).astype(np.float64)
        running = logprob.cumsum(1)[texts.rows[""]]  # (items, options, positions)
        settled.append(settle(running.transpose(2, 0, 1), texts.gold, ties)[0])
        logprobs.append(logprob[texts.gold_rows].sum(0) / n)
    estimates = [ratio(values, np.ones(len(values))) for values in np.mean(settled, 0)]
    return {
        "accuracy": np.array([estimate.mean for estimate in estimates]),
        "accuracy_se": np.array([estimate.se or 0.0 for estimate in estimates]),
        "logprob": np.mean(logprobs, 0),
        "n": n,
    }
