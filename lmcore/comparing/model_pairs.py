"""Model against model: the comparisons of every pair on every suite.

Scores tables go in. The comparisons and a table of them group by group come out.

A name stands for a model, or for a recipe: several models that differ only in their training seed
and are compared as one. All comparisons are made at once, so their p values are corrected for all
of them. The p values of groups are corrected for the groups of one pair.
"""

import math
import sys
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain, pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypedDict

import numpy as np
import pyarrow as pa
from pydantic import Field

from lmcore.comparing.comparison import (
    Comparison,
    Side,
    align,
    as_one,
    by_group,
    clustered,
    compare,
    judge,
    read_side,
    same_bytes,
)
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
from lmcore.shown import for_terminal
from lmcore.statistics.seeds import spread
from lmcore.tables import SCORES, read, write

NAMES = ("model", "against", "suite", "group", "metric", "verdict")
FLOATS = ("a", "b", "difference", "low", "high", "p", "p_corrected")
COUNTS = ("n_items", "n_better", "n_worse")
GROUPS = pa.schema(
    [(name, pa.string()) for name in NAMES]
    + [(name, pa.float64()) for name in FLOATS]
    + [(name, pa.int64()) for name in COUNTS]
)
RECIPES = "params.yaml: compare_models: recipes"
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
    *,
    pairs: Annotated[list[Annotated[dict, mapping(Pair)]], Field(min_length=1)] | None,
    against: Name | None,
    recipes: dict[Name, SomeNames] | None,
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

    Three files are written: `summary`, {MODEL_vs_AGAINST: {suite: comparison}};
    `out`/groups.parquet, a table GROUPS; and `seeds`, {name: {suite: spread}} of the recipes, and
    of random models over their draws.

    A difference is the model's figure minus the figure of the one it is compared against. What
    these data cannot tell, such as the interval of a single item, is left out of the summary and
    infinite in the table. Bits per byte are compared on the items of which both tokenizers have
    tokens for every byte.

    Raises InputError for a name in `pairs`, `against`, `recipes` or `clusters` that is not there,
    and for a missing table.
    """
    refuse_orphans(scores, models, suites)
    recipes, margin = recipes or {}, margin or {}
    known_names = dict.fromkeys([*models, *recipes])
    chosen = chosen_pairs(subjects(models, recipes), known_names, pairs, against)
    settings: dict[str, Any] = {
        "confidence": confidence,
        "interval": interval,
        "resamples": resamples,
        "seed": seed,
    }
    comparisons: dict[tuple[str, str, str], Comparison] = {}
    groups: dict[tuple[str, str], dict[tuple[str, str], Comparison]] = {pair: {} for pair in chosen}
    spreads: dict[str, dict] = {}
    for suite in suites:
        sides, metric_of = suite_sides(suite, models, recipes, scores, metrics)
        for name, side in sides.items():
            if len(side.values) > 1:
                seed_spread = _seed_spread(side, metric_of[name])
                spreads.setdefault(name, {})[suite] = rounded(seed_spread, digits)
        for model, other, metric, a, b in _comparable(suite, chosen, sides, metric_of, scores):
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
    write_json(summaries, summary)
    write_json(spreads, seeds)


def _seed_spread(side: Side, metric: str) -> dict[str, Any]:
    """How far the seeds of one side lie apart on one suite."""
    # Running text has one ratio over the whole corpus
    groups = np.zeros_like(side.groups) if metric in CORPUS_RATIOS else side.groups
    values = spread(side.values, side.weights, groups)
    return {"metric": metric, "n_seeds": len(side.values), **values}


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


def subjects(models: list[str], recipes: dict[str, list[str]]) -> dict[str, list[str]]:
    """What is compared by default, {name: its models}.

    The recipes come first, then every model that belongs to none. Raises InputError if a recipe has
    the name of a model, or contains a model that is not there or belongs to another recipe.
    """
    members = list(chain.from_iterable(recipes.values()))
    for name, recipe in recipes.items():
        if name in models:
            raise InputError(f"{RECIPES}: '{name}' is the name of a model; give the recipe another")
        for model in recipe:
            if model not in models or members.count(model) > 1:
                problem = "is in two recipes" if model in models else "is no model"
                raise InputError(
                    f"{RECIPES}: {name}: '{model}' {problem}; models are {', '.join(models)}"
                )
    return recipes | {model: [model] for model in models if model not in members}


def chosen_pairs(
    default: Iterable[str],
    known: Iterable[str],
    pairs: list[dict[str, str]] | None,
    against: str | None,
) -> list[tuple[str, str]]:
    """The pairs (model, what it is compared against) that are compared, each of them once.

    These are `pairs`. If it is None, every `default` name is compared against `against`, and each
    against the one before it. Raises InputError for a name that is not `known`, and for a name that
    is compared against itself.
    """
    if pairs is not None:
        chosen = [(pair.get("model", ""), pair.get("against", "")) for pair in pairs]
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
    suite: str, models: list[str], recipes: dict[str, list[str]], scores: Path, metrics: list[str]
) -> tuple[dict[str, Side], dict[str, str]]:
    """What every model and recipe scored on a suite, and under which metric.

    The metric is the first of `metrics` that this suite has; for a masked LM, it is the pseudo_
    metric of that name. Raises InputError for a recipe with models of both kinds.
    """
    known: dict[bytes, Side] = {}
    sides: dict[str, Side] = {}
    metric_of: dict[str, str] = {}
    for model in models:
        path = scores / model / f"{suite}.parquet"
        read_columns = partial(read, path, SCORES)
        metric_of[model], sides[model] = read_side(read_columns, metrics, str(path), known)
        metrics = [metric_of[model].removeprefix(PSEUDO)]
    for name, recipe in recipes.items():
        if len({metric_of[model] for model in recipe}) > 1:
            raise InputError(
                f"{RECIPES}: {name}: has causal and masked LMs; on {suite} they have other metrics"
            )
        sides[name] = as_one([sides[model] for model in recipe], f"{name} on {suite}")
        metric_of[name] = metric_of[recipe[0]]
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
