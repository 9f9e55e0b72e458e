"""Suites as classification: choices or pairs whose options are classes go in, a confusion matrix with precision, recall and F1 comes out.

- Of `choices` an item is one case: its class is its gold option, the class found is the option with the greatest summed log-prob. Tied
  options share the case under `half`, the first has it under `win`, the wrong ones under `loss`.
- Of `pairs` each sentence is a case, acceptable or not; it is found acceptable where its mean log-prob a token reaches a threshold. The
  threshold is never chosen on the items that it judges: each half of the items gets the one that errs least on the other half.

A fold gives the cells of the confusion matrix item by item (`confusion_TRUE_as_FOUND`), so that they add up; everything else follows
from their sums. The mean log-prob as a measure of acceptability is Lau, Clark & Lappin's MeanLP (2017, https://doi.org/10.1111/cogs.12414).
"""

import numpy as np
from sklearn.metrics import precision_recall_fscore_support

from lmcore.folds.by_text import TextStats
from lmcore.statistics.stats import Estimate


def confusion_cells(
    texts: TextStats, kind: str, classes: list[str], ties: str
) -> dict[str, np.ndarray]:
    """{`confusion_TRUE_as_FOUND`: how many cases of each item fall there, (draws, items)}."""
    found = (
        _acceptable(texts) if kind == "pairs" else _chosen(texts, ties)
    )  # (draws, items, true classes, found classes)
    return {
        f"confusion_{true}_as_{name}": found[:, :, row, column]
        for row, true in enumerate(classes)
        for column, name in enumerate(classes)
    }


def classification_metrics(
    cells: dict[str, np.ndarray], classes: list[str]
) -> tuple[dict[str, float], dict[str, Estimate]]:
    """The cells' sums, and {`precision_CLASS`, `recall_…`, `f1_…`, and of each the mean over classes `_macro`: estimate}.

    cells: as of `confusion_cells`, (items,). Where a class is never found its precision is 0; where it never occurs, its recall.
    Each figure is a ratio of sums over items, whose standard error follows by linearisation.
    """
    matrix = np.stack(
        [
            np.stack([cells[f"confusion_{true}_as_{found}"] for found in classes], -1)
            for true in classes
        ],
        -2,
    )
    true, found = np.indices((len(classes),) * 2).reshape(2, -1)
    shares = precision_recall_fscore_support(
        true, found, sample_weight=matrix.sum(0).ravel(), zero_division=0.0
    )[:3]
    hits, of_true, of_found = (
        np.diagonal(matrix, axis1=1, axis2=2),
        matrix.sum(2),
        matrix.sum(1),
    )  # each (items, classes)
    parts = {
        "precision": (hits, of_found),
        "recall": (hits, of_true),
        "f1": (2 * hits, of_true + of_found),
    }
    estimates = {}
    for (name, (numerator, denominator)), values in zip(parts.items(), shares, strict=True):
        influence = (numerator - values * denominator) / np.maximum(denominator.sum(0), 1e-12)
        for label, value, column in [
            *zip(classes, values, influence.T),
            ("macro", values.mean(), influence.mean(1)),
        ]:
            estimates[f"{name}_{label}"] = _estimate(float(value), column)
    return {name: float(values.sum()) for name, values in cells.items()}, estimates


def _estimate(value: float, influence: np.ndarray) -> Estimate:
    n = len(influence)
    return Estimate(
        value, float(np.sqrt(n / (n - 1) * (influence**2).sum())) if n > 1 else None, n - 1, n
    )


def _chosen(texts: TextStats, ties: str) -> np.ndarray:
    """(draws, items, options, options): which option each item's case is found to be, in the row of its gold option."""
    logprob = texts.by_option(texts.logprob)
    best = logprob == logprob.max(-1, keepdims=True)
    is_gold = np.arange(logprob.shape[-1]) == texts.gold[:, None]  # (items, options)
    if ties == "win":
        best &= np.cumsum(best, -1) == 1
    elif ties == "loss":
        best &= ~(is_gold & (best.sum(-1, keepdims=True) > 1))
    return (best / best.sum(-1, keepdims=True))[:, :, None, :] * is_gold[None, :, :, None]


def _acceptable(texts: TextStats) -> np.ndarray:
    """(draws, items, 2, 2): whether each sentence reaches the threshold found on the other half; the bad sentence is row 0."""
    scores = texts.by_option(texts.logprob / texts.n_tokens)
    good, bad = scores[..., 0], scores[..., 1]
    cells = np.zeros((*good.shape, 2, 2))
    half = np.empty(good.shape[1], int)
    half[
        np.argsort(texts.table["content_hash"].to_numpy()[texts.rows[""][:, 0]], kind="stable")
    ] = np.arange(good.shape[1]) % 2
    for draw in range(len(good)):
        for side in (0, 1):
            judged, known = half == side, half != side
            threshold = best_threshold(good[draw, known], bad[draw, known])
            for row, values in enumerate((bad, good)):
                reaches = values[draw, judged] >= threshold
                cells[draw, judged, row] = np.stack([~reaches, reaches], -1)
    return cells


def best_threshold(good: np.ndarray, bad: np.ndarray) -> float:
    """The threshold that errs least: the fewest `good` below it and `bad` at or above it; of several the lowest. Without scores, 0."""
    candidates = np.unique(np.concatenate([good, bad]))
    if not len(candidates):
        return 0.0
    errors = (
        np.searchsorted(np.sort(good), candidates)
        + len(bad)
        - np.searchsorted(np.sort(bad), candidates)
    )
    return float(candidates[errors.argmin()])
