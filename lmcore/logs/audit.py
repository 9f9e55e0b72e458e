"""How much of a score is not knowledge: an Evaluation with options goes in, an `Audit` comes out.

What is asked: how ties were counted, what the lengths of the options alone would score, whether the
first option is preferred, how many items cannot tell anything, and whether the standard error that
the tool printed is that of its figure.
"""

import math
from typing import NamedTuple

import numpy as np

from lmcore.folds.metrics import mean_of, share_interval
from lmcore.logs.evaluation import Evaluation, Item, Options, by_own_rule, counted
from lmcore.statistics.stats import Estimate

Columns = dict[str, np.ndarray]

CONFIDENCE = 0.95
LARGE_SHARE = 0.01  # of the items: from here on ties and identical options are worth a line
MANTISSA = 11  # bits of a float16; bfloat16 has fewer
SE_DIFFERS = 1.15  # the ratio of two standard errors from which on they are said to differ


class Audit(NamedTuple):
    """What a score is made of; shares are of items, and a figure is a macro mean over groups.

    `printed` and `printed_se` are the tool's own, None where the log has none. `first` counts a tie
    for the first option, as argmax does; `half` as guessing would; `lost` as wrong. `se` belongs to
    `half`, as [low, high] does. `shortest` is what choosing the shortest option would score, by
    `length` (tokens, or bytes where the log has no tokens). `n_deciding` are the items that are
    neither tied nor have identical options. `chosen_first` is the share of items of which the first
    option was chosen, and `right_first` of which it is right.
    """

    model: str
    task: str
    tool: str
    dtype: str | None
    n_items: int
    n_groups: int
    metric: str | None
    printed: float | None
    printed_se: float | None
    first: float
    half: float
    lost: float
    se: float | None
    low: float | None
    high: float | None
    n_ties: int
    n_nan: int
    n_identical: int
    n_deciding: int
    shortest: float
    length: str
    chosen_first: float
    right_first: float
    is_coarse: bool
    findings: list[str]


def audit(evaluation: Evaluation) -> Audit | None:
    """The audit of an evaluation, None where the log has no log-probs of options."""
    if not evaluation.has_options:
        return None
    items = evaluation.items
    options = [item.options for item in items if item.options]
    columns = _columns(items)
    groups = columns["groups"]
    estimate = _figure(options, "half", columns)
    values = np.array([by_own_rule(of_item)[0] for of_item in options])
    bounds = share_interval(values, estimate, CONFIDENCE, groups) or (None, None)
    metric = _metric(evaluation)
    printed = evaluation.printed.get(metric) if metric else None
    is_nan = np.array([any(map(math.isnan, of_item.logprobs)) for of_item in options])
    is_tied = np.array([by_own_rule(of_item)[1] for of_item in options])
    is_identical = np.array([len(set(of_item.texts)) < len(of_item.texts) for of_item in options])
    lengths, length = _lengths(options)
    found = Audit(
        model=evaluation.model,
        task=evaluation.task,
        tool=evaluation.tool,
        dtype=evaluation.dtype,
        n_items=len(items),
        n_groups=int(groups.max()) + 1,
        metric=metric,
        printed=printed.mean if printed else None,
        printed_se=printed.se if printed else None,
        first=_figure(options, "win", columns).mean,
        half=estimate.mean,
        lost=_figure(options, "loss", columns).mean,
        se=estimate.se,
        low=bounds[0],
        high=bounds[1],
        n_ties=int(is_tied.sum()),
        n_nan=int(is_nan.sum()),
        n_identical=int(is_identical.sum()),
        n_deciding=int((~is_tied & ~is_identical & ~is_nan).sum()),
        shortest=_figure(lengths, "half", columns).mean,
        length=length,
        chosen_first=float(np.mean([_chosen(of_item) == 0 for of_item in options])),
        right_first=float(np.mean([0 in of_item.gold for of_item in options])),
        is_coarse=_is_coarse(options),
        findings=[],
    )
    return found._replace(findings=_findings(found, evaluation))


def _figure(options: list[Options], ties: str, columns: Columns) -> Estimate:
    """The mean over groups of what the items count under a rule for ties."""
    values = np.array([counted(of_item, ties) for of_item in options])
    return mean_of(columns | {"values": values})


