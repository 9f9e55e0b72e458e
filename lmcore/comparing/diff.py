"""The difference between two revisions, and whether it is real.

Two `Revision`s go in. A `Diff` comes out.

Every model (or recipe) is compared with itself, suite by suite, on the same items. Suites whose
scores have the same hash in both revisions are not opened. Where the scores of a side are nowhere,
lmcore.comparing.diff_unpaired compares the figures that git has. lmcore.comparing.diff_text shows
the result.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lmcore.comparing.comparison import (
    LOWER_IS_BETTER,
    VERDICTS,
    DifferentItems,
    Side,
    align,
    by_group,
    clustered,
    compare,
    judge,
    same_bytes,
)
from lmcore.comparing.diff_results import Asked, Diff, Results, Row, Scores
from lmcore.comparing.diff_unpaired import compare_recorded
from lmcore.comparing.model_pairs import compare_models, is_clustered, subjects
from lmcore.comparing.settings import Settings
from lmcore.errors import InputError
from lmcore.folds.fold import PSEUDO
from lmcore.history.changes import changed_params, changed_stages
from lmcore.history.revisions import (
    INTERVALS,
    ITEMS,
    METRICS,
    SCORES,
    SIGNAL,
    TOKENS,
    MissingFile,
    Revision,
)
from lmcore.history.staleness import stale
from lmcore.params.ranges import NonNegative
from lmcore.params.schema import check, kinds_of
from lmcore.params.scored import is_scored


class _Contents(NamedTuple):
    """What a revision has that can be compared."""

    revision: Revision
    models: dict[str, list[str]]  # {name: its models}, recipes and averages included
    suites: list[str]
    averages: list[str]

    @property
    def names(self) -> list[str]:
        """The names of its models, recipes and suites."""
        return [*self.models, *self.suites]

    def has(self, name: str, suite: str) -> bool:
        """Whether all models of a name are scored on a suite, as its params.yaml says."""
        if name not in self.models or suite not in self.suites:
            return False
        entry = self.revision.params["suites"][suite]
        return all(is_scored(entry, model) for model in self.models[name])

    def scores(self, name: str, suite: str) -> Scores:
        """Where it has the scores of a name on a suite."""
        return Scores(self.revision, self.models[name], suite, name in self.averages)


def diff(
    a: Revision,
    b: Revision,
    *,
    suites: list[str],
    models: list[str],
    common: bool,
    groups: bool,
    n_items: int,
    **settings: Any,
) -> Diff:
    """b against a, on `suites` and for `models` (empty: all of them).

    With `common`, items that are not the same in both revisions are left out; without it, a suite
    with such items is refused. With `groups`, each group is compared, too. `n_items` is the number
    of examples in each direction. `settings` are the fields of `Settings`.

    Where the scores of a side are nowhere, the figures that git has are compared, unpaired.

    Raises InputError for an unknown suite or model, and where scores and figures are missing.
    """
    asked = Asked(suites, models, common, groups, n_items, Settings(**settings))
    in_a, in_b = _contents(a, asked.settings), _contents(b, asked.settings)
    check_names("suite", suites, {*in_a.suites, *in_b.suites})
    check_names("model", models, {*in_a.models, *in_b.models})
    pairs = _pairs(in_a, in_b, asked)
    results = _paired_or_recorded(pairs, asked)
    rows = judged(results.rows, asked)
    return Diff(
        a=a.name,
        b=b.name,
        params=changed_params(a.params, b.params),
        stages=changed_stages(a.stages, b.stages),
        stale=[*_stale("A", a, results), *_stale("B", b, results)],
        not_compared=[
            *([] if pairs else [_nothing_in_common(asked)]),
            *left_out("model", list(in_a.models), list(in_b.models), models),
            *left_out("suite", in_a.suites, in_b.suites, suites),
            *_scored_in_one(in_a, in_b, asked),
            *results.not_compared,
        ],
        rows=rows,
        unchanged=results.unchanged,
        refused=results.refused,
        only_a=[name for name in in_a.names if name not in in_b.names],
        only_b=[name for name in in_b.names if name not in in_a.names],
        lost=results.lost,
        confidence=asked.settings.confidence,
        correction=asked.settings.correction,
        margin=asked.settings.margin or {},
        without_tables=results.without_tables,
        cannot_tell=[*_without_evidence(rows), *_within_noise(rows, b)],
    )


def compared_scores(
    a: Revision, b: Revision, *, suites: list[str], models: list[str], **settings: Any
) -> dict[tuple[str, str], tuple[Scores, Scores]]:
    """{(model, suite): its scores in A and B} of all that `diff` compares; arguments as there."""
    asked = Asked(suites, models, False, False, 0, Settings(**settings))
    pairs = _pairs(_contents(a, asked.settings), _contents(b, asked.settings), asked)
    return {(name, of_b.suite): (of_a, of_b) for name, of_a, of_b in pairs}


def _stale(side: str, revision: Revision, results: Results) -> list[str]:
    """Why what was compared of a side, scores or metrics, is not that of its code and params."""
    if results.without_tables is None:
        lines = stale(revision)
    else:
        lines = stale(revision, [METRICS, INTERVALS], without_unknown=True)
    return [f"{side}: {line}" for line in lines]


def _paired_or_recorded(pairs: list[tuple[str, Scores, Scores]], asked: Asked) -> Results:
    """The comparisons of the scores or, where a side has none at all, of the figures in git.

    Raises InputError, as `_compare_all` and `compare_recorded`.
    """
    try:
        return _compare_all(pairs, asked)
    except MissingFile as missing:
        scores = missing.revision.root / SCORES
        is_nowhere = missing.revision.rev is not None or not any(scores.rglob("*.parquet"))
        if not (missing.path.startswith(f"{SCORES}/") and is_nowhere):
            raise
        return compare_recorded(pairs, asked, missing)


def _pairs(in_a: _Contents, in_b: _Contents, asked: Asked) -> list[tuple[str, Scores, Scores]]:
    """The name of every model that is compared, with its scores on a suite in A and in B."""
    pairs = []
    for suite in in_b.suites:
        for name in in_b.models:
            if not asked.covers(name, suite):
                continue
            if in_a.has(name, suite) and in_b.has(name, suite):
                scores_a, scores_b = in_a.scores(name, suite), in_b.scores(name, suite)
                pairs.append((name, scores_a, scores_b))
    return pairs


def _scored_in_one(in_a: _Contents, in_b: _Contents, asked: Asked) -> list[str]:
    """A line for each model that both have and only A scored on a suite that both have."""
    lines = []
    for suite in in_b.suites:
        for name in in_b.models:
            is_asked = asked.covers(name, suite)
            if is_asked and in_a.has(name, suite) and not in_b.has(name, suite):
                lines.append(f"{name} on {suite}: only A scored it")
    return lines


def _compare_all(pairs: list[tuple[str, Scores, Scores]], asked: Asked) -> Results:
    """Compare the scores of every model, by its name, in A and in B.

    Raises InputError if the items of all models and suites differ.
    """
    results = Results()
    known: dict[bytes, Side] = {}
    metrics = asked.settings.metrics
    for name, scores_a, scores_b in pairs:
        suite = scores_a.suite
        if scores_a.hashes() == scores_b.hashes():
            # A single metric must be there, even if nothing else needs to be read
            if len(metrics) == 1:
                scores_b.side(metrics, known)
            results.unchanged.append((name, suite))
            continue
        try:
            row = _compare_one(name, scores_a, scores_b, asked, known)
        except DifferentItems as error:
            results.refused[name, suite] = str(error)
            continue
        if row.comparison.changed:
            results.rows.append(row)
            continue
        results.unchanged.append((name, suite))
        if row.n_lost:
            lost = f"{name} on {suite}: {row.n_lost:,} items fell out, no other differs"
            results.lost.append(lost)
    if results.refused and not results.rows and not results.unchanged:
        reasons = "; ".join(dict.fromkeys(results.refused.values()))
        raise InputError(f"{reasons}; nothing else to compare")
    return results


def _compare_one(
    name: str, scores_a: Scores, scores_b: Scores, asked: Asked, known: dict[bytes, Side]
) -> Row:
    """One model on one suite; its groups and examples where an item changed.

    `known` is that of `read_side`. Raises DifferentItems, also where the model is a causal LM in
    one revision and a masked one in the other.
    """
    suite, settings = scores_a.suite, asked.settings
    metric, side_a = scores_a.side(settings.metrics, known)
    metric_b, side_b = scores_b.side([metric.removeprefix(PSEUDO)], known)
    if metric_b != metric:
        raise DifferentItems(f"{suite}: A has {metric}, B {metric_b}: a causal and a masked LM")
    side_a, side_b, n_lost = align(side_a, side_b, common=asked.common, what=suite)
    side_a, side_b = same_bytes(side_a, side_b, metric)
    sampled_a, sampled_b = side_a, side_b
    if is_clustered(suite, metric, settings.clusters or [], _suites(scores_b.revision)):
        sampled_a, sampled_b = clustered(side_a), clustered(side_b)
    comparison = compare(sampled_a, sampled_b, metric, **settings.for_compare())
    subset = scores_b.subset()
    row = Row(name, suite, comparison, n_lost, groups={}, items=[], subset=subset)
    if not comparison.changed:
        return row
    if asked.groups and len(set(side_a.groups)) > 1:
        row = row._replace(groups=by_group(side_a, side_b, metric, **settings.for_compare()))
    items = examples([scores_a, scores_b], side_a, side_b, metric, asked.n_items)
    return row._replace(items=items)


def settings_of(params: dict, metric: str | None, margin: float | None) -> dict[str, Any]:
    """The `settings` of `diff`, from the section compare_models of params.yaml.

    If `metric` and `margin` are given, they replace what stands in that section. Raises InputError
    if a key is missing, and for a value that the stage compare_models would refuse.
    """
    section = params.get("compare_models", {})
    check(section, dict, "params.yaml: compare_models")
    for key in Settings._fields:
        if key not in section:
            raise InputError(f"params.yaml: compare_models: the key '{key}' is missing")
        check(section[key], kinds_of(compare_models)[key][0], f"params.yaml: compare_models.{key}")
    check(margin, NonNegative | None, "--margin")
    settings = {key: section[key] for key in Settings._fields}
    if metric is not None:
        settings["metrics"] = [metric]
    if margin is not None:
        settings["margin"] = dict.fromkeys(settings["metrics"], margin)
    return settings


def _contents(revision: Revision, settings: Settings) -> _Contents:
    """What a revision has that can be compared; a recipe has the models that are there."""
    models = list(revision.params.get("models") or [])
    recipes, average = (
        _those_there(entries or {}, models) for entries in (settings.recipes, settings.average)
    )
    names = subjects(models, recipes, average)
    return _Contents(revision, names, _suites(revision), list(average))


def _those_there(entries: dict[str, list[str]], models: list[str]) -> dict[str, list[str]]:
    """The recipes or averages with those of their models that are there, if there are any."""
    found = {}
    for name, members in entries.items():
        if there := [model for model in members if model in models]:
            found[name] = there
    return found


def _suites(revision: Revision) -> list[str]:
    """The names of a revision's suites."""
    return list(revision.params.get("suites") or {})


