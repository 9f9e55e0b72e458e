"""The difference between two logs of other tools, and whether it is real.

The Evaluations in two files or folders go in. A `Diff` comes out, as of two revisions: paired item
by item, with intervals, corrected p values and verdicts (lmcore.comparing.diff_text shows it).

Models and suites are compared by name. Where each side has one model, or one suite, those two are
compared, whatever they are called.
"""

from collections.abc import Iterable
from typing import NamedTuple

from lmcore.comparing.comparison import (
    LOWER_IS_BETTER,
    DifferentItems,
    align,
    by_group,
    compare,
    same_bytes,
)
from lmcore.comparing.diff import check_names, judged, left_out, most_changed
from lmcore.comparing.diff_results import Asked, Diff, Results, Row
from lmcore.comparing.logged import side_of
from lmcore.comparing.settings import Settings
from lmcore.errors import InputError
from lmcore.logs.evaluation import Evaluation, Options
from lmcore.logs.headline import HEADLINES, headline

DEFAULTS = Settings(
    metrics=HEADLINES,
    recipes=None,
    average=None,
    clusters=None,
    margin=None,
    confidence=0.95,
    interval="student",
    correction="holm",
    group_correction="fdr_bh",
    power=0.8,
    resamples=10_000,
    seed=0,
)


class _AlignedNames(NamedTuple):
    """Which names of A and B are compared with each other.

    `aligned` is {(name in A, name in B): what the two are called}. `missing` are lines on what A
    has and B has not, and on what was asked for and one of them has not.
    """

    aligned: dict[tuple[str, str], str]
    missing: list[str]
    only_b: list[str]


class _Pair(NamedTuple):
    """A model on a suite in A and in B, and what they are called."""

    model: str
    suite: str
    a: Evaluation
    b: Evaluation


def diff_logs(
    a: list[Evaluation], b: list[Evaluation], names: tuple[str, str], asked: Asked
) -> Diff:
    """b against a; `names` are those of the two logs.

    Raises InputError for a suite or model that is in neither, for a metric that is not there, and
    if the items of all models and suites differ.
    """
    models = _names("model", a, b, asked.models)
    suites = _names("task", a, b, asked.suites)
    lower = {name for evaluation in (*a, *b) for name in evaluation.lower_is_better}
    asked = asked._replace(lower_is_better=(*LOWER_IS_BETTER, *sorted(lower)))
    results, notes = Results(), list(dict.fromkeys(_notes(a, b)))
    pairs = _pairs(a, b, models.aligned, suites.aligned, asked)
    for pair in pairs:
        _compare(pair, asked, results)
        notes += _notes_on(pair)
    if results.refused and not results.rows and not results.unchanged:
        reasons = "; ".join(dict.fromkeys(results.refused.values()))
        raise InputError(f"{reasons}; nothing else to compare")
    if not pairs:
        results.not_compared.append(
            "nothing was compared: A and B have no model on a suite in common"
        )
    return Diff(
        a=names[0],
        b=names[1],
        params={},
        stages={},
        stale=[],
        not_compared=[*results.not_compared, *models.missing, *suites.missing],
        rows=judged(results.rows, asked),
        unchanged=results.unchanged,
        refused=results.refused,
        only_a=[],
        only_b=[*models.only_b, *suites.only_b],
        lost=results.lost,
        confidence=asked.settings.confidence,
        correction=asked.settings.correction,
        margin=asked.settings.margin or {},
        notes=tuple(notes),
        of_logs=True,
    )


def _names(field: str, a: list[Evaluation], b: list[Evaluation], asked: list[str]) -> _AlignedNames:
    """The names of models or of suites in A and in B, aligned.

    Raises InputError for a name that was asked for and is in neither.
    """
    kind = "suite" if field == "task" else field
    names_a = list(dict.fromkeys(getattr(evaluation, field) for evaluation in a))
    names_b = list(dict.fromkeys(getattr(evaluation, field) for evaluation in b))
    check_names(kind, asked, {*names_a, *names_b})
    if len(names_a) == len(names_b) == 1 and names_a != names_b:
        label = f"{names_a[0]} → {names_b[0]}"
        return _AlignedNames({(names_a[0], names_b[0]): label}, missing=[], only_b=[])
    return _AlignedNames(
        {(name, name): name for name in names_a if name in names_b},
        missing=left_out(kind, names_a, names_b, asked),
        only_b=[name for name in names_b if name not in names_a],
    )


