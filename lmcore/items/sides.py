"""What two or more sides say of the items of one suite: where their tables are, and their values.

A side is a model, or a model in a revision. Its scores, tokens and tokenizer are read when they are
asked for, from files (`side_of_files`) or from a revision (lmcore.items.revisions).

What an item's value is depends on the kind of its suite (MEASURES). Pairs and choices have the lead
of the right option, in nats: its log-prob minus that of the best other one. It comes from the
tokens, everything else from the scores. A random model has the mean over its draws.
"""

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lmcore.errors import InputError
from lmcore.folds.fold import PSEUDO
from lmcore.tables import SCORES, check, parts_of
from lmcore.text.readable import token_texts
from lmcore.text.tokenizer import load_fast

SCORE_COLUMNS = ["item", "draw", "group", "metric", "value", "content_hash"]
TOKEN_COLUMNS = [
    "item",
    "draw",
    "option",
    "variant",
    "position",
    "start",
    "end",
    "is_target",
    "logprob",
    "entropy",
    "rank",
    "top_id",
    "top_logprob",
]
TOP_COLUMNS = ["top_ids", "top_logprobs"]  # in suites with scoring `top_k`


class Measure(NamedTuple):
    """What is shown of an item of one kind of suite.

    `metric` is the value's among the scores; without one it is the lead, from the tokens.
    `differs_by` is the metric by which two sides differ; `is_decision` says that it is one of right
    and wrong.
    """

    label: str
    unit: str
    metric: str
    differs_by: str
    is_decision: bool
    is_less_better: bool = False
    rank: str = ""  # the metric that is the target's rank


MEASURES = {
    "pairs": Measure("lead of the right option", "nats", "", "accuracy", True),
    "choices": Measure("lead of the right option", "nats", "", "accuracy", True),
    "completion": Measure(
        "log-prob of the target", "nats", "target_logprob", "accuracy", True, rank="rank"
    ),
    "text": Measure(
        "surprisal",
        "bits per byte",
        "surprisal_per_byte",
        "surprisal_per_byte",
        is_decision=False,
        is_less_better=True,
    ),
    "graded": Measure("lead of the first text", "nats", "", "first_probability", False),
    "reading": Measure(
        "surprisal of the word",
        "bits",
        "surprisal",
        "surprisal",
        is_decision=False,
        is_less_better=True,
    ),
}


class Side(NamedTuple):
    """One of the things that are compared.

    `scores(metrics)` has the rows of these metrics, in SCORE_COLUMNS. `tokens(items)` has those of
    these items, in TOKEN_COLUMNS and, where they are there, TOP_COLUMNS. `token_texts()` has the
    texts of the tokenizer's ids.
    """

    name: str
    scores: Callable[[list[str]], pa.Table]
    tokens: Callable[[list[str]], pa.Table]
    token_texts: Callable[[], list[str]]


class ItemSet(NamedTuple):
    """The items of a suite, and the sides that were scored on them.

    `items()` is the items table.
    """

    label: str
    kind: str
    items: Callable[[], pa.Table]
    sides: list[Side]

    @property
    def measure(self) -> Measure:
        """What is shown of its items."""
        return MEASURES[self.kind]


class Values(NamedTuple):
    """What a side scored on each of some items, in their order; NaN where it has no such metric."""

    right: np.ndarray  # (N,) the metric `differs_by`
    value: np.ndarray  # (N,) the metric `metric`; NaN for a lead
    rank: np.ndarray  # (N,)
    is_masked: bool


def side_of_files(name: str, scores: Path, tokens: Path, model: Path) -> Side:
    """The side of a model whose tables lie in the file `scores` and the file or folder `tokens`.

    `model` is the folder with its tokenizer.
    """
    return Side(
        name,
        partial(_scores_of, scores),
        partial(read_tokens, tokens),
        cache(partial(_texts_of_model, model)),
    )


def _scores_of(path: Path, metrics: list[str]) -> pa.Table:
    """The rows of these metrics. Raises InputError where there is no scores table."""
    parts_of(path)  # says what is missing
    try:
        table = pq.read_table(
            path, columns=SCORE_COLUMNS, partitioning=None, filters=[("metric", "in", metrics)]
        )
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise InputError(f"{path}: not a readable scores table: {error}") from error
    return check(table, pa.schema([SCORES.field(name) for name in SCORE_COLUMNS]), path)


def read_tokens(path: Path, items: list[str]) -> pa.Table:
    """The token rows of these items; the files' statistics say which of them need not be read.

    Raises InputError where there is no tokens table.
    """
    tables: list[pa.Table] = []
    try:
        for part in parts_of(path):
            known = pq.read_schema(part).names
            top = [name for name in TOP_COLUMNS if name in known]
            table = pq.read_table(
                part,
                columns=TOKEN_COLUMNS + top,
                partitioning=None,
                filters=[("item", "in", items)],
            )
            if len(table) or not tables:
                tables.append(table)
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise InputError(f"{path}: not a readable tokens table: {error}") from error
    return pa.concat_tables(tables, promote_options="default").unify_dictionaries()


def _texts_of_model(folder: Path) -> list[str]:
    return token_texts(load_fast(folder))


def values_of(side: Side, measure: Measure, items: pa.Array, hashes: np.ndarray) -> Values | None:
    """What a side scored on the `items` with these content hashes.

    None where it has not scored all of them, or other contents under their names.
    """
    names = {"right": measure.differs_by, "value": measure.metric, "rank": measure.rank}
    asked = sorted({name for name in names.values() if name})
    table = side.scores([*asked, *(PSEUDO + name for name in asked)])
    there = set(pc.unique(table["metric"]).to_pylist())
    columns = {}
    for field, name in names.items():
        known = [metric for metric in (name, PSEUDO + name) if metric in there]
        values = np.full(len(items), np.nan)
        if known:
            found = _means(table, known[0], items, hashes)
            if found is None:
                return None
            values = found
        columns[field] = values
    if np.isnan(columns["right"]).all():
        return None
    return Values(**columns, is_masked=any(name.startswith(PSEUDO) for name in there))


def _means(table: pa.Table, metric: str, items: pa.Array, hashes: np.ndarray) -> np.ndarray | None:
    """(N,) the means over draws of a metric; None where an item is missing or another one."""
    rows = table.filter(pc.equal(table["metric"].cast(pa.string()), metric))
    places = pc.index_in(items, pa.array(rows["item"].cast(pa.string()).combine_chunks()))
    if places.null_count:
        return None
    of_rows = rows["content_hash"].to_numpy()
    if (of_rows[places.to_numpy()] != hashes).any():
        return None
    place = pc.index_in(rows["item"].cast(pa.string()), items)
    is_asked = place.is_valid().to_numpy()
    numbers = place.drop_null().to_numpy()
    sums = np.bincount(numbers, rows["value"].to_numpy()[is_asked], minlength=len(items))
    return sums / np.bincount(numbers, minlength=len(items))
