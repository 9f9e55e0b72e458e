"""A race of two models on one suite: score block by block, and stop when it is clear.

A suite's items and two models go in. A verdict comes out, usually before all items are scored.

The items are drawn in a random order that the seed decides, spread over the groups of the suite.
After each block, lmcore.statistics.anytime says what is certain. Stopping at the first certainty,
or at any other time, makes no verdict less certain.

The verdict is about the figure that lmcore reports: the macro mean, over the groups of the suite,
of the paired differences b - a. By default it speaks of items like these, as `lmcore diff` does;
with `of_suite`, of the figure that these items will have once all are scored. Each group counts the
same, however many items it has. An item's value is its accuracy under the suite's own fold and tie
rule; the draws of a random model are averaged within each item, so the verdict is about these
draws.
"""

import sys
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lmcore.comparing.comparison import TWO_MODELS, Side, read_side, reader_of
from lmcore.errors import InputError
from lmcore.machine.progress import Progress
from lmcore.shown import for_terminal
from lmcore.statistics.anytime import Drawn, Level, bounds, decision, stratified_order
from lmcore.statistics.intervals import group_means
from lmcore.tables import CLUSTER, ITEMS, columns_there, read

METRIC = "accuracy"  # the headline of the kinds of suite that can be raced on
KINDS = ("pairs", "choices", "completion")
LEAST_BLOCK, BLOCKS = 64, 100  # a block has a hundredth of the items, and at least so many
FEW_ROUNDS = 10  # a note says if there are fewer rounds, after which alone the race can stop

# (n,) numbers of items go in; their values, (n,) between 0 and 1, come out
ValuesOf = Callable[[np.ndarray], np.ndarray]


class Suite(NamedTuple):
    """The items of a suite, and how they are folded to values."""

    name: str
    kind: str
    ties: str
    table: pa.Table  # ITEMS
    items: pa.Array  # (N,) ids
    groups: np.ndarray  # (N,) integers from 0
    numbers: np.ndarray  # (rows of the table,) the number of each row's item


class Rules(NamedTuple):
    """When a race stops, and in which order the items come."""

    level: Level
    margin: float | None  # within this the two are equal; None: they never are
    block: int | None  # items between two looks; None for a hundredth, at least LEAST_BLOCK
    seed: int


class Race(NamedTuple):
    """How a race ended. Means and the difference are of the items that were used."""

    a: str
    b: str
    suite: str
    metric: str
    verdict: str  # better, worse, equal, unchanged or no evidence: of b against a
    mean_a: float
    mean_b: float
    difference: float
    low: float
    high: float
    confidence: float
    margin: float | None
    of_suite: bool
    n_items: int  # that each of the two models scored
    n_saved: int
    n_groups: int
    n_rounds: int  # of the whole suite; the race can stop after whole rounds alone
    n_better: int
    n_worse: int
    seed: int
    recorded: bool = False

    @property
    def claim(self) -> str:
        """What the verdict is about."""
        if self.verdict not in ("better", "worse"):
            return ""
        return f"on these items, {TWO_MODELS}" if self.of_suite else TWO_MODELS


def read_suite(path: Path, kind: str, ties: str) -> Suite:
    """The suite in the items file at `path`.

    Raises InputError for a kind whose headline is no decision per item, for items that share
    clusters, and as lmcore.tables.read.
    """
    name = path.stem
    if kind not in KINDS:
        raise InputError(
            f"{name}: a race needs a suite of kind {', '.join(KINDS[:-1])} or {KINDS[-1]}, not"
            f" {kind}, whose figure is not bounded; use `lmcore diff`"
        )
    table = read(path, ITEMS)
    if CLUSTER in table.column_names:
        raise InputError(
            f"{name}: its items share clusters, and a race takes items one by one;"
            " use `lmcore diff`"
        )
    items = pc.unique(table["item"])
    numbers = pc.index_in(table["item"], items).to_numpy()
    _, first_rows = np.unique(numbers, return_index=True)
    groups = table["group"].to_numpy()[first_rows]
    return Suite(name, kind, ties, table, items, np.unique(groups, return_inverse=True)[1], numbers)


