"""When a model acquires words: its surprisal at them, checkpoint by checkpoint.

Scores of the checkpoints of one training go in. For each word come out its curve and the point at
which it is acquired, and over all words the correlation with the ages at which children acquire
them.

- A word's surprisal at a checkpoint is the mean over its contexts, in nats: -log p summed over the
  tokens of the word.
- Chance is the surprisal of a uniform guess, ln V for each token of the word, where V is the size
  of the model's vocabulary; with several contexts, the mean over them.
- A sigmoid a / (1 + exp(-b (x - c))) + d is fitted to the negative surprisals by least squares over
  x = log10(words read + 1), within bounds. The word is acquired where the sigmoid crosses the
  middle between chance and the least surprisal that any checkpoint had.

A word that has no such point is counted by its outcome: `no_fit` (the fit did not converge),
`flat` (the sigmoid has no height or no slope), `already` (it is above the middle from the
beginning), `never` (it stays below), `outside` (it crosses before the first checkpoint or after the
last). The correlation is over the words that are `acquired` and have an age.

This is the rule by which the BabyLM evaluation of 2026 scores. Two things differ. It takes the
number of a word's tokens from a tokenisation of "The WORD", here they are the tokens that were
scored; and V is there the tokenizer's `vocab_size`, without added tokens. `curve_fitness` is its
score: Pearson's r, but 0 where p > 0.1 or there are fewer than three words. The evaluation of 2025
took log2(300,000) for chance, though its surprisals are in nats, the least surprisal of any single
context for the minimum, and fitted without bounds.

Source: Chang & Bergen 2022, https://doi.org/10.1162/tacl_a_00444, section 3.2; AoAEvaluator in
evaluation_pipeline/utils.py of babylm-org/babylm-eval (2026) and babylm/evaluation-pipeline-2025.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.optimize import least_squares
from scipy.special import expit
from scipy.stats import pearsonr

from lmcore.analysis.acquisition_ages import read_ages
from lmcore.analysis.checkpoints import Amounts, amounts_read
from lmcore.errors import InputError
from lmcore.files import rounded, write_json
from lmcore.folds.fold import PSEUDO
from lmcore.models.folder import read_config
from lmcore.params.ranges import Line, Name, SomeNames
from lmcore.statistics.rank_correlation import pearson_values, spearman_values
from lmcore.statistics.stats import interval, ratio
from lmcore.tables import SCORES, read, write

FEWEST = 4  # checkpoints; a sigmoid has four parameters
MOST_EVALUATIONS = 20_000  # of the sigmoid in one fit
LEAST = 1e-6  # of a sigmoid's height and slope
OUTCOMES = ("acquired", "no_fit", "flat", "already", "never", "outside")
ACQUISITION = pa.schema(
    {
        "word": pa.string(),
        "n_contexts": pa.int32(),
        "chance": pa.float64(),  # nats
        "middle": pa.float64(),  # nats, between chance and the least surprisal
        "outcome": pa.string(),  # of OUTCOMES
        "acquired_at": pa.float64(),  # log10(words or steps + 1); NaN unless acquired
        "age": pa.float64(),  # months, of children; NaN where it is not known
        "fit": pa.list_(pa.float64()),  # a, b, c, d; empty without a fit
        "surprisals": pa.list_(pa.float64()),  # nats, of each checkpoint
    }
)


class Point(NamedTuple):
    """Where a word is acquired: `at` is log10(amount + 1), NaN unless it is acquired."""

    outcome: str
    at: float
    fit: list[float]


def analyse_acquisition(
    kept: Mapping[str, Mapping],
    models: Path,
    scores: Path,
    trained: Path,
    out: Path,
    metrics: Path,
    confidence: float,
    digits: int,
    *,
    checkpoints: SomeNames,
    suite: Name,
    ages: Line | None = None,
) -> None:
    """Write the ACQUISITION table to `out` and its summary to the JSON file `metrics`.

    `checkpoints` are models in the order of their training: entries of `kept` (keep_checkpoint) or
    the trained model itself. `suite` is of kind completion, and its groups are the words. `ages` is
    a file that `read_ages` reads.

    Raises InputError for fewer than FEWEST checkpoints, for checkpoints out of order or of which it
    is not known how much they had read, and for scores that are missing or of other items.
    """
    amounts = _amounts(checkpoints, kept, trained)
    curves = _Curves(checkpoints, suite, models, scores)
    known = read_ages(Path(ages)) if ages is not None else {}
    rows = [_row(curves, number, amounts, known) for number in range(len(curves.words))]
    summary = _summary(checkpoints, amounts, curves, rows)
    if ages is not None:
        summary["children"] = _beside_children(rows, known, confidence)
    write(pa.Table.from_pylist(rows, ACQUISITION), ACQUISITION, out)
    write_json(rounded(summary, digits), metrics)


def acquisition_point(surprisals: np.ndarray, amounts: Sequence[int], chance: float) -> Point:
    """Where one word is acquired.

    surprisals: (C,) nats, of each checkpoint; amounts: (C,) what each had read; chance: nats.
    """
    x, y = np.log10(np.asarray(amounts, float) + 1), -np.asarray(surprisals, float)
    fit = _fit(x, y)
    if fit is None:
        return Point("no_fit", math.nan, [])
    a, b, c, d = fit
    middle = -_middle(chance, surprisals)
    if a <= LEAST or b <= LEAST:
        return Point("flat", math.nan, fit)
    if middle <= d:
        return Point("already", math.nan, fit)
    if middle >= a + d:
        return Point("never", math.nan, fit)
    at = c - math.log(a / (middle - d) - 1) / b
    if not x[0] <= at <= x[-1]:
        return Point("outside", math.nan, fit)
    return Point("acquired", at, fit)


def sigmoid(x: np.ndarray, a: float, b: float, c: float, d: float) -> np.ndarray:
    """a / (1 + exp(-b (x - c))) + d."""
    return a * expit(b * (x - c)) + d


def _fit(x: np.ndarray, y: np.ndarray) -> list[float] | None:
    """The sigmoid of least squares within the official bounds; None where it is not found."""
    height = float(y.max() - y.min())
    start = [height, 1.0, float(x.mean()), float(y.min())]
    low = [0.0, 0.0, x.min() - 1, y.min() - 2 * height - 1]
    high = [10 * height + 1, 100.0, x.max() + 1, y.max() + 1]
    found = least_squares(
        lambda p: sigmoid(x, *p) - y, start, bounds=(low, high), max_nfev=MOST_EVALUATIONS
    )
    return found.x.tolist() if found.success else None


def _middle(chance: float, surprisals: Sequence[float] | np.ndarray) -> float:
    """The surprisal halfway from chance to the least one."""
    return (chance + float(np.min(surprisals))) / 2


def _amounts(checkpoints: list[str], kept: Mapping[str, Mapping], trained: Path) -> Amounts:
    """What each checkpoint had read. Raises InputError as `analyse_acquisition`."""
    if len(checkpoints) < FEWEST:
        raise InputError(
            f"analyse_acquisition: {len(checkpoints)} checkpoints are too few for a sigmoid; "
            f"expected {FEWEST} or more"
        )
    amounts = amounts_read(checkpoints, kept, trained)
    if amounts is None:
        raise InputError(
            "analyse_acquisition: expected checkpoints of one training, all of keep_checkpoint by"
            " words or all by steps; the trained model itself may be the last"
        )
    for earlier, later, name in zip(amounts.values, amounts.values[1:], checkpoints[1:]):
        if earlier >= later:
            raise InputError(
                f"analyse_acquisition: the checkpoints must be in order; '{name}' had read "
                f"{later:,} {amounts.unit}, the one before it {earlier:,}"
            )
    return amounts


class _Curves:
    """The surprisals at all words: `surprisals` and `chances` are (C, words), in nats."""

    def __init__(self, checkpoints: list[str], suite: str, models: Path, scores: Path):
        """Raises InputError as `analyse_acquisition`."""
        surprisals, chances = [], []
        self.words: list[str] = []
        hashes: list[int] = []
        for name in checkpoints:
            path = scores / name / f"{suite}.parquet"
            table = read(path, SCORES)
            logprobs = _of_items(table, path, "target_logprob")
            n_tokens = _of_items(table, path, "logprob")["weight"]
            if hashes and logprobs["content_hash"].to_pylist() != hashes:
                raise InputError(
                    f"{path}: not the items of {checkpoints[0]}; run the pipeline again"
                )
            hashes = logprobs["content_hash"].to_pylist()
            self.words, places = _words(logprobs)
            chance = n_tokens.to_numpy() * math.log(read_config(models / name)["vocab_size"])
            surprisals.append(_means(-logprobs["value"].to_numpy(), places))
            chances.append(_means(chance, places))
        self.surprisals, self.chances = np.stack(surprisals), np.stack(chances)
        self.n_contexts = np.bincount(places)


def _of_items(table: pa.Table, path: Path, metric: str) -> pa.Table:
    """The rows of a score, one for each item, the mean over its draws; sorted by item.

    A masked LM's score has a name of its own. Raises InputError where there is none.
    """
    is_score = pc.is_in(table["metric"], pa.array([metric, PSEUDO + metric]))
    rows = table.filter(pc.and_(is_score, pc.equal(table["variant"], "")))
    if not len(rows):
        raise InputError(
            f"{path}: no score {metric}; expected the scores of a suite of kind completion"
        )
    keys = ["item", "group", "content_hash"]
    means = rows.group_by(keys).aggregate([("value", "mean"), ("weight", "mean")])
    return means.rename_columns([*keys, "value", "weight"]).sort_by("item")


def _words(rows: pa.Table) -> tuple[list[str], np.ndarray]:
    """The groups in order, and the place of each item's group among them."""
    words, places = np.unique(rows["group"].to_numpy(zero_copy_only=False), return_inverse=True)
    return words.tolist(), places


