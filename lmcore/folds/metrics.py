"""From scores to the metrics that git tracks: scores tables go in; `MODEL.json` {suite: {metric: value}} and intervals come out.

- Decisions (`accuracy` and its variants, `length_baseline`, probabilities of a target) are means over groups of the groups' means
  (macro); `accuracy_micro` is the mean over items. Sums over a corpus (`bits_per_byte`, perplexities, `entropy` and `probability` of a
  token) are one ratio.
- `perplexity` is per token, but of a `completion` suite per target, as LAMBADA's is published; `word_perplexity` counts words,
  `byte_perplexity` bytes.
- Of a suite with classes: `confusion_TRUE_as_FOUND` counts cases, and precision, recall and F1 follow (see lmcore.folds.classification).
- `n_unknown` and `n_dropped_bytes`, where they are not 0: what the tokenizer does not say of the suite's texts (see lmcore.folds.fold).
- The draws of a random model are averaged within each item first. Items that begin alike share its random numbers, so its interval is
  no narrower than what the draws' group means say.
- Of a masked LM `pseudo_perplexity`, `pseudo_bits_per_byte` and so on, which compare with those of other masked LMs alone.
- `convention` names how the suite was scored, and what it overrides.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lmcore.files import rounded, whole, write_json
from lmcore.folds.fold import PSEUDO, refuse_orphans
from lmcore.params.ranges import Digits, OpenShare
from lmcore.statistics.stats import Estimate, interval, macro, median_interval, ratio, wilson
from lmcore.suites.conventions import convention_of
from lmcore.suites.declare import classes_of, kind_of
from lmcore.tables import SCORES, read


def _same(value: float) -> float:
    return value


def _perplexity(logprob: float) -> float:
    return math.exp(-logprob)


# of the scores that are summed over the corpus: the names of the metrics and how they follow from the ratio
RATIOS: dict[str, dict[str, Callable[[float], float]]] = {
    "logprob": {"perplexity": _perplexity},
    "target_logprob": {"perplexity": _perplexity},
    "surprisal_per_byte": {"bits_per_byte": _same, "byte_perplexity": math.exp2},
    "surprisal_per_word": {"word_perplexity": math.exp2},
}
CORPUS_RATIOS = RATIOS | {"entropy": {"entropy": _same}, "probability": {"probability": _same}}
for _name, _metrics in RATIOS.items():
    CORPUS_RATIOS[PSEUDO + _name] = {PSEUDO + metric: change for metric, change in _metrics.items()}
COUNTS = {
    "tie": "n_ties",
    "windowed": "n_windowed",
    "unknown": "n_unknown",
    "dropped_bytes": "n_dropped_bytes",
}


def aggregate(
    models: list[str],
    suites: dict[str, dict],
    scores: Path,
    out: Path,
    intervals: Path,
    *,
    confidence: OpenShare,
    digits: Digits,
) -> None:
    """Write `out`/MODEL.json for every model, and `intervals`: {model: {suite: {metric: {low, high, se, n}}}}; numbers to `digits` digits.

    Raises InputError where a scores table is missing, or where `scores` holds a model or suite that is not asked for.
    """
    refuse_orphans(scores, models, suites)
    all_intervals: dict[str, dict] = {}
    with whole(out) as folder:
        for model in models:
            values: dict[str, dict] = {}
            for suite, entry in suites.items():
                table = read(scores / model / f"{suite}.parquet", SCORES)
                kind = kind_of(suite, entry)
                values[suite], found = suite_metrics(
                    table, confidence, classes_of(suite, entry, kind)
                )
                values[suite]["convention"] = convention_of(suite, entry or {})["name"]
                all_intervals.setdefault(model, {})[suite] = found
            write_json(rounded(values, digits), folder / f"{model}.json")
        write_json(rounded(all_intervals, digits), intervals)


def suite_metrics(
    scores: pa.Table, confidence: float, classes: Sequence[str] = ()
) -> tuple[dict, dict]:
    """{metric: value} of one scores table, and {metric: {low, high, se, n}} of those that have an interval; `classes` as in the suite."""
    by_metric = item_means(scores)
    values: dict = {"n_items": len(next(iter(by_metric.values()))["values"])}
    if (n_draws := len(pc.unique(scores["draw"]))) > 1:
        values["n_draws"] = n_draws
    intervals = {}

    def report(
        name: str,
        estimate: Estimate,
        change: Callable[[float], float],
        bounds: tuple[float, float] | None,
    ) -> None:
        values[name] = change(estimate.mean)
        if bounds is not None:
            low, high = sorted(map(change, bounds))
            intervals[name] = {"low": low, "high": high, "n": estimate.n}
            if change is _same and estimate.se is not None:
                intervals[name]["se"] = estimate.se

    for name, part in by_metric.items():
        if name in COUNTS:
            values[COUNTS[name]] = float(part["values"].sum())
        elif name.startswith("confusion_"):
            continue
        elif name == "rank":
            values["median_rank"] = float(np.median(part["values"]))
            low, high = median_interval(part["values"], confidence)
            intervals["median_rank"] = {"low": low, "high": high, "n": len(part["values"])}
        elif name in CORPUS_RATIOS:
            plain, pseudo = name.removeprefix(PSEUDO), PSEUDO if name.startswith(PSEUDO) else ""
            if plain != "logprob" or f"{pseudo}target_logprob" not in by_metric:
                estimate = ratio(part["values"], part["weights"])
                for metric, change in CORPUS_RATIOS[name].items():
                    is_of_text = f"{pseudo}surprisal_per_word" in by_metric
                    if (
                        not metric.endswith("byte_perplexity") or is_of_text
                    ):  # it is published of running text alone
                        report(metric, estimate, change, interval(estimate, confidence))
        else:
            estimate = widened(
                macro(part["values"], part["weights"], part["groups"]), scores, name, n_draws
            )
            report(
                name,
                estimate,
                _same,
                share_interval(part["values"], estimate, confidence, part["groups"]),
            )
            if name == "accuracy":
                estimate = ratio(part["values"], part["weights"])
                report(
                    "accuracy_micro",
                    estimate,
                    _same,
                    share_interval(part["values"], estimate, confidence),
                )
    if classes:
        from lmcore.folds.classification import (
            classification_metrics,
        )  # scikit-learn takes a second to import

        cells = {
            name: part["values"]
            for name, part in by_metric.items()
            if name.startswith("confusion_")
        }
        counts, estimates = classification_metrics(cells, list(classes))
        values |= counts
        for name, estimate in estimates.items():
            bounds = interval(estimate, confidence)
            report(name, estimate, _same, bounds and (max(0.0, bounds[0]), min(1.0, bounds[1])))
    return values, intervals


def item_means(scores: pa.Table) -> dict[str, dict[str, np.ndarray]]:
    """{metric: {values, weights, groups}}: one value an item, the mean of its draws; groups are integers in the order of their names."""
    means = scores.group_by(["metric", "group", "item"], use_threads=False).aggregate(
        [("value", "mean"), ("weight", "mean")]
    )
    names = sorted(pc.unique(means["group"]).to_pylist())
    groups = pc.index_in(means["group"], pa.array(names, pa.string())).to_numpy()
    metrics, values, weights = (
        means["metric"].to_numpy(),
        means["value_mean"].to_numpy(),
        means["weight_mean"].to_numpy(),
    )
    chosen = {name: metrics == name for name in sorted(set(metrics))}
    return {
        name: {"values": values[rows], "weights": weights[rows], "groups": groups[rows]}
        for name, rows in chosen.items()
    }


def widened(estimate: Estimate, scores: pa.Table, metric: str, n_draws: int) -> Estimate:
    """A macro mean with its standard error over draws, where that is greater than the one over items."""
    if n_draws == 1 or estimate.se is None:
        return estimate
    rows = scores.filter(pc.equal(scores["metric"], metric))
    means = rows.group_by(["group", "draw"], use_threads=False).aggregate([("value", "mean")])
    by_draw = (
        means.sort_by([("group", "ascending"), ("draw", "ascending")])["value_mean"]
        .to_numpy()
        .reshape(-1, n_draws)
    )
    over_draws = float(np.sqrt((by_draw.var(1, ddof=1) / n_draws).sum()) / len(by_draw))
    return estimate._replace(se=max(estimate.se, over_draws))


def share_interval(
    values: np.ndarray, estimate: Estimate, confidence: float, groups: np.ndarray | None = None
) -> tuple[float, float] | None:
    """The interval of a mean of numbers between 0 and 1: Wilson's for yes and no in one group, else Student's, cut at 0 and 1."""
    if (groups is None or not groups.any()) and np.isin(values, (0, 0.5, 1)).all():
        return wilson(values.sum(), len(values), confidence)
    bounds = interval(estimate, confidence)
    return bounds and (max(0.0, bounds[0]), min(1.0, bounds[1]))