def scored_by(model: Path, suite: Suite, *, dtype: str, token_budget: int) -> ValuesOf:
    """Values of items that the model in this folder scores when it is asked.

    It scores as the stage extract_tokens does, and keeps nothing. Raises InputError where the model
    cannot score the suite.
    """
    # torch takes a second to import, and a replay needs none
    from lmcore.scoring.engine import Engine
    from lmcore.tables import scoring_of

    engine = Engine(model, scoring_of(suite.table), dtype, token_budget).load()
    print(for_terminal(f"{model.name}: {engine.name}"), file=sys.stderr)

    def values_of(numbers: np.ndarray) -> np.ndarray:
        rows = np.flatnonzero(np.isin(suite.numbers, numbers))
        items = suite.table.take(pa.array(rows))
        scores = _folded(items, engine.score(items), suite, engine.config, model)
        side = read_side(partial(columns_there, scores), [METRIC], str(model), {})[1]
        return _in_order(side, suite.items.take(pa.array(numbers)))

    return values_of


def _folded(items: pa.Table, tokens: pa.Table, suite: Suite, config: dict, model: Path) -> pa.Table:
    """The scores table of some items, by the fold of the stage fold_scores."""
    from lmcore.folds.by_text import text_stats
    from lmcore.folds.fold import fold, window_of
    from lmcore.models.folder import is_masked

    return fold(
        text_stats(items, tokens, model),
        kind=suite.kind,
        ties=suite.ties,
        top_k=1,  # of success_at_1, which is not used
        vocab_size=config["vocab_size"],
        window=window_of(items, config),
        source=model,
        masked=is_masked(config),
    )


def recorded(scores: Path, suite: Suite) -> ValuesOf:
    """Values of items as a scores table has them: nothing is scored.

    Raises InputError if the table was not made of exactly these items.
    """
    side = read_side(reader_of(scores, [METRIC]), [METRIC], str(scores), {})[1]
    _, first_rows = np.unique(suite.numbers, return_index=True)
    expected = suite.table["content_hash"].to_numpy()[first_rows]
    found = pc.index_in(suite.items, side.items)
    is_same = len(side.items) == len(suite.items) and found.null_count == 0
    if not is_same or not np.array_equal(side.hashes[found.to_numpy()], expected):
        raise InputError(
            f"{scores}: was not made of the items that {suite.name} has now;"
            " run `dvc repro fold_scores`"
        )
    return lambda numbers: _in_order(side, suite.items.take(pa.array(numbers)))


def _in_order(side: Side, items: pa.Array) -> np.ndarray:
    """(n,): the values of these items, each the mean of its draws."""
    return side.values.mean(0)[pc.index_in(items, side.items).to_numpy()]


def run(a: ValuesOf, b: ValuesOf, names: tuple[str, str], suite: Suite, rules: Rules) -> Race:
    """Draw items block by block until a verdict is certain or the suite ends.

    names: what a and b are called.
    """
    order, rounds = stratified_order(suite.groups, rules.seed)
    sizes = np.bincount(suite.groups)
    values = np.empty((2, len(order)))
    label = for_terminal(f"{names[0]} and {names[1]} on {suite.name}")
    with Progress(len(order), label, "item") as progress:
        for start, stop in pairwise(_looks(rounds, rules.block)):
            numbers = order[start:stop]
            values[:, start:stop] = a(numbers), b(numbers)
            differences = values[1, :stop] - values[0, :stop]
            drawn = Drawn(differences, suite.groups[order[:stop]], rounds[:stop], sizes)
            verdict = decision(drawn, rules.level, rules.margin)
            progress.advance(stop - start, note=f"difference {drawn.mean:+.3f}")
            if verdict:
                break
    return _result(drawn, values[:, :stop], verdict, names, suite, rules)


