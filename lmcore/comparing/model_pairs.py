"""Model against model: the comparisons of every pair on every suite.

Scores tables go in. The comparisons and a table of them group by group come out.

A name stands for a model, for a recipe (several models that differ only in their training seed and
are compared as one) or for an average: the last checkpoints of a run, whose values are averaged
item by item and compared as those of one model. All comparisons are made at once, so their p values
are corrected for all of them. The p values of groups are corrected for the groups of one pair.
"""

import math
import sys
from collections.abc import Iterable, Iterator
from itertools import chain, combinations, pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypedDict

import pyarrow as pa
from pydantic import Field

from lmcore.comparing.comparison import (
    Comparison,
    Side,
    align,
    as_one,
    averaged,
    by_group,
    clustered,
    compare,
    groups_of_the_figure,
    judge,
    read_side,
    reader_of,
    same_bytes,
)
from lmcore.comparing.signal import signal_and_noise, with_verdicts
from lmcore.errors import InputError
from lmcore.files import rounded, whole, write_json
from lmcore.folds.fold import PSEUDO, refuse_orphans
from lmcore.folds.metrics import CORPUS_RATIOS
from lmcore.params.ranges import (
    Digits,
    Name,
    Names,
    NonNegative,
    OpenShare,
    Resamples,
    Seed,
    SomeNames,
)
from lmcore.params.schema import mapping
from lmcore.params.scored import models_of_suite
from lmcore.shown import for_terminal
from lmcore.statistics.seeds import spread
from lmcore.tables import write

NAMES = ("model", "against", "suite", "group", "metric", "verdict")
FLOATS = ("a", "b", "difference", "low", "high", "p", "p_corrected")
COUNTS = ("n_items", "n_better", "n_worse")
GROUPS = pa.schema(
    [(name, pa.string()) for name in NAMES]
    + [(name, pa.float64()) for name in FLOATS]
    + [(name, pa.int64()) for name in COUNTS]
)
RECIPES = "params.yaml: compare_models: recipes"
AVERAGE = "params.yaml: compare_models: average"
CLUSTERS = "params.yaml: compare_models: clusters"

Correction = Literal["holm", "fdr_bh"]


class Pair(TypedDict):
    """A model or recipe, and the one it is compared against."""

    model: Name
    against: Name


class _Comparable(NamedTuple):
    """Two sides that are aligned: what `model` and `against` scored on the same items."""

    model: str
    against: str
    metric: str
    a: Side  # of `against`
    b: Side  # of `model`


