"""The token table regrouped by text: an items table and a tokens table go in, reductions over each text's target tokens come out.

A text is one row of the items table; arrays of shape (draws, texts) follow its order, which is by item, option and variant. The two
tables must cover each other exactly: every text in every draw, every token once. Of a masked LM the tokens of contexts have no rows.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

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


@dataclass
class TextStats:
    """`rows` gives, for each variant, the items rows (items, options); `tokens` are numpy columns, sorted by draw, text and position."""

    table: pa.Table  # the items
    rows: dict[str, np.ndarray]
    gold: np.ndarray  # (items,) the gold option
    tokens: dict[str, np.ndarray]
    starts: np.ndarray  # (draws * texts,) where each text begins in `tokens`
    shape: tuple[int, int]  # draws, texts

    def by_option(self, values: np.ndarray, variant: str = "") -> np.ndarray:
        """(draws, texts) as (draws, items, options)."""
        return values[:, self.rows[variant]]

    def of_gold(self, values: np.ndarray) -> np.ndarray:
        """(draws, texts) as (draws, items), of the gold option."""
        return values[:, self.gold_rows]

    @cached_property
    def gold_rows(self) -> np.ndarray:
        return np.take_along_axis(self.rows[""], self.gold[:, None], 1)[:, 0]

    @cached_property
    def first_target(self) -> np.ndarray:
        """Where each text's target begins in `tokens`: the target is the end of its text."""
        return self.ends - np.add.reduceat(self.tokens["is_target"].astype(np.int64), self.starts)

    @cached_property
    def ends(self) -> np.ndarray:
        return np.append(self.starts[1:], len(self.tokens["next_id"]))

    def reduce(self, ufunc: np.ufunc, values: np.ndarray) -> np.ndarray:
        """`ufunc` over the target tokens of each text: one value a token in, (draws, texts) out."""
        bounds = np.stack([self.first_target, self.ends], 1).ravel()
        if bounds[-1] == len(values):
            bounds = bounds[:-1]
        return ufunc.reduceat(values, bounds)[::2].reshape(self.shape)

    @cached_property
    def n_tokens(self) -> np.ndarray:
        return (self.ends - self.first_target).astype(float).reshape(self.shape)

    @cached_property
    def n_inputs(self) -> np.ndarray:
        """How many tokens the model must see at once to score the whole text in one window; of a masked LM without the specials."""
        position = self.tokens["position"]
        counts_all = (position[self.starts] == 0) | self.is_without_contexts
        return (position[self.ends - 1] + counts_all).reshape(self.shape)

    @cached_property
    def is_without_contexts(self) -> bool:
        """Whether contexts have no rows, as those of masked LMs."""
        return bool(self.tokens["is_target"].all()) and bool(
            pc.any(pc.greater(pc.utf8_length(self.table["context"]), 0)).as_py()
        )

    @cached_property
    def logprob(self) -> np.ndarray:
        """Nats a target, summed in float64: of float32 values, and so as good as exact and independent of their order."""
        return self.reduce(np.add, self.tokens["logprob"].astype(np.float64))

    @cached_property
    def entropy(self) -> np.ndarray:
        return self.reduce(np.add, self.tokens["entropy"].astype(np.float64))

    @cached_property
    def probability(self) -> np.ndarray:
        """The sum of the tokens' probabilities."""
        return self.reduce(np.add, np.exp(self.tokens["logprob"].astype(np.float64)))

    @cached_property
    def worst(self) -> np.ndarray:
        return self.reduce(np.minimum, self.tokens["logprob"]).astype(np.float64)

    @cached_property
    def median(self) -> np.ndarray:
        """The median log-prob of the target tokens."""
        text = np.repeat(np.arange(len(self.starts)), self.ends - self.starts)
        logprob = np.where(
            self.tokens["is_target"], self.tokens["logprob"], -np.inf
        )  # the context sorts to the front, outside the target's span
        logprob = logprob[np.lexsort((logprob, text))].astype(np.float64)
        n = self.ends - self.first_target
        return (
            (logprob[self.first_target + (n - 1) // 2] + logprob[self.first_target + n // 2]) / 2
        ).reshape(self.shape)

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
        """Bytes of the target that no token says: those that were dropped, and those that an unknown token stands for."""
        lost = [
            self.reduce(np.add, self.tokens[name].astype(np.float64))
            for name in LOSSES
            if name in self.tokens
        ]
        return np.sum(lost, 0) if lost else np.zeros(self.shape)

    def n_lost(self, name: str) -> np.ndarray:
        """Of each text, context and target: its unknown tokens (`unknown_bytes`), or its `dropped_bytes`."""
        if name not in self.tokens:
            return np.zeros(self.shape)
        values = self.tokens[name] > 0 if name == "unknown_bytes" else self.tokens[name]
        return np.add.reduceat(values.astype(np.float64), self.starts).reshape(self.shape)

    @cached_property
    def n_bytes(self) -> np.ndarray:
        """UTF-8 bytes of the target that were scored: without those of a first token that nothing precedes, of a BOS that the text
        brings, and of characters that no token says (`n_unsaid`).
        """
        sizes = pc.binary_length(self.table["target"].cast(pa.binary())).to_numpy().astype(float)
        first = self.starts[: self.shape[1]]
        contexts, targets = self.table["context"], self.table["target"]
        dropped = self.tokens.get("dropped_bytes", np.zeros(0, np.int32))
        for row in np.flatnonzero(
            (self.tokens["start"][first] > 0) & (first == self.first_target[: self.shape[1]])
        ):
            n_chars = int(self.tokens["start"][first[row]]) - len(contexts[row].as_py())
            before = targets[row].as_py()[: max(0, n_chars)]
            if self.tokens["position"][first[row]] > 0 and (
                before.strip() or not contexts[row].as_py()
            ):
                sizes[row] -= len(before.encode())
            elif (
                before.strip()
            ):  # a BOS; whitespace alone belongs to the first token of some tokenizers
                sizes[row] -= max(
                    0, len(before.encode()) - int(dropped[first[row]] if len(dropped) else 0)
                )
        return np.broadcast_to(sizes, self.shape) - self.n_unsaid

    @cached_property
    def n_after_shared(self) -> np.ndarray:
        """(items, options) target tokens behind those that all options of an item begin with alike: only these can decide between them."""
        begins, lengths = self.starts[self.rows[""]], (self.ends - self.starts)[self.rows[""]]
        shared = lengths.min(1)
        for option in range(1, lengths.shape[1]):
            n = np.minimum(lengths[:, 0], lengths[:, option])
            step = np.arange(n.sum()) - np.repeat(np.cumsum(n) - n, n)
            one, other = np.repeat(begins[:, 0], n) + step, np.repeat(begins[:, option], n) + step
            differs = np.zeros(len(step), bool)
            for name in ("current_id", "next_id"):
                differs |= self.tokens[name][one] != self.tokens[name][other]
            shared = np.minimum(
                shared,
                np.minimum.reduceat(np.where(differs, step, np.repeat(n, n)), np.cumsum(n) - n),
            )
        if self.is_without_contexts:
            contexts = self.table["context"].to_numpy()[self.rows[""]]
            shared[(contexts != contexts[:, :1]).any(1)] = 0
        n_target = (self.ends - self.first_target)[self.rows[""]]
        return np.minimum(n_target, lengths - shared[:, None])


def text_stats(items: pa.Table, tokens: pa.Table, source: str | Path) -> TextStats:
    """The regrouped tables; `tokens` needs COLUMNS only, and the LOSSES that there are.

    Raises InputError, naming `source` and the item, where a text lacks tokens or has too many, or a log-prob or entropy is not finite.
    """
    rows, gold = _layout(items, source)
    lost = [name for name in LOSSES if name in tokens.column_names]
    columns = {
        name: tokens[name].to_numpy()
        for name in [*COLUMNS, *lost]
        if name not in ("item", "variant")
    }
    text = _text_of_token(items, tokens, columns["option"], source)
    n_draws, n_texts = int(columns["draw"].max(initial=0)) + 1, items.num_rows
    text += columns["draw"].astype(np.int64) * n_texts
    if np.any(text[1:] < text[:-1]) or np.any(
        (text[1:] == text[:-1]) & (columns["position"][1:] <= columns["position"][:-1])
    ):
        order = np.lexsort((columns["position"], text))
        text, columns = text[order], {name: values[order] for name, values in columns.items()}
    starts = np.flatnonzero(np.diff(text, prepend=-1))
    if len(starts) != n_draws * n_texts:
        missing = int(np.setdiff1d(np.arange(n_draws * n_texts), text[starts])[0])
        raise InputError(
            f"{source}: {_name(items, missing % n_texts)} has no tokens in draw {missing // n_texts}; run extract_tokens again"
        )
    stats = TextStats(items, rows, gold, columns, starts, (n_draws, n_texts))
    _check_tokens(stats, source)
    return stats


def _layout(items: pa.Table, source: str | Path) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The rows of each variant (items, options), and the gold options."""
    option, variant, gold = (
        items["option"].to_numpy(),
        items["variant"].to_numpy(zero_copy_only=False),
        items["gold"].to_numpy(),
    )
    names = pc.unique(items["item"]).to_pylist()
    rows = {}
    for name in sorted(set(variant.tolist()) | {""}):
        chosen = np.flatnonzero(variant == name)
        if (
            len(chosen) == 0
            or len(chosen) % len(names)
            or np.any(option[chosen] != np.tile(np.arange(len(chosen) // len(names)), len(names)))
        ):
            raise InputError(
                f"{source}: the items have unequal numbers of options in variant '{name}'; build_items must be run again"
            )
        rows[name] = chosen.reshape(len(names), -1)
    is_gold = gold[rows[""]]
    if np.any(is_gold.sum(1) != 1):
        item = names[int(np.flatnonzero(is_gold.sum(1) != 1)[0])]
        raise InputError(
            f"{source}: item '{item}' has {int(is_gold[names.index(item)].sum())} gold options; expected one"
        )
    return rows, is_gold.argmax(1)


def _text_of_token(
    items: pa.Table, tokens: pa.Table, option: np.ndarray, source: str | Path
) -> np.ndarray:
    """(N,) int64: the items row that each token belongs to. Raises InputError for a token of no row."""
    n_options = int(items["option"].to_numpy().max()) + 1
    keys = np.zeros(tokens.num_rows, np.int64), np.zeros(items.num_rows, np.int64)
    for name in ("item", "variant"):
        known = pc.unique(items[name])
        column = tokens[name].combine_chunks()
        codes = pc.fill_null(pc.index_in(column.dictionary, known), -1).to_numpy()[
            column.indices.to_numpy()
        ]
        if len(codes) and codes.min() < 0:
            raise InputError(
                f"{source}: tokens of {name} '{column[int(codes.argmin())]}', which the items table does not have; run extract_tokens again"
            )
        for key, part in zip(
            keys, (codes, pc.index_in(items[name], known).to_numpy()), strict=True
        ):
            key *= len(known)
            key += part
    for key, part in zip(keys, (option, items["option"].to_numpy()), strict=True):
        key *= n_options
        key += part
    lookup = np.full(int(keys[1].max()) + 1, -1, np.int64)
    lookup[keys[1]] = np.arange(items.num_rows)
    outside = (option >= n_options) | (keys[0] >= len(lookup))
    text = lookup[np.where(outside, 0, keys[0])]
    if np.any(outside | (text < 0)):
        token = int(np.flatnonzero(outside | (text < 0))[0])
        raise InputError(
            f"{source}: tokens of item '{tokens['item'][token]}' option {option[token]}, which the items table does not have"
        )
    return text


def _check_tokens(stats: TextStats, source: str | Path) -> None:
    tokens, ends, n_texts = stats.tokens, stats.ends, stats.shape[1]
    position = tokens["position"]
    gaps = position[ends - 1] - position[stats.starts] != ends - 1 - stats.starts
    if not stats.is_without_contexts:
        gaps |= position[stats.starts] > 1
    same = np.concatenate([[False], np.diff(position) == 0])
    same[stats.starts] = False
    gaps |= np.add.reduceat(same, stats.starts) > 0
    no_target = stats.first_target >= ends
    ends_early = np.zeros(len(position), bool)  # a context token behind a target token
    ends_early[1:] = tokens["is_target"][:-1] & ~tokens["is_target"][1:]
    ends_early[stats.starts] = False
    scattered = np.logical_or.reduceat(ends_early, stats.starts)
    for wrong, what in (
        (gaps, "has tokens missing or twice"),
        (no_target, "has no target token"),
        (scattered, "has a target that is not the end of its text"),
    ):
        if wrong.any():
            raise InputError(
                f"{source}: {_name(stats.table, int(np.flatnonzero(wrong)[0]) % n_texts)} {what}; run extract_tokens again"
            )
    for name in ("logprob", "entropy"):
        if not np.isfinite(tokens[name]).all():
            token = int(np.flatnonzero(~np.isfinite(tokens[name]))[0])
            text = int(np.searchsorted(stats.starts, token, "right")) - 1
            raise InputError(
                f"{source}: {_name(stats.table, text % n_texts)} has {name} {tokens[name][token]}; a model must give finite numbers"
            )


def _name(items: pa.Table, row: int) -> str:
    variant = items["variant"][row].as_py()
    return f"item '{items['item'][row]}' option {items['option'][row]}" + (
        f" variant '{variant}'" if variant else ""
    )