def _looks(rounds: np.ndarray, block: int | None) -> list[int]:
    """0, and how many items were drawn at each look: whole rounds, about `block` items apart."""
    size = block or max(LEAST_BLOCK, len(rounds) // BLOCKS)
    ends = np.append(np.flatnonzero(np.diff(rounds)) + 1, len(rounds))
    looks = [0]
    for end in ends.tolist():
        if end - looks[-1] >= size or end == len(rounds):
            looks.append(end)
    return looks


def _result(
    drawn: Drawn,
    values: np.ndarray,
    verdict: str,
    names: tuple[str, str],
    suite: Suite,
    rules: Rules,
) -> Race:
    """The end of a race in which `values` (2, n) were drawn."""
    weights = np.ones(len(drawn.groups))
    mean_a, mean_b = (float(group_means(side, weights, drawn.groups).mean()) for side in values)
    low, high = bounds(drawn, rules.level)
    n_better, n_worse = int((drawn.differences > 0).sum()), int((drawn.differences < 0).sum())
    return Race(
        a=names[0],
        b=names[1],
        suite=suite.name,
        metric=METRIC,
        verdict=verdict or ("no evidence" if n_better + n_worse else "unchanged"),
        mean_a=mean_a,
        mean_b=mean_b,
        difference=drawn.mean,
        low=low,
        high=high,
        confidence=rules.level.confidence,
        margin=rules.margin,
        of_suite=rules.level.of_suite,
        n_items=len(drawn.groups),
        n_saved=int(drawn.sizes.sum()) - len(drawn.groups),
        n_groups=len(drawn.sizes),
        n_rounds=int(drawn.sizes.min()),
        n_better=n_better,
        n_worse=n_worse,
        seed=rules.seed,
    )


def as_lines(race: Race) -> list[str]:
    """A race for a terminal."""
    n_all = race.n_items + race.n_saved
    figure = f"the mean over {race.n_groups} groups" if race.n_groups > 1 else "the mean over items"
    about = "the figure of this suite" if race.of_suite else "items like these"
    lines = [
        f"A  {race.a}",
        f"B  {race.b}",
        f"{race.suite}: {race.metric}, {figure}; the verdict is about {about}",
        "",
        _verdict_line(race),
        f"A {race.mean_a:.4f}   B {race.mean_b:.4f}   B − A {race.difference:+.4f}"
        f" [{race.low:+.4f}, {race.high:+.4f}], {100 * race.confidence:.4g} % sure at any stop",
        f"items that became better: {race.n_better:,}; worse: {race.n_worse:,}",
        _items_line(race, n_all),
    ]
    if race.n_groups > 1 and race.n_rounds < FEW_ROUNDS:
        places = f"{race.n_rounds} place" + "s" * (race.n_rounds > 1)
        lines.append(
            f"note   the smallest group has so few items that the race can stop at {places} alone"
        )
    return [for_terminal(line) for line in lines]


def _verdict_line(race: Race) -> str:
    """What the race found, in a sentence."""
    if race.verdict in ("better", "worse"):
        return f"B is {race.verdict}: {race.claim}"
    if race.verdict == "equal":
        return f"equal within {race.margin:g}"
    if race.verdict == "unchanged":
        return "unchanged: no item differs"
    return "no evidence: all items were used, and it is not clear"


def _items_line(race: Race, n_all: int) -> str:
    """How many items were used, and how many were saved."""
    if race.recorded:
        return (
            f"{race.n_items:,} of {n_all:,} recorded items used; a race would have saved each"
            f" model {race.n_saved:,} ({race.n_saved / n_all:.0%})"
        )
    return (
        f"{race.n_items:,} of {n_all:,} items scored by each model; {race.n_saved:,} saved for each"
        f" ({race.n_saved / n_all:.0%})"
    )


def as_data(race: Race) -> dict:
    """A race for JSON, unrounded. What there is not is left out."""
    values = {name: value for name, value in race._asdict().items() if value is not None}
    return values | ({"claim": race.claim} if race.claim else {})