def check_names(kind: str, asked: list[str], known: set[str]) -> None:
    """Raises InputError for a name that was asked for and is not known."""
    for name in asked:
        if name not in known:
            raise InputError(
                f"there is no {kind} '{name}' in A or B; there are {', '.join(sorted(known))}"
            )


def _nothing_in_common(asked: Asked) -> str:
    of_these = " that was asked for" if asked.suites or asked.models else ""
    return f"nothing was compared: A and B have no model on a suite{of_these} in common"


def left_out(kind: str, names_a: list[str], names_b: list[str], asked: list[str]) -> list[str]:
    """Lines on what A has and B has not, and on what was asked for and one of them has not.

    What is new in B is not among them: there is nothing to compare it against.
    """
    lines = []
    for name in names_a:
        if name not in names_b and (not asked or name in asked):
            lines.append(f"the {kind} {name} is not in B (renamed, or dropped?): not compared")
    for name in asked:
        if name not in names_a:
            lines.append(f"the {kind} {name} is not in A: not compared")
    return lines


def judged(rows: list[Row], asked: Asked) -> list[Row]:
    """The rows with their verdicts, worst first and then by suite.

    The groups of one model are judged together, over all suites.
    """
    settings = asked.settings
    comparisons = judge(
        [row.comparison for row in rows],
        correction=settings.correction,
        margin=settings.margin or {},
        lower_is_better=asked.lower_is_better,
        **settings.for_judge(),
    )
    rows = [row._replace(comparison=comparison) for row, comparison in zip(rows, comparisons)]
    for model in {row.model for row in rows}:
        _judge_groups([row for row in rows if row.model == model], asked)
    suites = list(dict.fromkeys(row.suite for row in rows))

    def place(row: Row) -> tuple[int, int, float, str]:
        verdict = VERDICTS.index(row.comparison.verdict)
        return verdict, suites.index(row.suite), row.comparison.p, row.model

    return sorted(rows, key=place)


