"""What correlations and comparisons of several models need, added up chunk by chunk.

Values of words or tokens go in. Moments and counts of pairs are kept.
"""

import math
from itertools import combinations

import numpy as np


class Totals:
    """One figure of all words or tokens under several models."""

    def __init__(self, n_models: int):
        # sums of products of two models; the last row and column hold the sums of one model, and
        # the number of values in the corner
        self.moments = np.zeros((n_models + 1, n_models + 1))
        self.less = np.zeros((n_models, n_models))  # (a, b): how often b is less; a tie is a half

    @property
    def n(self) -> int:
        """How many values each model has."""
        return int(self.moments[-1, -1])

    def add(self, values: np.ndarray) -> None:
        """Add a chunk: (models, N) values of N words or tokens."""
        extended = np.concatenate([values, np.ones((1, values.shape[1]))])
        self.moments += extended @ extended.T
        for a, b in combinations(range(len(values)), 2):
            is_less, is_tie = values[b] < values[a], values[b] == values[a]
            self.less[a, b] += is_less.sum() + 0.5 * is_tie.sum()

    def correlation(self, a: int, b: int) -> float:
        """Pearson's correlation of two models, 0 where one of them does not vary."""
        m = self.moments
        n, x, y = m[-1, -1], m[a, -1], m[b, -1]
        spread = (m[a, a] - x * x / n) * (m[b, b] - y * y / n)
        if spread > 1e-12 * m[a, a] * m[b, b]:
            return float((m[a, b] - x * y / n) / math.sqrt(spread))
        return 0.0

    def share_less(self, a: int, b: int) -> float:
        """How often b is less than a."""
        return float(self.less[a, b] / self.n)
