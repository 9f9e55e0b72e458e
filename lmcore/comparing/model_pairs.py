"""Model against model: scores tables go in, comparisons of every pair on every suite come out, and a table of them group by group.

A name stands for a model, or for a recipe: several models that differ in their training seed alone, compared as one. All comparisons are
made at once, so their p values are corrected for all; those of groups for the groups of one pair.
"""

import math
import sys
from collections.abc import Iterable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

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
    [(n, pa.string()) for n in NAMES]
    + [(n, pa.float64()) for n in FLOATS]
    + [(n, pa.int64()) for n in COUNTS]
)


Correction = Literal["holm", "fdr_bh"]


class Pair(TypedDict):
    """A model, or recipe, and what it stands against."""

    model: Name
    against: Name


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
    """Write `summary`, {MODEL_vs_AGAINST: {suite: comparison}}, and `out`/groups.parquet (GROUPS), from `scores`/MODEL/SUITE.parquet.

    A difference is that of the model less the one it stands against. What cannot be said, as the
    interval of a single item, is left out of the summary and infinite in the table. Bits a byte are
    compared on the items that both tokenizers say whole. To `seeds` goes {name: {suite: spread}} of
    the recipes, and of random models over their draws. Raises InputError for a name in `pairs`,
    `against`, `recipes` or `clusters` that is not there, and for a missing table.
    """
    refuse_orphans(scores, models, suites)
    recipes, margin = recipes or {}, margin or {}
    settings: dict[str, Any] = {
        "confidence": confidence,
        "interval": interval,
        "resamples": resamples,
        "seed": seed,
    }
    chosen = chosen_pairs(
        subjects(models, recipes),
        {**{model: [model] for model in models}, **recipes},
        pairs,
        against,
    )
    found: dict[tuple[str, str, str], Comparison] = {}
    spreads: dict[str, dict] = {}
    groups: dict[tuple[str, str], dict[tuple[str, str], Comparison]] = {pair: {} for pair in chosen}
    for suite in suites:
        sides, metric_of = suite_sides(suite, models, recipes, scores, metrics)
        for name, side in sides.items():
            metric = metric_of[name]
            if len(side.values) > 1:
                over = (
                    np.zeros_like(side.groups) if metric in CORPUS_RATIOS else side.groups
                )  # of running text one ratio over all
                of_suite = {
                    "metric": metric,
                    "n_seeds": len(side.values),
                    **spread(side.values, side.weights, over),
                }
                spreads.setdefault(name, {})[suite] = rounded(of_suite, digits)
        for model, other in chosen:
            metric = metric_of[model]
            if metric_of[other] != metric:
                names = for_terminal(f"{suite}: {model} has {metric}, {other} {metric_of[other]}")
                print(f"{names}: a causal and a masked LM; they are not compared", file=sys.stderr)
                continue
            a, b, _ = align(
                sides[other],
                sides[model],
                common=False,
                what=f"{scores}: {other} and {model} on {suite}",
            )
            a, b = same_bytes(a, b, metric)
            for group, part in by_group(a, b, metric, **settings).items():
                groups[model, other][suite, group] = part
            if is_clustered(suite, metric, clusters or [], suites):
                a, b = clustered(a), clustered(b)
            found[model, other, suite] = compare(a, b, metric, **settings)
    judged = judge(
        list(found.values()),
        correction=correction,
        confidence=confidence,
        power=power,
        margin=margin,
    )
    rows = []
    for (model, other), parts in groups.items():
        of_pair = judge(
            list(parts.values()),
            correction=group_correction,
            confidence=confidence,
            power=power,
            margin={},
        )
        for (suite, group), part in zip(parts, of_pair):
            rows.append(
                {
                    "model": model,
                    "against": other,
                    "suite": suite,
                    "group": group,
                    **_group_row(part),
                }
            )
    with whole(out) as folder:
        write(pa.Table.from_pylist(rows, GROUPS), GROUPS, folder / "groups.parquet")
    summaries: dict[str, dict] = {}
    for (model, other, suite), comparison in zip(found, judged):
        summaries.setdefault(f"{model}_vs_{other}", {})[suite] = rounded(
            as_json(comparison), digits
        )
    write_json(summaries, summary)
    write_json(spreads, seeds)


