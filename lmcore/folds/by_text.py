"""The token table regrouped by text.

An items table and a tokens table go in; reductions over each text's target tokens come out.

A text is one row of the items table; arrays of shape (draws, texts) follow its order, which is by
item, option and variant. The two tables must cover each other exactly: every text in every draw,
every token once. Under a masked LM the tokens of contexts have no rows.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lmcore.errors import InputError
from lmcore.tables import LOSSES

COLUMNS = [
    "item",
    "draw",
    "option",
    "variant",
    "position",
    "current_id",
    "next_id",
    "start",
    "is_target",
    "logprob",
    "entropy",
    "rank",
    "top_id",
]
# the log mass of word-beginning tokens before and after each token, in suites that have it
BOW = ("bow_logprob", "next_bow_logprob")


class Whole(NamedTuple):
    """What holds for all texts of a suite, of which some are looked at at a time."""

    n_draws: int
    is_without_contexts: bool  # as of TextStats


@dataclass
class TextStats:
    """The tokens of a suite by text, and what follows from them for each text."""

    table: pa.Table  # the items
    rows: dict[str, np.ndarray]  # of each variant (items, options): the rows of the items table
    gold: np.ndarray  # (items,) the gold option
    tokens: dict[str, np.ndarray]  # columns, sorted by draw, text and position
    starts: np.ndarray  # (draws * texts,) where each text begins in `tokens`
    shape: tuple[int, int]  # draws, texts
    # what holds for all texts of a suite, where these are only some of them
    whole: Whole | None = None

    def by_option(self, values: np.ndarray, variant: str = "") -> np.ndarray:
        """(draws, texts) as (draws, items, options)."""
        return values[:, self.rows[variant]]

    def of_gold(self, values: np.ndarray) -> np.ndarray:
        """(draws, texts) as (draws, items), of the gold option."""
        return values[:, self.gold_rows]

    @cached_property
    def gold_rows(self) -> np.ndarray:
        """(items,) the items row of the gold option."""
        return np.take_along_axis(self.rows[""], self.gold[:, None], 1)[:, 0]

    @cached_property
    def first_target(self) -> np.ndarray:
        """(draws * texts,) where each text's target begins in `tokens`.

        The target is the end of its text.
        """
        return self.ends - np.add.reduceat(self.tokens["is_target"].astype(np.int64), self.starts)

    @cached_property
    def ends(self) -> np.ndarray:
        """(draws * texts,) where each text ends in `tokens`."""
        return np.append(self.starts[1:], len(self.tokens["next_id"]))

    def reduce(self, ufunc: np.ufunc, values: np.ndarray) -> np.ndarray:
        """`ufunc` over the target tokens of each text: one value a token in, (draws, texts) out."""
        bounds = np.stack([self.first_target, self.ends], 1).ravel()
        if bounds[-1] == len(values):
            bounds = bounds[:-1]
        return ufunc.reduceat(values, bounds)[::2].reshape(self.shape)

    @cached_property
    def n_tokens(self) -> np.ndarray:
        """The number of target tokens."""
        return (self.ends - self.first_target).astype(float).reshape(self.shape)

    @cached_property
    def n_inputs(self) -> np.ndarray:
        """How many tokens the model must see at once to score the whole text in one window.

        The special tokens of a masked LM are not counted.
        """
        position = self.tokens["position"]
        counts_all = (position[self.starts] == 0) | self.is_without_contexts
        return (position[self.ends - 1] + counts_all).reshape(self.shape)

    @cached_property
    def is_without_contexts(self) -> bool:
        """Whether contexts have no rows, as those of masked LMs."""
        if self.whole is not None:
            return self.whole.is_without_contexts
        return bool(self.tokens["is_target"].all()) and bool(
            pc.any(pc.greater(pc.utf8_length(self.table["context"]), 0)).as_py()
        )

    @cached_property
    def logprob(self) -> np.ndarray:
        """The log-prob of the target, in nats.

        It is a float64 sum of float32 values, and so as good as exact and independent of their
        order.
        """
        return self.reduce(np.add, self.tokens["logprob"].astype(np.float64))

    @cached_property
    def entropy(self) -> np.ndarray:
        """The sum of the target tokens' entropies, in nats."""
        return self.reduce(np.add, self.tokens["entropy"].astype(np.float64))

    @cached_property
    def probability(self) -> np.ndarray:
        """The sum of the target tokens' probabilities."""
        return self.reduce(np.add, np.exp(self.tokens["logprob"].astype(np.float64)))

    @cached_property
    def worst(self) -> np.ndarray:
        """The lowest log-prob of a target token."""
        return self.reduce(np.minimum, self.tokens["logprob"]).astype(np.float64)

    @cached_property
    def median(self) -> np.ndarray:
        """The median log-prob of the target tokens."""
        text = np.repeat(np.arange(len(self.starts)), self.ends - self.starts)
        # the context sorts to the front, outside the target's span
        logprob = np.where(self.tokens["is_target"], self.tokens["logprob"], -np.inf)
        logprob = logprob[np.lexsort((logprob, text))].astype(np.float64)
        n = self.ends - self.first_target
        lower = logprob[self.first_target + (n - 1) // 2]
        upper = logprob[self.first_target + n // 2]
        return ((lower + upper) / 2).reshape(self.shape)

    @cached_property
    def first_rank(self) -> np.ndarray:
        """The rank of the first target token."""
        return self.tokens["rank"][self.first_target].reshape(self.shape)

    @cached_property
    def all_top(self) -> np.ndarray:
        """Whether every target token is the one that greedy decoding gives."""
        return self.reduce(np.logical_and, self.tokens["top_id"] == self.tokens["next_id"])

    @cached_property
    def all_rank_one(self) -> np.ndarray:
        """Whether no token is more probable than any target token (another may be as probable)."""
        return self.reduce(np.logical_and, self.tokens["rank"] == 1)

    @cached_property
    def n_unsaid(self) -> np.ndarray:
        """Bytes of the target that no token represents.

        These are bytes that were dropped, and bytes that an unknown token stands for.
        """
        lost = [
            self.reduce(np.add, self.tokens[name].astype(np.float64))
            for name in LOSSES
            if name in self.tokens
        ]
        return np.sum(lost, 0) if lost else np.zeros(self.shape)

    def n_lost(self, name: str) -> np.ndarray:
        """What the tokenizer loses of each text, context and target together.

        These are the unknown tokens for the name `unknown_bytes`, the bytes for `dropped_bytes`.
        """
        if name not in self.tokens:
            return np.zeros(self.shape)
        values = self.tokens[name] > 0 if name == "unknown_bytes" else self.tokens[name]
        return np.add.reduceat(values.astype(np.float64), self.starts).reshape(self.shape)

    @cached_property
    def n_bytes(self) -> np.ndarray:
        """UTF-8 bytes of the target that were scored.

        Not counted are those of a first token that nothing precedes, of a BOS that the text itself
        brings, and of characters that no token represents (`n_unsaid`).
        """
        sizes = pc.binary_length(self.table["target"].cast(pa.binary())).to_numpy().astype(float)
        n_texts = self.shape[1]
        first = self.starts[:n_texts]
        begins_late = self.tokens["start"][first] > 0
        begins_with_target = first == self.first_target[:n_texts]
        for row in np.flatnonzero(begins_late & begins_with_target).tolist():
            sizes[row] -= self._n_bytes_before_first_token(row)
        return np.broadcast_to(sizes, self.shape) - self.n_unsaid

    def _n_bytes_before_first_token(self, row: int) -> int:
        """Bytes of a target, before the first token of its text, that were not scored."""
        context, target = self.table["context"][row].as_py(), self.table["target"][row].as_py()
        token = self.starts[row]
        n_chars = int(self.tokens["start"][token]) - len(context)
        before = target[: max(0, n_chars)]
        if self.tokens["position"][token] > 0 and (before.strip() or not context):
            return len(before.encode())
        if before.strip():  # a BOS; some tokenizers leave whitespace alone to the first token
            n_dropped = 0
            if "dropped_bytes" in self.tokens:
                n_dropped = int(self.tokens["dropped_bytes"][token])
            return max(0, len(before.encode()) - n_dropped)
        return 0

    @cached_property
    def n_after_shared(self) -> np.ndarray:
        """(items, options) target tokens behind the beginning that all options of an item share.

        Only these tokens can decide between the options.
        """
        rows = self.rows[""]
        begins, lengths = self.starts[rows], (self.ends - self.starts)[rows]
        n_shared = lengths.min(1)
        for option in range(1, lengths.shape[1]):
            n = np.minimum(lengths[:, 0], lengths[:, option])
            n_shared = np.minimum(n_shared, self._n_alike(begins[:, 0], begins[:, option], n))
        if self.is_without_contexts:
            contexts = self.table["context"].to_numpy()[rows]
            n_shared[(contexts != contexts[:, :1]).any(1)] = 0
        n_target = (self.ends - self.first_target)[rows]
        return np.minimum(n_target, lengths - n_shared[:, None])

    def _n_alike(self, one: np.ndarray, other: np.ndarray, n: np.ndarray) -> np.ndarray:
        """(items,) the number of tokens that two texts of an item begin with alike.

        one, other: (items,) where the two texts begin in `tokens`; n: (items,) the tokens of the
        shorter one.
        """
        first = np.cumsum(n) - n
        step = np.arange(n.sum()) - np.repeat(first, n)  # from 0 to n - 1, item by item
        differs = np.zeros(len(step), bool)
        for name in ("current_id", "next_id"):
            ids = self.tokens[name]
            differs |= ids[np.repeat(one, n) + step] != ids[np.repeat(other, n) + step]
        return np.minimum.reduceat(np.where(differs, step, np.repeat(n, n)), first)


def text_stats(
    items: pa.Table, tokens: pa.Table, source: str | Path, whole: Whole | None = None
) -> TextStats:
    """The regrouped tables; `tokens` needs only COLUMNS, and those of LOSSES and BOW that it has.

    `whole` is given where these are only some of the items of a suite.

    Raises InputError, naming `source` and the item, where a text lacks tokens or has too many, or
    where a log-prob or entropy is not finite.
    """
    rows, gold = _layout(items, source)
    names = [name for name in COLUMNS if name not in ("item", "variant")]
    names += [name for name in (*LOSSES, *BOW) if name in tokens.column_names]
    columns = {name: tokens[name].to_numpy() for name in names}
    text = _text_of_token(items, tokens, columns["option"], source)
    n_draws = whole.n_draws if whole else int(columns["draw"].max(initial=0)) + 1
    n_texts = items.num_rows
    text += columns["draw"].astype(np.int64) * n_texts  # numbered through all draws
    if not _is_sorted(text, columns["position"]):
        order = np.lexsort((columns["position"], text))
        text, columns = text[order], {name: values[order] for name, values in columns.items()}
    starts = np.flatnonzero(np.diff(text, prepend=-1))
    if len(starts) != n_draws * n_texts:
        missing = int(np.setdiff1d(np.arange(n_draws * n_texts), text[starts])[0])
        raise InputError(
            f"{source}: {_name(items, missing % n_texts)} has no tokens in draw "
            f"{missing // n_texts}; run extract_tokens again"
        )
    stats = TextStats(items, rows, gold, columns, starts, (n_draws, n_texts), whole)
    _check_tokens(stats, source)
    return stats


def is_right_option(items: pa.Table) -> np.ndarray:
    """(items rows,) bool: which rows are their item's right option, and in no variant.

    Their target tokens are those that the metrics of the gold target and the analyses count.
    """
    has_no_variant = pc.equal(items["variant"].cast(pa.string()), "")
    return pc.and_(items["gold"], has_no_variant).to_numpy()


def _is_sorted(text: np.ndarray, position: np.ndarray) -> bool:
    """Whether tokens are in the order of their texts, and within a text of their positions."""
    if np.any(text[1:] < text[:-1]):
        return False
    is_same_text = text[1:] == text[:-1]
    return not np.any(is_same_text & (position[1:] <= position[:-1]))


def _layout(items: pa.Table, source: str | Path) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """{variant: (items, options) its rows}, and (items,) the gold options.

    Raises InputError for items with unequal numbers of options, or not one gold option each.
    """
    option = items["option"].to_numpy()
    variant = items["variant"].to_numpy(zero_copy_only=False)
    names = pc.unique(items["item"]).to_pylist()
    rows = {}
    for name in sorted(set(variant.tolist()) | {""}):
        chosen = np.flatnonzero(variant == name)
        if not _is_a_grid(option[chosen], len(names)):
            raise InputError(
                f"{source}: the items have unequal numbers of options in variant '{name}'; "
                "run build_items again"
            )
        rows[name] = chosen.reshape(len(names), -1)
    is_gold = is_right_option(items)[rows[""]]
    n_gold = is_gold.sum(1)
    if np.any(n_gold != 1):
        number = int(np.flatnonzero(n_gold != 1)[0])
        raise InputError(
            f"{source}: item '{names[number]}' has {int(n_gold[number])} gold options; expected one"
        )
    return rows, is_gold.argmax(1)


def _is_a_grid(option: np.ndarray, n_items: int) -> bool:
    """Whether the options of the rows are 0, 1, ... for each of `n_items` items, equally many."""
    if len(option) == 0 or len(option) % n_items:
        return False
    expected = np.tile(np.arange(len(option) // n_items), n_items)
    return not np.any(option != expected)


def _text_of_token(
    items: pa.Table, tokens: pa.Table, option: np.ndarray, source: str | Path
) -> np.ndarray:
    """(N,) int64: the items row that each token belongs to.

    option: (N,) the tokens' options.

    Raises InputError for a token that belongs to no row.
    """
    # one number for item, variant and option, of each token and of each items row
    token_keys = np.zeros(tokens.num_rows, np.int64)
    item_keys = np.zeros(items.num_rows, np.int64)
    for name in ("item", "variant"):
        known = pc.unique(items[name])
        token_keys *= len(known)
        token_keys += _codes(tokens[name].combine_chunks(), known, name, source)
        item_keys *= len(known)
        item_keys += pc.index_in(items[name], known).to_numpy()
    item_options = items["option"].to_numpy()
    n_options = int(item_options.max()) + 1
    token_keys *= n_options
    token_keys += option
    item_keys *= n_options
    item_keys += item_options
    row_of_key = np.full(int(item_keys.max()) + 1, -1, np.int64)
    row_of_key[item_keys] = np.arange(items.num_rows)
    is_outside = (option >= n_options) | (token_keys >= len(row_of_key))
    text = row_of_key[np.where(is_outside, 0, token_keys)]
    if np.any(is_outside | (text < 0)):
        token = int(np.flatnonzero(is_outside | (text < 0))[0])
        raise InputError(
            f"{source}: has tokens of item '{tokens['item'][token]}' option {option[token]}, "
            "which the items table does not have; run extract_tokens again"
        )
    return text


def _codes(
    column: pa.DictionaryArray, known: pa.Array, name: str, source: str | Path
) -> np.ndarray:
    """(N,) the place of each value of a column among the known values.

    Raises InputError, naming the column and `source`, for a value that is not known.
    """
    code_of_entry = pc.fill_null(pc.index_in(column.dictionary, known), -1).to_numpy()
    codes = code_of_entry[column.indices.to_numpy()]
    if len(codes) and codes.min() < 0:
        raise InputError(
            f"{source}: has tokens of {name} '{column[int(codes.argmin())]}', "
            "which the items table does not have; run extract_tokens again"
        )
    return codes


def _check_tokens(stats: TextStats, source: str | Path) -> None:
    """Raises InputError for the first text whose tokens are not one text's, or not finite."""
    tokens, n_texts = stats.tokens, stats.shape[1]
    for is_wrong, problem in (
        (_has_gaps(stats), "has tokens missing or twice"),
        (stats.first_target >= stats.ends, "has no target token"),
        (_is_scattered(stats), "has a target that is not the end of its text"),
    ):
        if is_wrong.any():
            text = int(np.flatnonzero(is_wrong)[0]) % n_texts
            raise InputError(
                f"{source}: {_name(stats.table, text)} {problem}; run extract_tokens again"
            )
    for name in ("logprob", "entropy"):
        is_finite = np.isfinite(tokens[name])
        if not is_finite.all():
            token = int(np.flatnonzero(~is_finite)[0])
            text = (int(np.searchsorted(stats.starts, token, "right")) - 1) % n_texts
            raise InputError(
                f"{source}: {_name(stats.table, text)} has {name} {tokens[name][token]}; "
                "a model must give finite numbers"
            )


def _has_gaps(stats: TextStats) -> np.ndarray:
    """(draws * texts,) bool: whether positions of a text are missing or there twice."""
    position, last = stats.tokens["position"], stats.ends - 1
    has_gaps = position[last] - position[stats.starts] != last - stats.starts
    if not stats.is_without_contexts:
        has_gaps |= position[stats.starts] > 1
    is_repeated = np.concatenate([[False], np.diff(position) == 0])
    is_repeated[stats.starts] = False
    return has_gaps | (np.add.reduceat(is_repeated, stats.starts) > 0)


def _is_scattered(stats: TextStats) -> np.ndarray:
    """(draws * texts,) bool: whether a context token stands behind a target token."""
    is_target = stats.tokens["is_target"]
    is_behind = np.zeros(len(is_target), bool)
    is_behind[1:] = is_target[:-1] & ~is_target[1:]
    is_behind[stats.starts] = False
    return np.logical_or.reduceat(is_behind, stats.starts)


def _name(items: pa.Table, row: int) -> str:
    """What a message calls the text in this row."""
    variant = items["variant"][row].as_py()
    name = f"item '{items['item'][row]}' option {items['option'][row]}"
    return f"{name} variant '{variant}'" if variant else name
