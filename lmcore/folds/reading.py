"""How well a model's surprisals explain how long people read words.

The words of a suite of kind reading, their surprisals and their numbers (lmcore.suites.readings) go
in; metrics come out, of which each is a mean over words. Words with a gap in a regression's columns
have the weight 0 there.

- `surprisal` and `previous_surprisal`, in nats, of the word and of the word before it.
- BabyLM's scores, in per cent (see lmcore.statistics.regression.share_explained). A score per
  measure of eye tracking: what surprisal adds to frequency, length, position and their products.
  `eye_tracking` is the mean of the four. `self_paced` is the same of self-paced reading, where the
  length and surprisal of the previous word are in the baseline, too, with all products.
- `gain_MEASURE`: the gain in log-likelihood of held-out words, in nats per word, from the surprisal
  of the word and of the previous one. Frequency and length of both words, and position, are in the
  baseline. Words are held out by sentence, in N_FOLDS folds that are the same for all models.
  `gain` is the mean over all measures. There is none with fewer than LEAST such words. Where the
  suite has word-beginning masses (`bow`), surprisals are corrected for the boundaries of words
  (lmcore.analysis.word_units has the source).

Why both: the official scores are made on the words that they are fitted to, their surprisals come
from context and word tokenised apart, and for eye tracking they do not look at the previous word,
whose difficulty spills over. Set `tokenisation: joint` and `scoring: {bow: true}` for gains from
sound surprisals.

Source: evaluation_pipeline/reading/run.py and calculate_results_from_pred.py of
babylm/evaluation-pipeline-2025.
"""

from pathlib import Path

import numpy as np

from lmcore.errors import InputError
from lmcore.folds.by_text import BOW, TextStats
from lmcore.statistics.regression import (
    folds_of,
    held_out_gain,
    share_explained,
    with_products,
)
from lmcore.suites.readings import COLUMNS, EYE_TRACKING, MEASURES, SELF_PACED
from lmcore.tables import CLUSTER

N_FOLDS, SEED = 10, 0
LEAST = 100  # words in a regression; the greatest one has 17 columns
OFFICIAL = ("frequency", "length", "context_length")
READING = (  # the metrics' names
    "surprisal",
    "previous_surprisal",
    "eye_tracking",
    *MEASURES,
    "gain",
    *(f"gain_{measure}" for measure in MEASURES),
)
Metrics = dict[str, tuple[np.ndarray, np.ndarray]]


def reading_metrics(texts: TextStats, readings: dict[str, list], source: str | Path) -> Metrics:
    """{metric: value and weight}, each (draws, words); readings: by item, in the order of COLUMNS.

    Raises InputError, naming `source`, where too few words have no gap.
    """
    items = texts.table["item"].take(texts.rows[""][:, 0]).to_pylist()
    table = np.array([readings[item] for item in items], float)
    numbers = {column: table[:, i] for i, column in enumerate(COLUMNS)}
    has_previous = np.isfinite(numbers["previous_length"])
    surprisal = -texts.by_option(texts.logprob)  # (draws, words, 2)
    ones = np.ones(surprisal.shape[:2])
    metrics = {
        "surprisal": (surprisal[..., 0], ones),
        "previous_surprisal": (surprisal[..., 1], ones * has_previous),
    }
    metrics |= _scores(numbers, surprisal, source)
    return metrics | _gains(numbers, _corrected(texts, surprisal), _clusters(texts))


def _scores(numbers: dict[str, np.ndarray], surprisal: np.ndarray, source: str | Path) -> Metrics:
    """The official scores."""
    metrics = {}
    for measure in MEASURES:
        columns = OFFICIAL if measure in EYE_TRACKING else (*OFFICIAL, "previous_length")
        rows = _complete(numbers, (measure, *columns))
        if rows.sum() < LEAST:
            raise InputError(
                f"{source}: {rows.sum()} words have {measure} and {', '.join(columns)}; a suite of"
                f" kind reading needs at least {LEAST} for its regressions"
            )
        values = np.zeros(surprisal.shape[:2])
        for draw, of_draw in enumerate(surprisal):
            known = np.column_stack([numbers[column][rows] for column in columns])
            if measure == SELF_PACED:
                known = np.column_stack([known, of_draw[rows, 1]])
            values[draw, rows] = share_explained(
                numbers[measure][rows], with_products(known), of_draw[rows, :1]
            )
        metrics[measure] = (values, np.ones_like(values) * rows)
    return metrics | {"eye_tracking": _mean_of(metrics, EYE_TRACKING)}


def _gains(numbers: dict[str, np.ndarray], surprisal: np.ndarray, clusters: np.ndarray) -> Metrics:
    """The gains in held-out log-likelihood; none where too few words have all numbers."""
    metrics = {}
    folds = folds_of(clusters, N_FOLDS, SEED)
    for measure in MEASURES:
        columns = (*OFFICIAL, "previous_frequency", "previous_length")
        rows = _complete(numbers, (measure, *columns))
        if rows.sum() < LEAST:
            return {}
        baseline = _spillover({column: numbers[column][rows] for column in columns})
        values = np.zeros(surprisal.shape[:2])
        for draw, of_draw in enumerate(surprisal):
            values[draw, rows] = held_out_gain(
                numbers[measure][rows], baseline, of_draw[rows], folds[rows]
            )
        metrics[f"gain_{measure}"] = (values, np.ones_like(values) * rows)
    return metrics | {"gain": _mean_of(metrics, tuple(metrics))}


def _spillover(numbers: dict[str, np.ndarray]) -> np.ndarray:
    """(N, 8): 1, position, and of both words frequency, length and their product."""
    word = with_products(np.column_stack([numbers["frequency"], numbers["length"]]))
    previous = np.column_stack([numbers["previous_frequency"], numbers["previous_length"]])
    return np.column_stack([word, with_products(previous)[:, 1:], numbers["context_length"]])


def _mean_of(metrics: Metrics, names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The metric whose mean is the mean of those of `names`, over the words that any of them has.

    A word counts by its weight relative to the mean weight, since the measures may have gaps in
    different words.
    """
    weight = (np.sum([metrics[name][1] for name in names], 0) > 0).astype(float)
    parts = []
    for name in names:
        values, weights = metrics[name]
        scale = weight.sum(1, keepdims=True) / weights.sum(1, keepdims=True)
        parts.append(values * weights * scale)
    return np.mean(parts, 0), weight


def _complete(numbers: dict[str, np.ndarray], columns: tuple[str, ...]) -> np.ndarray:
    """(words,) bool: the words without a gap in these columns."""
    return np.all([np.isfinite(numbers[column]) for column in columns], 0)


def _corrected(texts: TextStats, surprisal: np.ndarray) -> np.ndarray:
    """(draws, words, 2) with the correction for word boundaries, where the tokens have the masses.

    A context stands before every word, so that both masses are known.
    """
    if not all(name in texts.tokens for name in BOW):
        return surprisal
    before, after = (texts.tokens[name].astype(np.float64) for name in BOW)
    change = before[texts.first_target] - after[texts.ends - 1]
    return surprisal + texts.by_option(change.reshape(texts.shape))


def _clusters(texts: TextStats) -> np.ndarray:
    """(words,) the sentence of each word, as integers from 0."""
    column = texts.table[CLUSTER if CLUSTER in texts.table.column_names else "item"]
    names = column.take(texts.rows[""][:, 0]).to_numpy()
    return np.unique(names, return_inverse=True)[1]
