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
    running = RunningChoice(ties)
    running.add(texts)
    return running.lines()


def by_position(texts: TextStats, ties: str) -> dict[str, np.ndarray]:
    """{column: one value for each position}, up to the end of the longest right ending.

    Draws are averaged within items. The columns are

    - `accuracy` and `accuracy_se`: of the running choice, over all items;
    - `logprob`: the mean log-prob of the token there, over the `n` right endings that reach it.
    """
    running = RunningChoice(ties)
    running.add(texts)
    return running.columns()


class RunningChoice:
    """`by_position` of items that come in several runs.

    A value of each item and position is kept, in eight bytes.
    """

    def __init__(self, ties: str):
        self.ties = ties
        self.settled: list[np.ndarray] = []  # of each run (positions, items), mean over draws
        self.n = np.zeros(0, np.int64)  # (positions,) right endings that reach it
        self.logprob = np.zeros((1, 0))  # (draws, positions) summed over these

    def add(self, texts: TextStats) -> None:
        """Add all items of `texts`."""
        n_tokens = texts.n_tokens[0].astype(int)
        n_gold = int(n_tokens[texts.gold_rows].max())
        # where all endings are over, the running choice does not change any more
        steps = np.arange(n_tokens[texts.rows[""]].max())
        reached = steps < n_tokens[:, None]  # (texts, positions)
        self._make_room(n_gold, texts.shape[0])
        self.n[:n_gold] += reached[texts.gold_rows].sum(0)[:n_gold]
        settled = []
        for draw, first in enumerate(texts.first_target.reshape(texts.shape)):
            token = np.minimum(first[:, None] + steps, len(texts.tokens["logprob"]) - 1)
            logprob = np.where(reached, texts.tokens["logprob"][token], 0).astype(np.float64)
            running = logprob.cumsum(1)[texts.rows[""]]  # (items, options, positions)
            settled.append(settle(running.transpose(2, 0, 1), texts.gold, self.ties)[0])
            of_gold = logprob[texts.gold_rows][:, :n_gold]
            # one row after the other, as the sum over all items at once goes
            self.logprob[draw, :n_gold] = np.concatenate(
                [self.logprob[draw : draw + 1, :n_gold], of_gold]
            ).sum(0)
        self.settled.append(np.mean(settled, 0))

    def _make_room(self, n_positions: int, n_draws: int) -> None:
        """Let the sums have so many positions and draws at least."""
        more = max(0, n_positions - len(self.n))
        self.n = np.pad(self.n, (0, more))
        self.logprob = np.pad(self.logprob, ((0, n_draws - len(self.logprob)), (0, more)))

    def columns(self) -> dict[str, np.ndarray]:
        """The columns of `by_position`, over all items that were added."""
        estimates = []
        for position in range(len(self.n)):
            # a run whose endings are all over keeps its last choice
            values = np.concatenate([run[min(position, len(run) - 1)] for run in self.settled])
            estimates.append(ratio(values, np.ones(len(values))))
        return {
            "accuracy": np.array([estimate.mean for estimate in estimates]),
            "accuracy_se": np.array([estimate.se or 0.0 for estimate in estimates]),
            "logprob": np.mean(self.logprob / self.n, 0),
            "n": self.n,
        }

    def lines(self) -> list[dict]:
        """The rows of `columns` with their `position`, counted from 1; figures are rounded."""
        columns = self.columns()
        lines = []
        for position, values in enumerate(zip(*columns.values()), 1):
            figures = rounded(list(map(float, values)), DIGITS)
            lines.append({"position": position, **dict(zip(columns, figures))})
        return lines
