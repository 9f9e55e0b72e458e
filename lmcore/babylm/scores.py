"""What a model's scores are under BabyLM's rule and under ours: one score for each task.

Scores, items, and classifiers' predictions go in; where a tie needs it, tokens. Scores are in per
cent. By the official rule, the chosen option of a tie is that of the tree of predictions. By ours,
a tie counts 1 / (options tied). Both are means over UIDs. Intervals are those of our rule, as the
stage aggregate makes them.

- A decision is taken from the scores table where that is exact: where nothing is tied, or where
  there are two options. Else it is made anew from the tokens.
- WUG tests and reading have no ties, so both rules give one number.
- GLUE by our rule is the mean accuracy of the seven tasks, over all seeds; by the official rule it
  is that of the seed that is handed in, with the F1 of some tasks in 2026.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lmcore.babylm.decisions import (
    check_draw,
    decided,
    drawn_place,
    read_texts,
    reads_alike,
)
from lmcore.babylm.evaluations import GLUE, READING, Evaluation, Part
from lmcore.babylm.glue import f1_of_one, read_classified
from lmcore.babylm.surprisals import OFFICIAL
from lmcore.babylm.tree import Project, items_with
from lmcore.comparing.comparison import Side, read_side, reader_of
from lmcore.errors import InputError
from lmcore.folds.metrics import mean_of, share_interval
from lmcore.folds.ties import settle
from lmcore.statistics.stats import Estimate, interval
from lmcore.tables import ITEMS, metrics_there, read

PER_CENT = 100.0
EYE_TRACKING, SELF_PACED = "reading_eye_tracking", "reading_self_paced"


class Score(NamedTuple):
    """One model's score on one task, in per cent."""

    official: float
    ours: float
    low: float | None  # of ours
    high: float | None
    n_items: int
    n_ties: int
    side: Side | None  # our rule's values by item, for paired tests; None where there are none
    subset: str = ""  # how the suite is called whose items are a part of the task's


class _Values(NamedTuple):
    """A task's items by our rule, and which are right by the official one."""

    side: Side
    is_right: np.ndarray  # (N,) float, of the draw that is exported
    n_ties: int


def task_score(
    project: Project, evaluation: Evaluation, part: Part, model: str, draw: int, confidence: float
) -> Score | None:
    """The score on a task of sentences, None where it was not scored."""
    suite = project.suite_of(part.task)
    if suite is None or not project.scores(model, suite).exists():
        return None
    subset = project.subset(suite)
    if part.is_graded:
        graded = metric_score(project.scores(model, suite), "spearman", PER_CENT, confidence)
        return graded._replace(subset=subset)
    values = _decided(project, evaluation, part, suite, model, draw)
    official = _mean(values.side, values.is_right[None])
    estimate = _mean(values.side, values.side.values)
    means, groups = values.side.values.mean(0), values.side.groups
    bounds = share_interval(means, estimate, confidence, groups)
    score = _score(official.mean, estimate, bounds, values.side, values.n_ties)
    return score._replace(subset=subset)


def metric_score(path: Path, metric: str, scale: float, confidence: float) -> Score:
    """The score that is the mean of a metric, times `scale`; both rules give the same."""
    side = side_of(path, metric)
    estimate = _mean(side, side.values)
    bounds = interval(estimate, confidence)
    return _score(estimate.mean, estimate, bounds, side, 0, scale)


def reading_scores(project: Project, model: str, confidence: float) -> dict[str, Score]:
    """{EYE_TRACKING, SELF_PACED: score}, empty where the suite was not scored or has no times."""
    suite = project.suite_of(READING)
    if suite is None or not project.scores(model, suite).exists():
        return {}
    path = project.scores(model, suite)
    there = metrics_there(path)
    metrics = {EYE_TRACKING: OFFICIAL["rt"], SELF_PACED: OFFICIAL["spr"]}
    subset = project.subset(suite)
    return {
        key: metric_score(path, metric, 1.0, confidence)._replace(subset=subset)
        for key, metric in metrics.items()
        if metric in there
    }


def glue_score(
    project: Project, evaluation: Evaluation, model: str, confidence: float
) -> Score | None:
    """The mean over the seven tasks, None unless all of them are there."""
    paths = {task: classified_path(project, model, task) for task in GLUE}
    if not all(path.exists() for path in paths.values()):
        return None
    official, sides = [], []
    for number, (task, path) in enumerate(paths.items()):
        classified = read_classified(path)
        right = classified.submitted == classified.gold
        is_f1 = task in evaluation.f1_tasks
        of_task = f1_of_one(classified.submitted, classified.gold) if is_f1 else right.mean()
        official.append(float(of_task))
        n = len(classified.ids)
        hashes = np.arange(n, dtype=np.uint64) * np.uint64(64) + classified.gold.astype(np.uint64)
        sides.append(
            Side(
                items=pa.array([f"{task}_{line}" for line in range(n)]),
                hashes=hashes + (np.uint64(number) << np.uint64(56)),
                groups=np.full(n, number),
                names=list(GLUE),
                values=classified.is_right.mean(0, keepdims=True),
                weights=np.ones(n),
            )
        )
    side = _joined(sides)
    estimate = _mean(side, side.values)
    bounds = share_interval(side.values[0], estimate, confidence, side.groups)
    return _score(float(np.mean(official)), estimate, bounds, side, 0)


