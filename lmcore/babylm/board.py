"""The local leaderboard: the scores of one's models beside published baselines, as plain data.

Scores by task go in (see lmcore.babylm.scores). Rows in their order, and which models are tied,
come out, for lmcore.report.leaderboard and for the metrics.

- Two models of one's own are tied on a task if their paired difference over items, by our rule, is
  no evidence after the correction for all comparisons of the board. A published score is tied with
  a model if it lies inside the interval of the model's score: there are no items to pair. It is
  not compared with a score on a subset of the task.
- The overall mean is that of the official one without the tasks that lmcore does not score, and
  there is none for a model that lacks a task. Reading enters once, as the mean of its two scores,
  in 2026; in 2025 both enter.
"""

from collections.abc import Mapping
from itertools import combinations
from typing import Any, NamedTuple

from lmcore.babylm.baselines import Baseline
from lmcore.babylm.evaluations import AOA, Evaluation
from lmcore.babylm.scores import (
    EYE_TRACKING,
    SELF_PACED,
    Score,
    glue_score,
    reading_scores,
    task_score,
)
from lmcore.babylm.tree import Project
from lmcore.comparing.comparison import Comparison, align, compare, judge
from lmcore.comparing.settings import Settings

GLUE_KEY = "glue"
LABELS = {
    "blimp": "BLiMP",
    "blimp_supplement": "BLiMP supplement",
    "ewok": "EWoK",
    "ewok_contexts": "EWoK (contexts)",
    "entity_tracking": "entity tracking",
    "entity_tracking_filtered": "entity tracking (filtered)",
    "comps": "COMPS",
    "wug_adj": "WUG adjectives",
    "wug_past": "WUG past tense",
    GLUE_KEY: "GLUE",
    EYE_TRACKING: "reading, eye tracking",
    SELF_PACED: "reading, self-paced",
    AOA: "age of acquisition",
}
TIED = ("no evidence", "equal", "unchanged")


class Row(NamedTuple):
    """One model, or one baseline, whose scores are published numbers."""

    name: str
    source: str  # of a baseline; empty for a model of one's own
    scores: dict[str, Score]  # by rule
    means: tuple[float, float] | None  # overall, by the official rule and by ours
    tied: dict[str, list[str]]  # by rule: the models that it is tied with
    within: dict[str, list[str]]  # by rule: the baselines inside its interval


class Board(NamedTuple):
    columns: dict[str, str]  # {rule: label} of the year's tasks
    rows: list[Row]
    entering: list[str]  # the labels of what enters the overall mean
    not_scored: list[str]  # the official tasks that lmcore does not have


def columns_of(evaluation: Evaluation) -> dict[str, str]:
    """{rule: label} of the tasks of a year, in the order of the columns."""
    rules = [part.rule for part in evaluation.full]
    return {rule: LABELS[rule] for rule in (*rules, GLUE_KEY, EYE_TRACKING, SELF_PACED, AOA)}


def scores_of(
    project: Project,
    evaluation: Evaluation,
    model: str,
    draw: int,
    confidence: float,
    aoa: float | None,
    glue_subset: str = "",
) -> dict[str, Score]:
    """{rule: the model's score} of those tasks that were scored.

    aoa: from -1 to 1. glue_subset: how GLUE is called where some of its data are one's own.
    """
    scores: dict[str, Score] = {}
    for part in evaluation.full:
        score = task_score(project, evaluation, part, model, draw, confidence)
        if score is not None:
            scores[part.rule] = score
    if (glue := glue_score(project, evaluation, model, confidence)) is not None:
        scores[GLUE_KEY] = glue._replace(subset=glue_subset)
    scores |= reading_scores(project, model, confidence)
    if aoa is not None:
        scores[AOA] = Score(100 * aoa, 100 * aoa, None, None, 0, 0, None)
    return scores


