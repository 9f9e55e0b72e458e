"""What paired comparisons of several models need, kept chunk by chunk.

Values of words or tokens go in; sums by item and moments are kept.
"""

import math
from itertools import combinations

import numpy as np


class Totals:
    """What remains of one figure of all models when a chunk is done.

    These are sums by item, and what correlations and comparisons need.
    """

    def __init__(self):
        self.sums: list[np.ndarray] = []  # for each chunk (models, items)
        self.counts: list[np.ndarray] = []  # for each chunk (items,): its words or tokens
        # (models + 1, models + 1): sums of products of two models; the last row and column hold
        # the sums of one model, and the number of values in the corner
        self.moments: np.ndarray | float = 0.0
        self.less: np.ndarray | float = 0.0  # (a, b): how often b is less than a, a tie a half

    def add(self, values: np.ndarray, item: np.ndarray, n_items: int) -> None:
        """Add a chunk of `n_items` items.

        values: (models, N) of N words or tokens; item: (N,) the number of each one's item.
        """
        self.sums.append(
            np.stack([np.bincount(item, weights=row, minlength=n_items) for row in values])
        )
        self.counts.append(np.bincount(item, minlength=n_items))
        extended = np.concatenate([values, np.ones((1, values.shape[1]))])
        self.moments = self.moments + extended @ extended.T
        less = np.zeros((len(values), len(values)))
        for a, b in combinations(range(len(values)), 2):
            less[a, b] = (values[b] < values[a]).sum() + 0.5 * (values[b] == values[a]).sum()
        self.less = self.less + less

    def of_items(self) -> np.ndarray:
        """(models, items) sums."""
        return np.concatenate(self.sums, 1)

    def n_of_items(self) -> np.ndarray:
        """(items,) numbers of words or tokens."""
        return np.concatenate(self.counts)

    def correlation(self, a: int, b: int) -> float:
        """Pearson's correlation of two models, 0 where one of them does not vary."""
        m = np.asarray(self.moments)
        n, x, y = m[-1, -1], m[a, -1], m[b, -1]
        spread = (m[a, a] - x * x / n) * (m[b, b] - y * y / n)
        if spread > 1e-12 * m[a, a] * m[b, b]:
            return float((m[a, b] - x * y / n) / math.sqrt(spread))
        return 0.0

    def share_less(self, a: int, b: int) -> float:
        """How often b is less than a."""
        return float(np.asarray(self.less)[a, b] / np.asarray(self.moments)[-1, -1])
