"""How often two draws of a random model choose the same option.

Log-probs of the options under every draw go in. One share for each item comes out.
"""

import numpy as np

from lmcore.statistics.stats import random_choice_accuracy


def agreement(values: np.ndarray) -> np.ndarray:
    """(items,): the share of pairs of draws that choose the same option.

    values: (draws, items, options); a draw chooses the option with the greatest value, and a tie is
    decided by lot.
    """
    best = values == values.max(-1, keepdims=True)
    # (draws, items, options): the chance that a draw chooses an option
    chances = best / best.sum(-1, keepdims=True)
    n_draws = len(values)
    all_pairs = (chances.sum(0) ** 2).sum(-1)
    pairs_with_itself = (chances**2).sum((0, -1))
    return (all_pairs - pairs_with_itself) / (n_draws * (n_draws - 1))


def expected_agreement(n_tokens: np.ndarray, vocab_size: int) -> np.ndarray:
    """(items,): the agreement that two draws of random logits are expected to have.

    The random logits are those of lmcore.statistics.stats.random_choice_accuracy. n_tokens: (items,
    options). The result is 1 where one option is clearly the shortest, and 1 / options where all
    options are equally long.
    """
    both_choose = []
    for number in range(n_tokens.shape[1]):
        option = np.full(len(n_tokens), number)
        chance = random_choice_accuracy(n_tokens, option, vocab_size, "half")
        both_choose.append(chance**2)
    return np.sum(both_choose, 0)
