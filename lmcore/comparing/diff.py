"""The difference between two revisions that says whether it is real: two `Revision`s go in, a `Diff` comes out.

Every model (or recipe) is compared with itself, suite by suite, on the same items. Suites whose scores have the same hash in both
revisions are not opened. How it is shown is lmcore.comparing.diff_text's business.
"""

from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lmcore.comparing.comparison import (
    LOWER_IS_BETTER,
    VERDICTS,
    Comparison,
    DifferentItems,
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
from lmcore.comparing.model_pairs import compare_models, is_clustered, subjects
from lmcore.errors import InputError
from lmcore.history.changes import changed_params, changed_stages
from lmcore.history.revisions import ITEMS, SCORES, TOKENS, Revision
from lmcore.history.staleness import stale
from lmcore.params.ranges import NonNegative
from lmcore.params.schema import check, kinds_of

SETTINGS = (
    "metrics",
    "recipes",
    "clusters",
    "margin",
    "confidence",
    "interval",
    "correction",
    "group_correction",
    "power",
    "resamples",
    "seed",
)


class Scores(NamedTuple):
    """Where a revision has the scores of a model, or of a recipe's models, on one suite."""

    revision: Revision
    models: list[str]
    suite: str

    def paths(self) -> list[str]:
        return [f"{SCORES}/{model}/{self.suite}.parquet" for model in self.models]

    def hashes(self) -> list[str]:
        return [self.revision.md5(path) for path in self.paths()]

    def side(self, metrics: list[str], known: dict[bytes, Side]) -> tuple[str, Side]:
        """The first of `metrics` that is there, and its values; `known` as in `read_side`."""
        name = self.revision.name
        found = [
            read_side(partial(self.revision.table, path), metrics, f"{name}: {path}", known)
            for path in self.paths()
        ]
        return found[0][0], as_one(
            [side for _, side in found], f"{name}: {', '.join(self.models)} on {self.suite}"
        )


class Row(NamedTuple):
    """One model on one suite."""

    model: str
    suite: str
    comparison: Comparison
    n_lost: int  # items left out, since only one revision has them
    groups: dict[str, Comparison]
    items: list[dict]


class Diff(NamedTuple):
    """`rows` are the comparisons in which an item changed, worst first; `unchanged` and `refused` name model and suite.

    `stale` says what makes A's or B's scores other than those of its code, params and data, `not_compared` what A has, or what was asked
    for, that nothing was compared with; both are lines for people, and where there is one, no absence of `worse` means anything.
    """

    a: str
    b: str
    params: dict[str, tuple[Any, Any]]
    stages: dict[str, list[str]]
    stale: list[str]
    not_compared: list[str]
    rows: list[Row]
    unchanged: list[tuple[str, str]]
    refused: dict[tuple[str, str], str]
    only_a: list[str]
    only_b: list[str]
    lost: list[str]  # of `unchanged`, where items were left out, since only one revision has them
    confidence: float
    correction: str
    margin: dict[str, float]


def diff(
    a: Revision,
    b: Revision,
    *,
    suites: list[str],
    models: list[str],
    common: bool,
    groups: bool,
    n_items: int,
    metrics: list[str],
    recipes: dict[str, list[str]] | None,
    clusters: list[str] | None,
    margin: dict[str, float] | None,
    confidence: float,
    correction: str,
    group_correction: str,
    power: float,
    **settings: Any,
) -> Diff:
    """b against a, of `suites` and `models` (empty: all); with `groups` also group by group, with `n_items` so many examples each way.

    The other arguments are the section compare_models of params.yaml; `settings` are those of `lmcore.comparing.comparison.compare`.
    Raises InputError for an unknown suite or model, and where scores are missing.
    """
    margin = margin or {}
    models_a, models_b = (_subjects(revision, recipes or {}) for revision in (a, b))
    suites_a, suites_b = (list(revision.params.get("suites") or {}) for revision in (a, b))
    _check_names("suite", suites, {*suites_a, *suites_b})
    _check_names("model", models, {*models_a, *models_b})
    pairs = [
        (name, suite)
        for suite in suites_b
        for name in models_b
        if (not suites or suite in suites) and (not models or name in models)
    ]
    pairs = [(name, suite) for name, suite in pairs if name in models_a and suite in suites_a]
    rows, unchanged, refused, lost = [], [], {}, []
    known: dict[bytes, Side] = {}
    for name, suite in pairs:
        scores = [Scores(a, models_a[name], suite), Scores(b, models_b[name], suite)]
        if scores[0].hashes() == scores[1].hashes():
            if (
                len(metrics) == 1
            ):  # the one asked for must be there, even where nothing else needs to be read
                scores[1].side(metrics, known)
            unchanged.append((name, suite))
            continue
        metric, side_a = scores[0].side(metrics, known)
        _, side_b = scores[1].side([metric], known)
        try:
            side_a, side_b, n_lost = align(side_a, side_b, common=common, what=suite)
        except DifferentItems as error:
            refused[name, suite] = str(error)
            continue
        side_a, side_b = same_bytes(side_a, side_b, metric)
        whole = (
            [clustered(side) for side in (side_a, side_b)]
            if is_clustered(suite, metric, clusters or [], suites_b)
            else [side_a, side_b]
        )
        comparison = compare(whole[0], whole[1], metric, confidence=confidence, **settings)
        if not comparison.changed:
            unchanged.append((name, suite))
            if n_lost:
                lost.append(f"{name} on {suite}: {n_lost:,} items fell out, no other differs")
            continue
        several = groups and len(set(side_a.groups)) > 1
        parts = (
            by_group(side_a, side_b, metric, confidence=confidence, **settings) if several else {}
        )
        rows.append(
            Row(
                name,
                suite,
                comparison,
                n_lost,
                parts,
                examples(scores, side_a, side_b, metric, n_items),
            )
        )
    if refused and not rows and not unchanged:
        raise InputError(f"{'; '.join(dict.fromkeys(refused.values()))}; nothing else to compare")
    return Diff(
        a=a.name,
        b=b.name,
        params=changed_params(a.params, b.params),
        stages=changed_stages(a.stages, b.stages),
        stale=[
            f"{side}: {line}" for side, revision in (("A", a), ("B", b)) for line in stale(revision)
        ],
        not_compared=[
            *_nothing_in_common(pairs, suites, models),
            *_left_out("model", list(models_a), list(models_b), models),
            *_left_out("suite", suites_a, suites_b, suites),
        ],
        rows=_judged(
            rows, correction, group_correction, {"confidence": confidence, "power": power}, margin
        ),
        unchanged=unchanged,
        refused=refused,
        only_a=[name for name in (*models_a, *suites_a) if name not in (*models_b, *suites_b)],
        only_b=[name for name in (*models_b, *suites_b) if name not in (*models_a, *suites_a)],
        lost=lost,
        confidence=confidence,
        correction=correction,
        margin=margin,
    )


def settings_of(params: dict, metric: str | None, margin: float | None) -> dict[str, Any]:
    """What `diff` takes of the section compare_models of params.yaml, with `metric` and `margin` instead of what stands there, if given.

    Raises InputError where a key is missing, and for a value that the stage compare_models would refuse.
    """
    section = params.get("compare_models", {})
    check(section, dict, "params.yaml: compare_models")
    for key in SETTINGS:
        if key not in section:
            raise InputError(f"params.yaml: compare_models: the key '{key}' is missing")
        check(section[key], kinds_of(compare_models)[key][0], f"params.yaml: compare_models.{key}")
    check(margin, NonNegative | None, "--margin")
    settings = {key: section[key] for key in SETTINGS} | (
        {"metrics": [metric]} if metric is not None else {}
    )
    return settings | (
        {"margin": dict.fromkeys(settings["metrics"], margin)} if margin is not None else {}
    )


def _subjects(revision: Revision, recipes: dict[str, list[str]]) -> dict[str, list[str]]:
    """{name: its models} of a revision; of a recipe the models that this revision has."""
    models = list(revision.params.get("models") or [])
    there = {
        name: [model for model in recipe if model in models] for name, recipe in recipes.items()
    }
    return subjects(models, {name: recipe for name, recipe in there.items() if recipe})


def _check_names(kind: str, asked: list[str], known: set[str]) -> None:
    for name in asked:
        if name not in known:
            raise InputError(
                f"there is no {kind} '{name}' in either revision; there are {', '.join(sorted(known))}"
            )


def _nothing_in_common(
    pairs: list[tuple[str, str]], suites: list[str], models: list[str]
) -> list[str]:
    if pairs:
        return []
    asked = " that was asked for" if suites or models else ""
    return [f"nothing was compared: A and B have no model on a suite{asked} in common"]


def _left_out(kind: str, of_a: list[str], of_b: list[str], asked: list[str]) -> list[str]:
    """What A has and B has not, and what was asked for and one of them has not; what is new in B has nothing to stand against."""
    here = [name for name in of_a if not asked or name in asked]
    lines = [
        f"the {kind} {name} is not in B (renamed, or dropped?): not compared"
        for name in here
        if name not in of_b
    ]
    return lines + [
        f"the {kind} {name} is not in A: not compared" for name in asked if name not in of_a
    ]


def _judged(
    rows: list[Row],
    correction: str,
    group_correction: str,
    settings: dict[str, float],
    margin: dict[str, float],
) -> list[Row]:
    """The rows with their verdicts, worst first and by suite; the groups of one model are judged together, over all suites."""
    judged = judge(
        [row.comparison for row in rows], correction=correction, margin=margin, **settings
    )
    rows = [row._replace(comparison=comparison) for row, comparison in zip(rows, judged)]
    for model in {row.model for row in rows}:
        parts = {
            (number, name): part
            for number, row in enumerate(rows)
            if row.model == model
            for name, part in row.groups.items()
        }
        for (number, name), part in zip(
            parts, judge(list(parts.values()), correction=group_correction, margin={}, **settings)
        ):
            rows[number].groups[name] = part
    suites = list(dict.fromkeys(row.suite for row in rows))
    return sorted(
        rows,
        key=lambda row: (
            VERDICTS.index(row.comparison.verdict),
            suites.index(row.suite),
            row.comparison.p,
            row.model,
        ),
    )


def examples(scores: list[Scores], a: Side, b: Side, metric: str, n: int) -> list[dict]:
    """Up to `n` items that became worse and `n` that became better, those that changed most first: {item, turned, a, b, options}.

    An option is {context, target, gold, a, b}, with the target's log-prob in nats under either revision, a mean over seeds and draws.
    """
    values_a, values_b = a.values.mean(0), b.values.mean(0)
    gains = (values_a - values_b) if metric in LOWER_IS_BETTER else (values_b - values_a)
    found = []
    for turned, sign in (("worse", 1), ("better", -1)):
        order = np.lexsort((a.hashes, sign * gains))[
            :n
        ]  # of items that changed alike any, not those of the first group
        rows = [row for row in order if sign * gains[row] < 0]
        found += [
            {
                "item": a.items[row].as_py(),
                "turned": turned,
                "a": float(values_a[row]),
                "b": float(values_b[row]),
            }
            for row in rows
        ]
    if not found:
        return found
    ids = pa.array([example["item"] for example in found])
    logprobs = [_logprobs(one, ids) for one in scores]
    table = scores[1].revision.table(
        f"{ITEMS}/{scores[1].suite}.parquet",
        ["item", "option", "variant", "context", "target", "gold"],
    )
    options: dict[str, list[dict]] = {}
    for row in _of_items(table, ids).to_pylist():
        values = {
            name: logprob.get((row["item"], row["option"])) for name, logprob in zip("ab", logprobs)
        }
        options.setdefault(row["item"], []).append(
            {name: row[name] for name in ("context", "target", "gold")} | values
        )
    return [example | {"options": options.get(example["item"], [])} for example in found]


def _logprobs(scores: Scores, ids: pa.Array) -> dict[tuple[str, int], float]:
    """The log-prob of the target of each option of these items."""
    paths = [
        path
        for model in scores.models
        for path in scores.revision.files(f"{TOKENS}/{model}/{scores.suite}")
    ]
    columns = ["item", "draw", "option", "variant", "is_target", "logprob"]
    rows = pa.concat_tables(
        [_of_items(scores.revision.table(path, columns), ids) for path in paths]
    )
    rows = rows.filter(rows["is_target"])
    n_draws = len(scores.models) * (1 + (pc.max(rows["draw"]).as_py() or 0))
    sums = rows.group_by(["item", "option"]).aggregate([("logprob", "sum")])
    return {(row["item"], row["option"]): row["logprob_sum"] / n_draws for row in sums.to_pylist()}


def _of_items(table: pa.Table, ids: pa.Array) -> pa.Table:
    """The rows of these items that are no variant, with their ids as plain strings."""
    items = table["item"].cast(pa.string())
    table = table.set_column(0, "item", items)
    return table.filter(
        pc.and_(pc.is_in(items, ids), pc.equal(table["variant"].cast(pa.string()), ""))
    )
