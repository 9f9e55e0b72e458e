"""Which option wins an item: values of options and a suite's tie policy go in, shares come out."""

import numpy as np


def settle(values: np.ndarray, gold: np.ndarray, ties: str) -> tuple[np.ndarray, np.ndarray]:
    """How far the gold option wins, in [0, 1], and whether it is tied for the first place.

    values: (draws, items, options), the greatest wins; gold: (items,), its option; ties: `half`,
    `win` or `loss`. Both results are (draws, items).
    """
    best = values == values.max(-1, keepdims=True)
    n_best = best.sum(-1)
    wins = np.take_along_axis(best, gold[None, :, None], -1)[..., 0]
    tied = wins & (n_best > 1)
    if ties == "half":
        return wins / n_best, tied
    if ties == "loss":
        return (wins & ~tied).astype(float), tied
    return (values.argmax(-1) == gold).astype(float), tied