def make_board(
    scores: Mapping[str, dict[str, Score]],
    published: list[Baseline],
    evaluation: Evaluation,
    settings: Settings,
) -> Board:
    """The board of {model: its scores by rule} and baselines; the settings are compare_models'."""
    columns = columns_of(evaluation)
    tied = _tied(scores, settings)
    rows = []
    for model, of_model in scores.items():
        of_pairs = {rule: tied.get((model, rule), []) for rule in of_model}
        within = {rule: _within(score, rule, published) for rule, score in of_model.items()}
        means = _means(of_model, columns, evaluation)
        rows.append(Row(model, "", of_model, means, of_pairs, within))
    for baseline in published:
        shown = {
            rule: Score(value, value, None, None, 0, 0, None)
            for rule, value in baseline.scores.items()
            if rule in columns
        }
        if shown:
            rows.append(Row(baseline.name, baseline.source, shown, None, {}, {}))
    labels = [columns[rule] for rule in columns]
    return Board(columns, sorted(rows, key=_order), labels, list(evaluation.not_scored))


def _order(row: Row) -> tuple[bool, float, float, str]:
    """Rows with an overall mean come first, the highest on top; then by BLiMP, and by name."""
    mean = row.means[0] if row.means else 0.0
    blimp = row.scores["blimp"].official if "blimp" in row.scores else 0.0
    return row.means is None, -mean, -blimp, row.name


def _means(
    scores: Mapping[str, Score], columns: Mapping[str, str], evaluation: Evaluation
) -> tuple[float, float] | None:
    """The overall means by both rules, None where a task is missing."""
    if any(rule not in scores for rule in columns):
        return None
    reading = (EYE_TRACKING, SELF_PACED)
    singles = [rule for rule in columns if rule not in reading or evaluation.year < 2026]
    means = []
    for name in ("official", "ours"):
        values = [getattr(scores[rule], name) for rule in singles]
        if evaluation.year >= 2026:
            values.append(sum(getattr(scores[rule], name) for rule in reading) / 2)
        means.append(sum(values) / len(values))
    return means[0], means[1]


def _within(score: Score, rule: str, published: list[Baseline]) -> list[str]:
    """The baselines whose score lies inside the interval of a model's score on the whole task."""
    if score.low is None or score.high is None or score.subset:
        return []
    return [
        baseline.name
        for baseline in published
        if rule in baseline.scores and score.low <= baseline.scores[rule] <= score.high
    ]


def _tied(
    scores: Mapping[str, dict[str, Score]], settings: Settings
) -> dict[tuple[str, str], list[str]]:
    """{(model, rule): the models that it is tied with}, of all pairs on all tasks, judged at once.

    Raises InputError where two models were not scored on the same items.
    """
    names, comparisons = [], []
    for one, other in combinations(scores, 2):
        for rule in scores[one]:
            if rule not in scores[other]:
                continue
            a, b = scores[one][rule].side, scores[other][rule].side
            if a is None or b is None:
                continue
            what = f"{one} and {other} on {LABELS[rule]}"
            a, b, _ = align(a, b, common=False, what=what)
            names.append((one, other, rule))
            comparisons.append(compare(a, b, "accuracy", **settings.for_compare()))
    judged: list[Comparison] = judge(
        comparisons,
        correction="holm",
        confidence=settings.confidence,
        power=settings.power,
        margin={},
    )
    tied: dict[tuple[str, str], list[str]] = {}
    for (one, other, rule), comparison in zip(names, judged):
        if comparison.verdict in TIED:
            tied.setdefault((one, rule), []).append(other)
            tied.setdefault((other, rule), []).append(one)
    return tied


def as_metrics(board: Board) -> dict[str, Any]:
    """{model: {"tasks": {rule: …}, "mean_official", "mean_ours"}} of one's own models."""
    found: dict[str, Any] = {}
    for row in sorted(board.rows, key=lambda row: row.name):
        if row.source:
            continue
        tasks = {rule: _numbers(row, rule) for rule in row.scores}
        found[row.name] = {"tasks": tasks}
        if row.means:
            found[row.name] |= {"mean_official": row.means[0], "mean_ours": row.means[1]}
    return found


def _numbers(row: Row, rule: str) -> dict[str, Any]:
    score = row.scores[rule]
    numbers: dict[str, Any] = {"official": score.official, "ours": score.ours}
    if score.low is not None and score.high is not None:
        numbers |= {"low": score.low, "high": score.high}
    if score.n_items:
        numbers |= {"n_items": score.n_items, "n_ties": score.n_ties}
    if row.tied.get(rule):
        numbers["tied_with"] = sorted(row.tied[rule])
    if score.subset:
        numbers["subset"] = score.subset
    return numbers