def _pairs(
    a: list[Evaluation],
    b: list[Evaluation],
    models: dict[tuple[str, str], str],
    suites: dict[tuple[str, str], str],
    asked: Asked,
) -> list[_Pair]:
    """What is compared, in the order of A."""
    in_b = {(evaluation.model, evaluation.task): evaluation for evaluation in b}
    pairs = []
    for of_a in a:
        for (model_a, model_b), model in models.items():
            for (suite_a, suite_b), suite in suites.items():
                of_b = in_b.get((model_b, suite_b))
                if (of_a.model, of_a.task) != (model_a, suite_a) or of_b is None:
                    continue
                if asked.covers(model_a, suite_a) or asked.covers(model_b, suite_b):
                    pairs.append(_Pair(model, suite, of_a, of_b))
    return pairs


def _compare(pair: _Pair, asked: Asked, results: Results) -> None:
    """Add the comparison of a pair to the results."""
    try:
        row = _row(pair, asked)
    except DifferentItems as error:
        results.refused[pair.model, pair.suite] = str(error)
        return
    if row.comparison.changed:
        results.rows.append(row)
        return
    results.unchanged.append((pair.model, pair.suite))
    if row.n_lost:
        results.lost.append(
            f"{pair.model} on {pair.suite}: {row.n_lost:,} items fell out, no other differs"
        )


def _row(pair: _Pair, asked: Asked) -> Row:
    """One model on one suite; its groups and examples where an item changed."""
    metrics = asked.settings.metrics
    metric = headline(pair.a, pair.b, None if metrics == HEADLINES else metrics)
    side_a = side_of(pair.a.scores(), metric, pair.a.source)
    side_b = side_of(pair.b.scores(), metric, pair.b.source)
    side_a, side_b, n_lost = align(side_a, side_b, common=asked.common, what=pair.suite)
    side_a, side_b = same_bytes(side_a, side_b, metric)
    settings = asked.settings.for_compare() | {"lower_is_better": asked.lower_is_better}
    comparison = compare(side_a, side_b, metric, **settings)
    row = Row(pair.model, pair.suite, comparison, n_lost, groups={}, items=[])
    if not comparison.changed:
        return row
    if asked.groups and len(set(side_a.groups)) > 1:
        row = row._replace(groups=by_group(side_a, side_b, metric, **settings))
    is_less_better = metric in asked.lower_is_better
    changed = most_changed(side_a, side_b, asked.n_items, is_less_better=is_less_better)
    return row._replace(items=_examples(changed, pair))


def _examples(changed: list[dict], pair: _Pair) -> list[dict]:
    """The examples with their options, where both logs have log-probs."""
    options_a, options_b = _options(pair.a), _options(pair.b)
    examples = []
    for example in changed:
        of_a, of_b = options_a.get(example["item"]), options_b.get(example["item"])
        options = []
        if of_a and of_b and len(of_a.texts) == len(of_b.texts):
            for number, text in enumerate(of_b.texts):
                option = {"context": "", "target": text, "gold": number in of_b.gold}
                option |= {"a": of_a.logprobs[number], "b": of_b.logprobs[number]}
                options.append(option)
        examples.append(example | {"options": options})
    return examples


def _options(evaluation: Evaluation) -> dict[str, Options]:
    """The options of each item that has them."""
    return {item.id: item.options for item in evaluation.items if item.options}


def _notes(a: list[Evaluation], b: list[Evaluation]) -> Iterable[str]:
    """What the importers noted."""
    for side, evaluations in (("A", a), ("B", b)):
        for evaluation in evaluations:
            yield from (f"{side}: {note}" for note in evaluation.notes)


def _notes_on(pair: _Pair) -> list[str]:
    """How ties were counted, and whether the prompts differ."""
    notes = []
    n_ties = [pair.a.n_ties(), pair.b.n_ties()]
    if any(n_ties):
        counts = f"{n_ties[0]} items are ties in A, {n_ties[1]} in B"
        notes.append(
            f"{pair.suite}: {counts}: accuracy counts a tie as guessing would; {pair.b.tool} counts"
            f" the first option (compare with --metric acc)"
        )
    prompts_a = {item.id: item.prompt for item in pair.a.items}
    n_other = sum(item.prompt != prompts_a.get(item.id, item.prompt) for item in pair.b.items)
    if n_other:
        notes.append(
            f"{pair.suite}: the prompts of {n_other:,} items differ (another template, or other"
            " shots)"
        )
    return notes
