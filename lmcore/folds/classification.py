"""Suites as classification: precision, recall and F1 of choices or pairs whose options are classes.

Choices or pairs go in; a confusion matrix, and what follows from it, comes out.

- Of `choices` an item is one case. Its class is its gold option; the class found is the option with
  the greatest summed log-prob. Tied options share the case under `half`; under `win` the first of
  them has it, under `loss` the wrong ones.
- Of `pairs` each sentence is a case, acceptable or not. It is found acceptable where its mean
  log-prob per token reaches a threshold. The threshold is never chosen on the items that it judges:
  each half of the items gets the threshold that errs least on the other half.

A fold gives the cells of the confusion matrix item by item (`confusion_TRUE_as_FOUND`), so that
they add up; everything else follows from their sums. The mean log-prob as a measure of
acceptability is Lau, Clark & Lappin's MeanLP (2017, https://doi.org/10.1111/cogs.12414).
"""

import numpy as np
from sklearn.metrics import precision_recall_fscore_support

from lmcore.folds.by_text import TextStats
from lmcore.statistics.stats import Estimate


def confusion_cells(
    texts: TextStats, kind: str, classes: list[str], ties: str
) -> dict[str, np.ndarray]:
    """{`confusion_TRUE_as_FOUND`: how many cases of each item fall there, (draws, items)}."""
    # (draws, items, true classes, found classes)
    matrices = _acceptable(texts) if kind == "pairs" else _chosen(texts, ties)
    cells = {}
    for row, true in enumerate(classes):
        for column, found in enumerate(classes):
            cells[f"confusion_{true}_as_{found}"] = matrices[:, :, row, column]
    return cells


def classification_metrics(
    cells: dict[str, np.ndarray], classes: list[str], clusters: np.ndarray | None = None
) -> tuple[dict[str, float], dict[str, Estimate]]:
    """The cells' sums, and the estimates of precision, recall and F1.

    Estimates are {`precision_CLASS`, `recall_CLASS`, `f1_CLASS`, and of each measure the mean over
    classes as `MEASURE_macro`}. Each figure is a ratio of sums over items, whose standard error
    follows by linearisation. Where a class is never found its precision is 0; where it never
    occurs its recall is 0.

    cells: as of `confusion_cells`, each (items,); clusters: (items,) integers from 0, or None where
    every item is its own.
    """
    matrices = _matrices(cells, classes)
    true, found = np.indices((len(classes),) * 2).reshape(2, -1)
    shares = precision_recall_fscore_support(
        true, found, sample_weight=matrices.sum(0).ravel(), zero_division=0.0
    )[:3]
    # each (items, classes)
    n_right = np.diagonal(matrices, axis1=1, axis2=2)
    n_true, n_found = matrices.sum(2), matrices.sum(1)
    fractions = {
        "precision": (n_right, n_found),
        "recall": (n_right, n_true),
        "f1": (2 * n_right, n_true + n_found),
    }
    estimates = {}
    for (name, (numerator, denominator)), values in zip(fractions.items(), shares, strict=True):
        influence = (numerator - values * denominator) / np.maximum(denominator.sum(0), 1e-12)
        for number, label in enumerate(classes):
            of_class = influence[:, number]
            estimates[f"{name}_{label}"] = _estimate(float(values[number]), of_class, clusters)
        estimates[f"{name}_macro"] = _estimate(float(values.mean()), influence.mean(1), clusters)
    return {name: float(values.sum()) for name, values in cells.items()}, estimates


def _matrices(cells: dict[str, np.ndarray], classes: list[str]) -> np.ndarray:
    """(items, true classes, found classes) the cells of each item."""
    rows = []
    for true in classes:
        row = [cells[f"confusion_{true}_as_{found}"] for found in classes]
        rows.append(np.stack(row, -1))
    return np.stack(rows, -2)


def _estimate(value: float, influence: np.ndarray, clusters: np.ndarray | None) -> Estimate:
    """`value` with its standard error; influence: (items,) how much each item moves it."""
    n_items, n_clusters = len(influence), None
    if clusters is not None:
        influence = np.bincount(clusters, influence)
        n_clusters = len(influence)
    n = len(influence)
    se = float(np.sqrt(n / (n - 1) * (influence**2).sum())) if n > 1 else None
    return Estimate(value, se, n - 1, n_items, n_clusters=n_clusters)


def _chosen(texts: TextStats, ties: str) -> np.ndarray:
    """(draws, items, options, options): which option each item's case is found to be.

    The case stands in the row of the item's gold option.
    """
    logprob = texts.by_option(texts.logprob)
    best = logprob == logprob.max(-1, keepdims=True)
    is_gold = np.arange(logprob.shape[-1]) == texts.gold[:, None]  # (items, options)
    if ties == "win":
        best &= np.cumsum(best, -1) == 1
    elif ties == "loss":
        best &= ~(is_gold & (best.sum(-1, keepdims=True) > 1))
    return (best / best.sum(-1, keepdims=True))[:, :, None, :] * is_gold[None, :, :, None]


def _acceptable(texts: TextStats) -> np.ndarray:
    """(draws, items, 2, 2): whether each sentence reaches the threshold found on the other half.

    The bad sentence is row 0.
    """
    scores = texts.by_option(texts.logprob / texts.n_tokens)
    good, bad = scores[..., 0], scores[..., 1]
    cells = np.zeros((*good.shape, 2, 2))
    half_of_item = _halves(texts)
    for draw in range(len(good)):
        for half in (0, 1):
            is_judged, is_known = half_of_item == half, half_of_item != half
            threshold = best_threshold(good[draw, is_known], bad[draw, is_known])
            for row, values in enumerate((bad, good)):
                reaches = values[draw, is_judged] >= threshold
                cells[draw, is_judged, row] = np.stack([~reaches, reaches], -1)
    return cells


def _halves(texts: TextStats) -> np.ndarray:
    """(items,) 0 or 1: the half of each item, in turn by the order of their content hashes."""
    hashes = texts.table["content_hash"].to_numpy()[texts.rows[""][:, 0]]
    half_of_item = np.empty(len(hashes), int)
    half_of_item[np.argsort(hashes, kind="stable")] = np.arange(len(hashes)) % 2
    return half_of_item


def best_threshold(good: np.ndarray, bad: np.ndarray) -> float:
    """The threshold that errs least; of several the lowest. Without scores it is 0.

    An error is a `good` score below the threshold, or a `bad` one at or above it.
    """
    candidates = np.unique(np.concatenate([good, bad]))
    if not len(candidates):
        return 0.0
    n_good_below = np.searchsorted(np.sort(good), candidates)
    n_bad_below = np.searchsorted(np.sort(bad), candidates)
    errors = n_good_below + len(bad) - n_bad_below
    return float(candidates[errors.argmin()])