def _means(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The mean of the values of each place."""
    return np.bincount(places, values) / np.bincount(places)


def _row(curves: _Curves, number: int, amounts: Amounts, ages: Mapping[str, float]) -> dict:
    """The row of ACQUISITION of one word."""
    surprisals = curves.surprisals[:, number]
    chance = float(curves.chances[:, number].mean())  # the same at all checkpoints
    point = acquisition_point(surprisals, amounts.values, chance)
    word = curves.words[number]
    return {
        "word": word,
        "n_contexts": int(curves.n_contexts[number]),
        "chance": chance,
        "middle": _middle(chance, surprisals),
        "outcome": point.outcome,
        "acquired_at": point.at,
        "age": ages.get(word, math.nan),
        "fit": point.fit,
        "surprisals": surprisals.tolist(),
    }


def _summary(checkpoints: list[str], amounts: Amounts, curves: _Curves, rows: list[dict]) -> dict:
    """The numbers of words by outcome, and the mean surprisal of each checkpoint."""
    outcomes = Counter(row["outcome"] for row in rows)
    means = curves.surprisals.mean(1).tolist()
    by_checkpoint = {}
    for name, amount, surprisal in zip(checkpoints, amounts.values, means, strict=True):
        by_checkpoint[name] = {amounts.unit: amount, "surprisal": surprisal}
    return {
        "checkpoints": by_checkpoint,
        "outcomes": {outcome: outcomes[outcome] for outcome in OUTCOMES},
        "words": len(rows),
    }


def _beside_children(rows: list[dict], ages: Mapping[str, float], confidence: float) -> dict:
    """The correlation of the model's points with the children's ages."""
    both = [row for row in rows if row["outcome"] == "acquired" and not math.isnan(row["age"])]
    points = np.array([row["acquired_at"] for row in both])
    months = np.array([row["age"] for row in both])
    n_known = sum(not math.isnan(row["age"]) for row in rows)
    found: dict = {"words_with_age": n_known, "words": len(both)}
    return {**found, **correlation(points, months, confidence)}


def correlation(points: np.ndarray, months: np.ndarray, confidence: float) -> dict:
    """Pearson's and Spearman's correlation with their intervals, and the official score.

    Without three words, or where all numbers of a side are equal, the official score alone: 0.
    """
    if len(points) < 3 or not points.std() or not months.std():
        return {"curve_fitness": 0.0}
    r, p = (float(value) for value in pearsonr(points, months))
    found = {"curve_fitness": r if p <= 0.1 else 0.0, "pearson_p": p}
    for name, of_items in (("pearson", pearson_values), ("spearman", spearman_values)):
        values = of_items(points, months)
        estimate = ratio(values, np.ones(len(values)))
        low, high = interval(estimate, confidence) or (-1.0, 1.0)
        bounds = {f"{name}_low": max(-1.0, low), f"{name}_high": min(1.0, high)}
        found |= {name: estimate.mean, **bounds}
    return found
