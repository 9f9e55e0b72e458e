"""How often two draws of a random model choose the same option: log-probs of the options under every draw go in."""

import numpy as np

from lmcore.statistics.stats import random_choice_accuracy


def agreement(values: np.ndarray) -> np.ndarray:
    """(items,): the share of pairs of draws that choose alike; values: (draws, items, options), the greatest is chosen, ties by lot."""
    best = values == values.max(-1, keepdims=True)
    shares = best / best.sum(-1, keepdims=True)
    n = len(values)
    return ((shares.sum(0) ** 2).sum(-1) - (shares**2).sum((0, -1))) / (n * (n - 1))


def expected_agreement(n_tokens: np.ndarray, vocab_size: int) -> np.ndarray:
    """(items,): the same of random logits, as lmcore.statistics.stats.random_choice_accuracy has them; n_tokens: (items, options).

    1 where one option is clearly the shortest, 1 / options where all are as long.
    """
    gold = [np.full(len(n_tokens), option) for option in range(n_tokens.shape[1])]
    return np.sum(
        [random_choice_accuracy(n_tokens, option, vocab_size, "half") ** 2 for option in gold], 0
    )