def compare_models(
    models: list[str],
    suites: dict[str, dict],
    scores: Path,
    summary: Path,
    out: Path,
    seeds: Path,
    signal: Path,
    *,
    pairs: Annotated[list[Annotated[dict, mapping(Pair)]], Field(min_length=1)] | None,
    against: Name | None,
    recipes: dict[Name, SomeNames] | None,
    average: dict[Name, SomeNames] | None,
    metrics: SomeNames,
    clusters: Names | None,
    margin: dict[Name, NonNegative] | None,
    confidence: OpenShare,
    interval: Literal["student", "percentile", "bca"],
    correction: Correction,
    group_correction: Correction,
    power: OpenShare,
    resamples: Resamples,
    seed: Seed,
    digits: Digits,
) -> None:
    """Compare every pair of models on every suite, from `scores`/MODEL/SUITE.parquet.

    Four files are written: `summary`, {MODEL_vs_AGAINST: {suite: comparison}};
    `out`/groups.parquet, a table GROUPS; `seeds`, {name: {suite: spread}} of recipes over their
    seeds, of averages over their checkpoints, and of random models over their draws; and `signal`,
    {suite: whether it can tell the models apart} (see lmcore.comparing.signal).

    A difference is the model's figure minus the figure of the one it is compared against. What
    these data cannot tell, such as the interval of a single item, is left out of the summary and
    infinite in the table. Bits per byte are compared on the items of which both tokenizers have
    tokens for every byte.

    Raises InputError for a name in `pairs`, `against`, `recipes`, `average` or `clusters` that is
    not there, and for a missing table.
    """
    refuse_orphans(scores, models, suites)
    recipes, average, margin = recipes or {}, average or {}, margin or {}
    known_names = dict.fromkeys([*models, *recipes, *average])
    names = subjects(models, recipes, average)
    chosen = chosen_pairs(names, known_names, pairs, against)
    settings: dict[str, Any] = {
        "confidence": confidence,
        "interval": interval,
        "resamples": resamples,
        "seed": seed,
    }
    comparisons: dict[tuple[str, str, str], Comparison] = {}
    groups: dict[tuple[str, str], dict[tuple[str, str], Comparison]] = {pair: {} for pair in chosen}
    spreads: dict[str, dict] = {}
    signals: dict[str, dict] = {}
    for suite, entry in suites.items():
        scored = models_of_suite(suite, entry, models)
        its_recipes, its_average = (_whole(entries, scored) for entries in (recipes, average))
        sides, metric_of = suite_sides(suite, scored, its_recipes, scores, metrics, its_average)
        runs = _runs(sides, its_average, suite)
        for name, side in runs.items():
            run_spread = _spread(side, metric_of[name], name in average)
            spreads.setdefault(name, {})[suite] = rounded(run_spread, digits)
        planned = {name: side for name, side in runs.items() if name in {**recipes, **average}}
        of_names = {name: sides[name] for name in names if name in sides}
        signals[suite] = _signal(of_names, planned, metric_of, confidence)
        there = [pair for pair in chosen if pair[0] in sides and pair[1] in sides]
        for model, other, metric, a, b in _comparable(suite, there, sides, metric_of, scores):
            for group, of_group in by_group(a, b, metric, **settings).items():
                groups[model, other][suite, group] = of_group
            if is_clustered(suite, metric, clusters or [], suites):
                a, b = clustered(a), clustered(b)
            comparisons[model, other, suite] = compare(a, b, metric, **settings)
    levels: dict[str, Any] = {"confidence": confidence, "power": power}
    judged = judge(list(comparisons.values()), correction=correction, margin=margin, **levels)
    rows = _group_rows(groups, group_correction, levels)
    with whole(out) as folder:
        write(pa.Table.from_pylist(rows, GROUPS), GROUPS, folder / "groups.parquet")
    summaries: dict[str, dict] = {}
    for (model, other, suite), comparison in zip(comparisons, judged):
        of_pair = summaries.setdefault(f"{model}_vs_{other}", {})
        of_pair[suite] = rounded(as_json(comparison), digits)
    for suite, values in signals.items():
        on_suite = [
            one
            for (model, other, on), one in zip(comparisons, judged)
            if on == suite and not _is_random(one, model, other, recipes)
        ]
        signals[suite] = rounded(with_verdicts(values, on_suite), digits)
    write_json(summaries, summary)
    write_json(spreads, seeds)
    write_json(signals, signal)


def _whole(entries: dict[str, list[str]], models: list[str]) -> dict[str, list[str]]:
    """The recipes or averages of which all models were scored on a suite."""
    return {name: members for name, members in entries.items() if set(members) <= set(models)}


def _is_random(comparison: Comparison, model: str, against: str, recipes: Iterable[str]) -> bool:
    """Whether one of the two is a random model: it has several draws and is no recipe."""
    counts = {model: comparison.n_seeds_b, against: comparison.n_seeds_a}
    return any(n > 1 and name not in recipes for name, n in counts.items())


def _runs(sides: dict[str, Side], average: dict[str, list[str]], suite: str) -> dict[str, Side]:
    """The sides with a row of values for each of several seeds, draws or checkpoints."""
    found = dict(sides)
    for name, members in average.items():
        found[name] = as_one([sides[member] for member in members], f"{name} on {suite}")
    return {name: side for name, side in found.items() if len(side.values) > 1}