def subjects(models: list[str], recipes: dict[str, list[str]]) -> dict[str, list[str]]:
    """What is compared by default: {name: its models}, the recipes first, then every model that belongs to none.

    Raises InputError where a recipe is called like a model, or holds one that is not there or belongs to another.
    """
    members = [model for recipe in recipes.values() for model in recipe]
    for name, recipe in recipes.items():
        if name in models:
            raise InputError(
                f"params.yaml: compare_models: recipes: '{name}' is the name of a model; give the recipe another"
            )
        for model in recipe:
            if model not in models or members.count(model) > 1:
                problem = "is in two recipes" if model in models else "is no model"
                raise InputError(
                    f"params.yaml: compare_models: recipes: {name}: '{model}' {problem}; models are {', '.join(models)}"
                )
    return recipes | {model: [model] for model in models if model not in members}


def chosen_pairs(
    default: Iterable[str],
    known: Iterable[str],
    pairs: list[dict[str, str]] | None,
    against: str | None,
) -> list[tuple[str, str]]:
    """(model, what it stands against): `pairs`; else every `default` name against `against`, and each against the one before it."""
    names = list(default)
    if pairs is None:
        chosen = [(name, against) for name in names if against is not None and name != against] + [
            (b, a) for a, b in pairwise(names)
        ]
    else:
        chosen = [(pair.get("model", ""), pair.get("against", "")) for pair in pairs]
    for name in sorted({name for pair in chosen for name in pair}):
        if name not in known:
            raise InputError(
                f"params.yaml: compare_models: there is no model or recipe '{name}'; there are {', '.join(known)}"
            )
    if same := [a for a, b in chosen if a == b]:
        raise InputError(
            f"params.yaml: compare_models: pairs: '{same[0]}' cannot be compared with itself"
        )
    once = {frozenset(pair): pair for pair in reversed(chosen)}
    return [pair for pair in chosen if once[frozenset(pair)] is pair]


def suite_sides(
    suite: str, models: list[str], recipes: dict[str, list[str]], scores: Path, metrics: list[str]
) -> tuple[dict[str, Side], dict[str, str]]:
    """What every model and recipe scored under the first of `metrics` that this suite has, and which metric that is: of a masked LM
    its pseudo_ one. Raises InputError for a recipe with models of both kinds.
    """
    known: dict[bytes, Side] = {}
    sides: dict[str, Side] = {}
    metric_of: dict[str, str] = {}
    for model in models:
        path = scores / model / f"{suite}.parquet"
        metric_of[model], sides[model] = read_side(
            partial(read, path, SCORES), metrics, str(path), known
        )
        metrics = [metric_of[model].removeprefix(PSEUDO)]
    for name, recipe in recipes.items():
        if len({metric_of[model] for model in recipe}) > 1:
            raise InputError(
                f"params.yaml: compare_models: recipes: {name}: has causal and masked LMs; on {suite} they have other metrics"
            )
        sides[name] = as_one([sides[model] for model in recipe], f"{name} on {suite}")
        metric_of[name] = metric_of[recipe[0]]
    return sides, metric_of


def is_clustered(suite: str, metric: str, clusters: list[str], suites: Iterable[str]) -> bool:
    """Whether the groups of a suite are drawn as wholes. Raises InputError for a suite that is not there or is no running text."""
    for name in clusters:
        if name not in suites:
            raise InputError(f"params.yaml: compare_models: clusters: there is no suite '{name}'")
    if suite in clusters and metric not in CORPUS_RATIOS:
        raise InputError(
            f"params.yaml: compare_models: clusters: '{suite}' is no running text; the groups of its {metric} are fixed"
        )
    return suite in clusters


def as_json(comparison: Comparison) -> dict:
    """A comparison for JSON: what cannot be said is left out."""
    values = {name: value for name, value in comparison._asdict().items() if value is not None}
    return values | ({"claim": comparison.claim} if comparison.claim else {})


def _group_row(comparison: Comparison) -> dict:
    row = comparison._asdict()
    if comparison.low is None:
        row |= {"low": -math.inf, "high": math.inf}
    return {name: row[name] for name in GROUPS.names if name in row}