def _without_evidence(rows: list[Row]) -> list[str]:
    """One line on the suites on which several models changed and none is known to differ.

    It says, where that is known, the difference that would have shown in any of the models.
    """
    named = []
    for suite in dict.fromkeys(row.suite for row in rows):
        found = [row.comparison for row in rows if row.suite == suite]
        if len(found) < 2 or any(one.verdict != "no evidence" for one in found):
            continue
        detectable = [one.detectable for one in found if one.detectable is not None]
        is_known = len(detectable) == len(found)
        named.append(f"{suite} ({max(detectable):.2g} would show)" if is_known else suite)
    if not named:
        return []
    return [f"Suites that cannot tell A and B apart, as no model differs: {', '.join(named)}."]


def _within_noise(rows: list[Row], b: Revision) -> list[str]:
    """A line for each difference that is no greater than that between two runs of one recipe.

    That is what metrics/signal.json of B has, where several seeds or checkpoints were compared.
    """
    lines = []
    for row in rows:
        comparison, recorded = row.comparison, b.signal.get(row.suite, {})
        noise = recorded.get("between_runs")
        several = comparison.n_seeds_a > 1 and comparison.n_seeds_b > 1
        is_other = recorded.get("metric") != comparison.metric
        if noise is None or is_other or several or comparison.verdict not in VERDICTS[:4]:
            continue
        if abs(comparison.difference) <= noise:
            lines.append(
                f"{row.model} on {row.suite}: two runs of one recipe differ by up to {noise:.2g}"
                f" ({SIGNAL}), so that the suite cannot tell A from another run."
            )
    return lines