def _columns(items: list[Item]) -> Columns:
    """Weights, groups and, where items share any, clusters, as integers from 0; each (N,)."""
    columns = {
        "weights": np.ones(len(items)),
        "groups": np.unique([item.group for item in items], return_inverse=True)[1],
    }
    if any(item.cluster for item in items):
        clusters = [item.cluster or item.id for item in items]
        columns["clusters"] = np.unique(clusters, return_inverse=True)[1]
    return columns


def _chosen(options: Options) -> int:
    """The option that argmax takes."""
    return int(np.argmax(options.logprobs))


def _lengths(options: list[Options]) -> tuple[list[Options], str]:
    """The options with the negative length in place of the log-prob, and what was counted."""
    if all(of_item.n_tokens for of_item in options):
        counts = [of_item.n_tokens or [] for of_item in options]
        length = "tokens"
    else:
        counts = []
        for of_item in options:
            counts.append([len(text.encode("utf-8", "replace")) for text in of_item.texts])
        length = "bytes"
    negative = []
    for of_item, lengths in zip(options, counts):
        negative.append(of_item._replace(logprobs=[-float(number) for number in lengths]))
    return negative, length


def _is_coarse(options: list[Options]) -> bool:
    """Whether every log-prob is one of bfloat16's or float16's coarse numbers.

    The sum of several such numbers need not be one, so a no means nothing.
    """
    values = np.array([value for of_item in options for value in of_item.logprobs])
    values = values[np.isfinite(values) & (values != 0)]
    if not len(values):
        return False
    mantissas = np.frexp(values)[0]
    return bool((mantissas * 2**MANTISSA % 1 == 0).all())


def _metric(evaluation: Evaluation) -> str | None:
    """The tool's metric that is the share of items with the right option chosen."""
    for name in ("acc", "accuracy", "choice", "match", "em"):
        if name in evaluation.printed:
            return name
    return None


def _findings(found: Audit, evaluation: Evaluation) -> list[str]:
    """What a reader of the tool's figure should know, a line each."""
    lines = list(evaluation.notes)
    n = found.n_items
    if found.n_nan:
        lines.append(
            f"{found.n_nan:,} items have a log-prob that is NaN: argmax takes the first NaN,"
            " here they count as wrong"
        )
    if found.n_ties >= max(1, LARGE_SHARE * n):
        lines.append(
            f"{found.n_ties:,} of {n:,} items are tied: with ties for the first option the score is"
            f" {found.first:.3f}, as guessing counts {found.half:.3f}, as wrong {found.lost:.3f}"
        )
    if found.n_identical:
        lines.append(f"{found.n_identical:,} items have identical options: no model can tell them")
    if found.right_first > 0.95:
        lines.append("the right option is (almost) always the first: ties and NaN count as right")
    elif abs(found.chosen_first - found.right_first) > _noise(found):
        lines.append(
            f"the first option was chosen in {found.chosen_first:.1%} of items and is right in"
            f" {found.right_first:.1%}"
        )
    if (
        found.low is not None
        and found.high is not None
        and (found.low <= found.shortest <= found.high)
    ):
        lines.append(
            f"the score cannot be told from choosing the shortest option ({found.length}):"
            f" {found.shortest:.3f}"
        )
    return lines + _about_error(found) + _about_dtype(found)


def _noise(found: Audit) -> float:
    """Three standard errors of a share of the items."""
    return 3 * math.sqrt(0.25 / found.n_items)


def _about_error(found: Audit) -> list[str]:
    """Whether the printed standard error is that of the figure."""
    if not found.printed_se or not found.se:
        return []
    ratio = found.se / found.printed_se
    if 1 / SE_DIFFERS < ratio < SE_DIFFERS:
        return []
    of_what = "a mean over groups" if found.n_groups > 1 else "this mean"
    return [
        f"the printed standard error is {found.printed_se:.4f}; of {of_what} it is {found.se:.4f}"
    ]


def _about_dtype(found: Audit) -> list[str]:
    """Whether the model computed in numbers that are too coarse."""
    if found.is_coarse:
        return ["every log-prob is a number of 16 bits: they were rounded before they were summed"]
    if found.dtype and ("bfloat16" in found.dtype or "float16" in found.dtype):
        return [f"the model computed in {found.dtype.removeprefix('torch.')}, which makes ties"]
    return []