def _spread(side: Side, metric: str, are_checkpoints: bool) -> dict[str, Any]:
    """How far the seeds, draws or checkpoints of one side lie apart on one suite."""
    values = spread(side.values, side.weights, groups_of_the_figure(side, metric))
    count = "n_checkpoints" if are_checkpoints else "n_seeds"
    return {"metric": metric, count: len(side.values), **values}


def _signal(
    sides: dict[str, Side],
    runs: dict[str, Side],
    metric_of: dict[str, str],
    confidence: float,
) -> dict[str, Any]:
    """Signal and noise on one suite, under the metric of the first of `sides`.

    `runs` are those of recipes and averages. What has several rows besides is a random model.
    """
    metric = metric_of[next(iter(sides))]
    counted = {}
    for name, side in sides.items():
        is_random = len(side.values) > 1 and name not in runs
        if metric_of[name] == metric and not is_random:
            counted[name] = side
    of_runs = {name: side for name, side in runs.items() if metric_of[name] == metric}
    return signal_and_noise(counted, of_runs, metric, confidence)


def _comparable(
    suite: str,
    chosen: list[tuple[str, str]],
    sides: dict[str, Side],
    metric_of: dict[str, str],
    scores: Path,
) -> Iterator[_Comparable]:
    """The pairs that can be compared on a suite, aligned.

    A causal LM and a masked LM are not compared; a line on stderr says so.
    """
    for model, other in chosen:
        metric = metric_of[model]
        if metric_of[other] != metric:
            names = for_terminal(f"{suite}: {model} has {metric}, {other} {metric_of[other]}")
            print(f"{names}: a causal and a masked LM; they are not compared", file=sys.stderr)
            continue
        what = f"{scores}: {other} and {model} on {suite}"
        a, b, _ = align(sides[other], sides[model], common=False, what=what)
        a, b = same_bytes(a, b, metric)
        yield _Comparable(model, other, metric, a, b)


def _group_rows(
    groups: dict[tuple[str, str], dict[tuple[str, str], Comparison]],
    correction: str,
    levels: dict[str, Any],
) -> list[dict]:
    """The rows of GROUPS: the groups of each pair are judged together, over all suites."""
    rows = []
    for (model, other), comparisons in groups.items():
        judged = judge(list(comparisons.values()), correction=correction, margin={}, **levels)
        for (suite, group), comparison in zip(comparisons, judged):
            names = {"model": model, "against": other, "suite": suite, "group": group}
            rows.append(names | _group_values(comparison))
    return rows


def subjects(
    models: list[str], recipes: dict[str, list[str]], average: dict[str, list[str]] | None = None
) -> dict[str, list[str]]:
    """What is compared by default, {name: its models}.

    The recipes come first, then the averages, then every model that belongs to none. Raises
    InputError if a recipe or average has the name of a model or of the other, or contains a model
    that is not there, belongs to another one, or stands there twice.
    """
    average = average or {}
    in_recipes, in_average = (
        list(chain.from_iterable(entries.values())) for entries in (recipes, average)
    )
    members = in_recipes + in_average
    for kind, entries, where in (("recipe", recipes, RECIPES), ("average", average, AVERAGE)):
        for name, entry in entries.items():
            if name in models:
                raise InputError(
                    f"{where}: '{name}' is the name of a model; give the {kind} another"
                )
            if kind == "average" and name in recipes:
                raise InputError(f"{where}: '{name}' is the name of a recipe, too")
            for model in entry:
                problem = "" if model in models else "is no model"
                if not problem and members.count(model) > 1:
                    is_in_both = model in in_recipes and model in in_average
                    problem = (
                        "is in a recipe and an average" if is_in_both else f"is in two {kind}s"
                    )
                if problem:
                    raise InputError(
                        f"{where}: {name}: '{model}' {problem}; models are {', '.join(models)}"
                    )
    alone = {model: [model] for model in models if model not in members}
    return recipes | average | alone