def _judge_groups(rows: list[Row], asked: Asked) -> None:
    """Judge the groups of all these rows together, in place."""
    settings = asked.settings
    places, comparisons = [], []
    for row in rows:
        for group, comparison in row.groups.items():
            places.append((row, group))
            comparisons.append(comparison)
    of_groups = judge(
        comparisons,
        correction=settings.group_correction,
        margin={},
        lower_is_better=asked.lower_is_better,
        **settings.for_judge(),
    )
    for (row, group), comparison in zip(places, of_groups):
        row.groups[group] = comparison


def examples(scores: Sequence[Scores], a: Side, b: Side, metric: str, n: int) -> list[dict]:
    """Up to `n` items that became worse and `n` that became better, the most changed ones first.

    An example is {item, turned, a, b, options}, an option {context, target, gold, a, b}, with the
    target's log-prob in nats under either revision, a mean over seeds and draws. `scores` are those
    of A and of B.
    """
    changed = most_changed(a, b, n, is_less_better=metric in LOWER_IS_BETTER)
    if not changed:
        return changed
    scores_a, scores_b = scores
    ids = pa.array([example["item"] for example in changed])
    logprobs_a, logprobs_b = _logprobs(scores_a, ids), _logprobs(scores_b, ids)
    columns = ["item", "option", "variant", "context", "target", "gold"]
    table = scores_b.revision.table(f"{ITEMS}/{scores_b.suite}.parquet", columns)
    options: dict[str, list[dict]] = {}
    for row in _rows_of_items(table, ids).to_pylist():
        key = row["item"], row["option"]
        option = {name: row[name] for name in ("context", "target", "gold")}
        option |= {"a": logprobs_a.get(key), "b": logprobs_b.get(key)}
        options.setdefault(row["item"], []).append(option)
    return [example | {"options": options.get(example["item"], [])} for example in changed]


def most_changed(a: Side, b: Side, n: int, *, is_less_better: bool) -> list[dict]:
    """The examples without their options."""
    values_a, values_b = a.values.mean(0), b.values.mean(0)
    gains = (values_a - values_b) if is_less_better else (values_b - values_a)
    changed = []
    for turned, sign in (("worse", 1), ("better", -1)):
        # Among items that changed alike, the hash decides, so that not all are of the first group
        for row in np.lexsort((a.hashes, sign * gains))[:n]:
            if sign * gains[row] < 0:
                values = {"a": float(values_a[row]), "b": float(values_b[row])}
                changed.append({"item": a.items[row].as_py(), "turned": turned, **values})
    return changed


def _logprobs(scores: Scores, ids: pa.Array) -> dict[tuple[str, int], float]:
    """{(item, option): the target's log-prob in nats} of these items.

    A log-prob is a mean over seeds and draws.
    """
    columns = ["item", "draw", "option", "variant", "is_target", "logprob"]
    tables = []
    for model in scores.models:
        for path in scores.revision.files(f"{TOKENS}/{model}/{scores.suite}"):
            tables.append(_rows_of_items(scores.revision.table(path, columns), ids))
    rows = pa.concat_tables(tables)
    rows = rows.filter(rows["is_target"])
    n_draws = len(scores.models) * (1 + (pc.max(rows["draw"]).as_py() or 0))
    sums = rows.group_by(["item", "option"]).aggregate([("logprob", "sum")])
    return {(row["item"], row["option"]): row["logprob_sum"] / n_draws for row in sums.to_pylist()}


def _rows_of_items(table: pa.Table, ids: pa.Array) -> pa.Table:
    """The rows of these items that belong to no variant, with their ids as plain strings."""
    items = table["item"].cast(pa.string())
    table = table.set_column(0, "item", items)
    has_no_variant = pc.equal(table["variant"].cast(pa.string()), "")
    return table.filter(pc.and_(pc.is_in(items, ids), has_no_variant))
