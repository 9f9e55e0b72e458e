"""Which option of each item a model chose: items and tokens go in, decisions come out.

An option's value is the summed log-prob of its target. Options are tied if their values are equal.
A decision is right if the chosen option reads as the right one does: seven pairs of BLiMP are the
same sentence twice, and BabyLM compares texts.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import special

from lmcore.babylm.evaluations import TieRule
from lmcore.errors import InputError
from lmcore.folds.by_text import COLUMNS, TextStats, text_stats
from lmcore.folds.runs import runs_of_items


class Decision(NamedTuple):
    """One item's."""

    row: dict  # of the items table: the chosen option's
    is_right: bool
    first_probability: float  # of the first option, by the softmax over the summed log-probs


def decisions(
    items: Path, tokens: Path, draw: int, tie_rule: TieRule = "first"
) -> Iterator[Decision]:
    """The decision of each item of the table at `items`, in their order.

    Of tied options, the first is chosen, or one that is `drawn` by the item's content hash. `draw`
    is that of a random model. Raises InputError where there is no such draw, and as
    lmcore.folds.by_text does.
    """
    for texts in read_texts(items, tokens):
        check_draw(draw, texts.shape[0], tokens)
        chosen_rows, is_right = decided(texts, draw, tie_rule)
        first = special.softmax(texts.by_option(texts.logprob)[draw], -1)[:, 0]
        rows = texts.table.take(chosen_rows).to_pylist()
        for row, right, probability in zip(rows, is_right, first, strict=True):
            yield Decision(row, bool(right), float(probability))


def decided(texts: TextStats, draw: int, tie_rule: TieRule) -> tuple[np.ndarray, np.ndarray]:
    """(items,) the rows of the chosen options in the items table, and whether they are right."""
    logprobs = texts.by_option(texts.logprob)[draw]  # (items, options)
    rows = texts.rows[""]
    hashes = texts.table["content_hash"].to_numpy()[rows[:, 0]]
    chosen = chosen_options(logprobs, hashes, tie_rule)
    chosen_rows = np.take_along_axis(rows, chosen[:, None], 1)[:, 0]
    return chosen_rows, reads_alike(texts.table, chosen_rows, texts.gold_rows)


def check_draw(draw: int, n_draws: int, source: Path) -> None:
    """Raises InputError where there is no such draw."""
    if not 0 <= draw < n_draws:
        raise InputError(f"{source}: there is no draw {draw}; draws are 0 to {n_draws - 1}")


def chosen_options(logprobs: np.ndarray, hashes: np.ndarray, tie_rule: TieRule) -> np.ndarray:
    """(items,): the option that is chosen. logprobs: (items, options); hashes: (items,)."""
    is_best = logprobs == logprobs.max(-1, keepdims=True)
    place = drawn_place(hashes, is_best.sum(-1), tie_rule)
    return (is_best & (is_best.cumsum(-1) == place[:, None] + 1)).argmax(-1)


def drawn_place(hashes: np.ndarray, n_best: np.ndarray, tie_rule: TieRule) -> np.ndarray:
    """(items,): which of the best options is chosen, from 0.

    It is the first one, or that of the content hash modulo the number of best options.
    """
    if tie_rule == "first":
        return np.zeros(len(hashes), np.int64)
    return (hashes % n_best.astype(np.uint64)).astype(np.int64)


def reads_alike(items: pa.Table, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(N,) bool: whether the texts in two rows of the items table are the same; one, other: (N,).

    Spaces at the ends of context and target do not count.
    """
    is_same = np.ones(len(one), bool)
    for name in ("context", "target"):
        texts = pc.utf8_trim_whitespace(items[name])
        is_same &= pc.equal(texts.take(one), texts.take(other)).to_numpy()
    return is_same


def read_texts(items: Path, tokens: Path) -> Iterator[TextStats]:
    """The tokens of a suite's items, regrouped by text, in runs of items (lmcore.folds.runs)."""
    for run in runs_of_items(items, tokens, COLUMNS):
        yield text_stats(run.items, run.tokens, tokens, run.whole)