def chosen_pairs(
    default: Iterable[str],
    known: Iterable[str],
    pairs: list[dict[str, str]] | None,
    against: str | None,
) -> list[tuple[str, str]]:
    """The pairs (model, what it is compared against) that are compared, each of them once.

    These are `pairs`. If it is None, every `default` name is compared against `against`, and each
    against the one before it; or against all before it where `against` is `all`, unless a model is
    called so. Raises InputError for a name that is not `known`, and for a name that is compared
    against itself.
    """
    if pairs is not None:
        chosen = [(pair.get("model", ""), pair.get("against", "")) for pair in pairs]
    elif against == "all" and "all" not in known:
        chosen = [(following, name) for name, following in combinations(default, 2)]
    else:
        names = list(default)
        chosen = []
        if against is not None:
            chosen += [(name, against) for name in names if name != against]
        chosen += [(following, name) for name, following in pairwise(names)]
    for name in sorted(set(chain.from_iterable(chosen))):
        if name not in known:
            raise InputError(
                f"params.yaml: compare_models: there is no model or recipe '{name}';"
                f" there are {', '.join(known)}"
            )
    for model, other in chosen:
        if model == other:
            raise InputError(
                f"params.yaml: compare_models: pairs: '{model}' cannot be compared with itself"
            )
    first_of: dict[frozenset[str], tuple[str, str]] = {}
    for pair in chosen:
        first_of.setdefault(frozenset(pair), pair)
    return list(first_of.values())


def suite_sides(
    suite: str,
    models: list[str],
    recipes: dict[str, list[str]],
    scores: Path,
    metrics: list[str],
    average: dict[str, list[str]] | None = None,
) -> tuple[dict[str, Side], dict[str, str]]:
    """What every model, recipe and average scored on a suite, and under which metric.

    The metric is the first of `metrics` that this suite has; for a masked LM, it is the pseudo_
    metric of that name. Raises InputError for a recipe or average with models of both kinds.
    """
    average = average or {}
    known: dict[bytes, Side] = {}
    sides: dict[str, Side] = {}
    metric_of: dict[str, str] = {}
    for model in models:
        path = scores / model / f"{suite}.parquet"
        read_columns = reader_of(path, metrics)
        metric_of[model], sides[model] = read_side(read_columns, metrics, str(path), known)
        metrics = [metric_of[model].removeprefix(PSEUDO)]
    for name, members in (recipes | average).items():
        if len({metric_of[model] for model in members}) > 1:
            where = AVERAGE if name in average else RECIPES
            raise InputError(
                f"{where}: {name}: has causal and masked LMs; on {suite} they have other metrics"
            )
        side = as_one([sides[model] for model in members], f"{name} on {suite}")
        sides[name] = averaged(side) if name in average else side
        metric_of[name] = metric_of[members[0]]
    return sides, metric_of


def is_clustered(suite: str, metric: str, clusters: list[str], suites: Iterable[str]) -> bool:
    """Whether the groups of a suite are drawn as wholes.

    Raises InputError if `clusters` names a suite that is not there or is no running text.
    """
    for name in clusters:
        if name not in suites:
            raise InputError(f"{CLUSTERS}: there is no suite '{name}'")
    if suite in clusters and metric not in CORPUS_RATIOS:
        raise InputError(
            f"{CLUSTERS}: '{suite}' is no running text; the groups of its {metric} are fixed"
        )
    return suite in clusters


def as_json(comparison: Comparison) -> dict:
    """A comparison for JSON. What the data cannot tell is left out."""
    values = {name: value for name, value in comparison._asdict().items() if value is not None}
    return values | ({"claim": comparison.claim} if comparison.claim else {})


def _group_values(comparison: Comparison) -> dict:
    """A comparison's own columns of GROUPS; an unknown interval is infinite."""
    values = comparison._asdict()
    if comparison.low is None:
        values |= {"low": -math.inf, "high": math.inf}
    return {name: values[name] for name in GROUPS.names if name in values}