def classified_path(project: Project, model: str, task: str) -> Path:
    return project.data / "classified" / model / task / "predictions.parquet"


def side_of(path: Path, metric: str) -> Side:
    """What a scores table has under a metric. Raises InputError where it lacks the metric."""
    return read_side(reader_of(path, [metric]), [metric], str(path), {})[1]


def _joined(sides: list[Side]) -> Side:
    """The items of several sides with the same names of groups, one after the other."""
    return Side(
        items=pa.concat_arrays([side.items for side in sides]),
        hashes=np.concatenate([side.hashes for side in sides]),
        groups=np.concatenate([side.groups for side in sides]),
        names=sides[0].names,
        values=np.concatenate([side.values for side in sides], axis=1),
        weights=np.concatenate([side.weights for side in sides]),
    )


def _mean(side: Side, values: np.ndarray) -> Estimate:
    """The macro mean of values (draws, N) of a side's items."""
    columns = {
        "values": values.mean(0),
        "weights": side.weights,
        "groups": np.unique(side.groups, return_inverse=True)[1],
    }
    if side.clusters is not None:
        columns["clusters"] = side.clusters
    return mean_of(columns)


def _score(
    official: float,
    estimate: Estimate,
    bounds: tuple[float, float] | None,
    side: Side,
    n_ties: int,
    scale: float = PER_CENT,
) -> Score:
    low, high = bounds or (None, None)
    return Score(
        official=scale * official,
        ours=scale * estimate.mean,
        low=None if low is None else scale * low,
        high=None if high is None else scale * high,
        n_items=estimate.n,
        n_ties=n_ties,
        side=side,
    )


def _decided(
    project: Project, evaluation: Evaluation, part: Part, suite: str, model: str, draw: int
) -> _Values:
    """The decisions of a suite, without the items that the task leaves out.

    Raises InputError where there is no such draw, and for scores of other items.
    """
    scores = project.scores(model, suite)
    accuracy, tie = side_of(scores, "accuracy"), side_of(scores, "tie")
    check_draw(draw, len(accuracy.values), scores)
    items = read(project.items(suite), ITEMS)
    _check_same_items(items, accuracy, scores)
    is_exact = not tie.values.any() or _is_of_two_options(items)
    if is_exact:
        ours = _with_halves(accuracy.values, tie.values > 0)
        is_right = _right_of_two(items, accuracy, tie.values[draw] > 0, ours[draw], evaluation)
    else:
        ours, is_right = _from_tokens(
            project.items(suite), project.tokens(model, suite), draw, evaluation
        )
    kept = _kept(accuracy, items_with(items, part.without))
    side = accuracy._replace(
        items=accuracy.items.take(pa.array(kept)),
        hashes=accuracy.hashes[kept],
        groups=accuracy.groups[kept],
        values=ours[:, kept],
        weights=accuracy.weights[kept],
        clusters=None if accuracy.clusters is None else accuracy.clusters[kept],
    )
    return _Values(side, is_right[kept], int((tie.values[draw, kept] > 0).sum()))


def _check_same_items(items: pa.Table, side: Side, source: Path) -> None:
    """Raises InputError unless the items are those of the scores table `source`, in its order."""
    is_first = (items["option"].to_numpy() == 0) & pc.equal(items["variant"], "").to_numpy()
    if not np.array_equal(items["content_hash"].to_numpy()[is_first], side.hashes):
        raise InputError(f"{source}: not the scores of the items that were built; run fold_scores")


def _kept(side: Side, left_out: set[str]) -> np.ndarray:
    """The numbers of the items that are not left out."""
    if not left_out:
        return np.arange(len(side.items))
    return np.flatnonzero([item not in left_out for item in side.items.to_pylist()])


def _is_of_two_options(items: pa.Table) -> bool:
    """Whether every item has two options of which the first is right."""
    options = items["option"].to_numpy()
    return int(options.max()) == 1 and bool(((options == 0) == items["gold"].to_numpy()).all())


def _with_halves(accuracy: np.ndarray, tied: np.ndarray) -> np.ndarray:
    """Our rule's values of items with two options, whatever the suite's own rule of ties is."""
    return np.where(tied, 0.5, accuracy)


def _right_of_two(
    items: pa.Table, accuracy: Side, tied: np.ndarray, ours: np.ndarray, evaluation: Evaluation
) -> np.ndarray:
    """(N,): what the official rule counts, of items with two options, the first of them right."""
    place = drawn_place(accuracy.hashes, np.full(len(tied), 2), evaluation.tie_rule)
    is_right = np.where(tied, place == 0, ours == 1)
    # rows are by item and option
    wrong = np.flatnonzero(tied & ~is_right)
    is_right[wrong] = reads_alike(items, 2 * wrong, 2 * wrong + 1)
    return is_right.astype(float)


def _from_tokens(
    items: Path, tokens: Path, draw: int, evaluation: Evaluation
) -> tuple[np.ndarray, np.ndarray]:
    """Our rule's values (draws, items), and what the official one counts (items,)."""
    ours, official = [], []
    for texts in read_texts(items, tokens):
        ours.append(settle(texts.by_option(texts.logprob), texts.gold, "half")[0])
        official.append(decided(texts, draw, evaluation.tie_rule)[1].astype(float))
    return np.concatenate(ours, 1), np.concatenate(official)
