"""Accuracy, F1 and Matthews' correlation of labels, and how certain they are.

Arrays of labels, 0, 1 and so on, go in. Plain numbers come out. The standard error over items is
that of the jackknife: every item is left out once. Items that got the same labels move a figure by
the same amount, so that is as many computations as there are different items, not as there are
items.
"""

from collections.abc import Callable

import numpy as np

from lmcore.statistics.stats import Estimate

Measure = Callable[[np.ndarray], float]


def confusion(gold: np.ndarray, predicted: np.ndarray, n_labels: int) -> np.ndarray:
    """(labels, labels): how many items of each gold label (row) were given each label (column)."""
    return np.bincount(gold * n_labels + predicted, minlength=n_labels**2).reshape(n_labels, -1)


def accuracy(cells: np.ndarray) -> float:
    """The share of items that were given their gold label; cells: as of `confusion`."""
    return float(np.trace(cells) / cells.sum())


def f1(cells: np.ndarray) -> float:
    """F1 of label 1 of two; 0 where it neither occurs nor is given.

    Raises ValueError for another number of labels.
    """
    if len(cells) != 2:
        raise ValueError(f"f1 is defined here for two labels, not {len(cells)}")
    either = cells[1].sum() + cells[:, 1].sum()
    return float(2 * cells[1, 1] / either) if either else 0.0


def mcc(cells: np.ndarray) -> float:
    """Matthews' correlation of gold and given labels; 0 where either is always the same.

    Source: Gorodkin 2004, Computational Biology and Chemistry 28(5), for more than two labels.
    """
    total, given, gold = float(cells.sum()), cells.sum(0).astype(float), cells.sum(1).astype(float)
    covariance = np.trace(cells) * total - (given * gold).sum()
    spread = np.sqrt((total**2 - (given**2).sum()) * (total**2 - (gold**2).sum()))
    return float(covariance / spread) if spread else 0.0


MEASURES: dict[str, Measure] = {"accuracy": accuracy, "f1": f1, "mcc": mcc}


def over_seeds(
    measure: Measure, gold: np.ndarray, predicted: np.ndarray, n_labels: int
) -> Estimate:
    """The mean of a measure over seeds, with its standard error over items and seeds.

    gold: (items,); predicted: (seeds, items). An item is left out of all seeds at once. With
    several seeds, their variance is added; it also holds part of that over items, so the sum errs
    on the side of caution. With one seed, nothing is known of other seeds, and the error is that
    over items alone. Degrees of freedom are Satterthwaite's.

    Source: Efron & Tibshirani 1993, An Introduction to the Bootstrap, equation 11.5.
    """
    n_seeds, n = predicted.shape
    cells = [confusion(gold, of_seed, n_labels) for of_seed in predicted]
    values = np.array([measure(of_seed) for of_seed in cells])
    mean = float(values.mean())
    if n < 2:
        return Estimate(mean, None, 0, n)
    of_items = _jackknife_variance(measure, cells, gold, predicted)
    of_seeds = float(values.var(ddof=1)) / n_seeds if n_seeds > 1 else 0.0
    variance = of_items + of_seeds
    df = float(n - 1)
    if of_seeds:
        df = variance**2 / (of_items**2 / (n - 1) + of_seeds**2 / (n_seeds - 1))
    return Estimate(mean, float(np.sqrt(variance)), df, n)


def _jackknife_variance(
    measure: Measure, cells: list[np.ndarray], gold: np.ndarray, predicted: np.ndarray
) -> float:
    """The variance of the mean over seeds, from leaving out one item at a time."""
    n = len(gold)
    kinds, counts = np.unique(np.vstack([gold, predicted]), axis=1, return_counts=True)
    without = np.empty(len(counts))
    for number, (label, *given) in enumerate(kinds.T):
        left_out = []
        for of_seed, column in zip(cells, given, strict=True):
            fewer = of_seed.copy()
            fewer[label, column] -= 1
            left_out.append(measure(fewer))
        without[number] = np.mean(left_out)
    centre = (without * counts).sum() / n
    return float((n - 1) / n * (counts * (without - centre) ** 2).sum())
