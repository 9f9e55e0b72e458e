"""A suite's texts under several models, some whole items at a time.

Token tables of one suite go in. Words come out, and tokens where they are the same for all models.

Tokenizers may differ, and then tokens are not the same things. A text is therefore cut into words
that every model scores whole (lmcore.analysis.word_units). Words that the tokenizer of a model
cannot represent completely are left out for all models, as are first words without a probability.

The entropy of a word is the sum over its tokens: what was undecided on the way along this word. The
draws of a random model are averaged.
"""

import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lmcore.analysis.word_units import (
    WordGrid,
    correct_word_boundaries,
    joined_words,
    word_grid,
    words_of_tokens,
)
from lmcore.errors import InputError
from lmcore.folds.by_text import COLUMNS, is_right_option, text_stats
from lmcore.folds.runs import ItemsInOrder
from lmcore.tables import LOSSES, concat_parts, parts_of

CHUNK_ROWS = 200_000  # token rows of one model that are looked at together
BITS = math.log(2)  # nats
BOW = ("bow_logprob", "next_bow_logprob")


class Words(NamedTuple):
    """What one model says of the words (units) of some items; arrays are (words,)."""

    surprisal: np.ndarray  # bits
    entropy: np.ndarray  # nats


class Shared(NamedTuple):
    """Some items under all models."""

    words: dict[str, Words]  # by model
    item: np.ndarray  # (words,) the number of each word's item
    n_bytes: np.ndarray  # (words,)
    tokens: dict[str, dict[str, np.ndarray]]  # {model: columns}, of models with the same tokens
    n_items: int
    n_joined: int  # words that are one unit with the word before them
    n_dropped: int  # units that are left out


class _ModelTokens(NamedTuple):
    """One model's tokens on the texts of a chunk, sorted by draw, text and position."""

    columns: dict[str, np.ndarray]  # (T,) each
    text: np.ndarray  # (T,) the number of each token's text
    first: np.ndarray  # (T,) the first word that the token has a part in
    last: np.ndarray  # (T,) the last one
    begins: np.ndarray  # (texts,) where each text begins among the tokens of the first draw
    n_draws: int


def shared_chunks(
    items: pa.Table | Path, tokens: dict[str, Path], groups: list[list[str]], *, corrected: bool
) -> Iterator[Shared]:
    """The suite in chunks of whole items, each under all models.

    groups: the models of one tokenizer each; items: the table, or its path where it is read only
    as far as the tokens are.
    """
    names = [*COLUMNS, "end", *(BOW if corrected else ())]
    give: Callable[[str], pa.Table] = (
        ItemsInOrder(items).until if isinstance(items, Path) else partial(_all, items)
    )
    for parts in _aligned_parts(tokens):
        tables = {model: _read(files, names) for model, files in parts.items()}
        ids = pc.unique(next(iter(tables.values()))["item"].cast(pa.string()))
        rows = give(pc.max(ids).as_py())
        chunk = rows.filter(pc.is_in(rows["item"], ids))
        yield _share(chunk, tables, groups, tokens, corrected)


def _all(items: pa.Table, last: str) -> pa.Table:
    """All items, whatever the `last` one that is needed."""
    return items


def _aligned_parts(tokens: dict[str, Path]) -> Iterator[dict[str, list[Path]]]:
    """Files of every model that cover the same whole items, at least CHUNK_ROWS rows at a time.

    Shards are cut by the items alone, so that the n-th shards of all models hold the same items. A
    long text that is cut into several shards stays together.
    """
    files = {model: parts_of(path) for model, path in tokens.items()}
    if len({len(parts) for parts in files.values()}) > 1:  # extracted with different shard_chars
        yield files
        return
    first = next(iter(files))
    start = n_rows = 0
    for number, part in enumerate(files[first]):
        n_rows += pq.read_metadata(part).num_rows
        is_last = number + 1 == len(files[first])
        if is_last or (n_rows >= CHUNK_ROWS and not _goes_on(part, files[first][number + 1])):
            yield {model: parts[start : number + 1] for model, parts in files.items()}
            start, n_rows = number + 1, 0


def _goes_on(part: Path, following: Path) -> bool:
    """Whether the last item of a part goes on in the part that follows."""
    with pq.ParquetFile(part) as file, pq.ParquetFile(following) as next_file:
        if not file.num_row_groups or not next_file.num_row_groups:
            return False
        items = file.read_row_group(file.num_row_groups - 1, columns=["item"])["item"]
        first = next(next_file.iter_batches(batch_size=1, columns=["item"]))["item"]
        return items[-1].as_py() == first[0].as_py()


def _read(files: list[Path], names: list[str]) -> pa.Table:
    """The columns `names` of the files. Raises InputError where the first file lacks one."""
    known = pq.read_schema(files[0]).names
    if missing := [name for name in names if name not in known]:
        raise InputError(
            f"{files[0]}: column '{missing[0]}' is missing; "
            "set `scoring: {bow: true}` for the suite and extract its tokens again"
        )
    tables = [pq.read_table(file, columns=names, partitioning=None) for file in files]
    return concat_parts(files, tables)


def _share(
    items: pa.Table,
    tables: dict[str, pa.Table],
    groups: list[list[str]],
    paths: dict[str, Path],
    corrected: bool,
) -> Shared:
    """The items of one chunk under all models; `tables` holds the tokens of each model."""
    contexts, targets = items["context"].to_pylist(), items["target"].to_pylist()
    grid = word_grid([context + target for context, target in zip(contexts, targets)])
    n_words = len(grid.starts)
    joined, lost = np.zeros(n_words, bool), np.zeros(n_words, bool)
    by_model: dict[str, _ModelTokens] = {}
    for model, table in tables.items():
        tokens = _model_tokens(items, table, grid, paths[model])
        joined |= joined_words(n_words, tokens.first, tokens.last)
        lost |= _unscored_words(grid, tokens)
        lost |= _unsaid_words(n_words, tokens.first, tokens.last, tokens.columns)
        by_model[model] = tokens
    unit = np.cumsum(~joined) - 1  # (words,) the unit of each word
    heads = np.flatnonzero(~joined)  # (units,) the first word of each unit
    text_of_unit = grid.text_of_word[heads]
    is_gold = is_right_option(items)
    n_context = np.array([len(context) for context in contexts])
    is_target = is_gold[text_of_unit] & (grid.starts[heads] >= n_context[text_of_unit])
    is_dropped = np.bincount(unit, weights=lost) > 0
    keep = is_target & ~is_dropped
    item = _item_numbers(items)
    same_tokens: dict[str, dict[str, np.ndarray]] = {}
    for group in groups:
        if len(group) > 1:
            for model in group:
                same_tokens[model] = _target_tokens(by_model[model], is_gold, item)
    return Shared(
        words={model: _words(by_model[model], unit, keep, corrected) for model in by_model},
        item=item[text_of_unit[keep]],
        n_bytes=np.bincount(unit, weights=grid.n_bytes)[keep],
        tokens=same_tokens,
        n_items=int(item[-1]) + 1,
        n_joined=int((joined & keep[unit]).sum()),
        n_dropped=int((is_target & is_dropped).sum()),
    )


def _model_tokens(items: pa.Table, table: pa.Table, grid: WordGrid, path: Path) -> _ModelTokens:
    """One model's tokens, from its token table of these items.

    Raises InputError, naming `path`, where the table does not cover the items exactly.
    """
    stats = text_stats(items, table, path)
    n_draws, n_texts = stats.shape
    order = np.argsort(table["draw"].to_numpy(), kind="stable")  # the order of text_stats
    columns = dict(stats.tokens)
    for name in table.column_names:
        if name in ("end", *BOW):
            columns[name] = table[name].to_numpy()[order]
    text = np.repeat(np.arange(len(stats.starts)) % n_texts, stats.ends - stats.starts)
    first, last = words_of_tokens(grid, text, columns["start"], columns["end"])
    begins = stats.starts[:n_texts]
    return _ModelTokens(columns, text, first, last, begins, n_draws)


def _unscored_words(grid: WordGrid, tokens: _ModelTokens) -> np.ndarray:
    """(words,) bool: the words that a first token without a probability takes with it."""
    is_unscored = np.zeros(len(grid.starts), bool)
    position, start = tokens.columns["position"], tokens.columns["start"]
    for row in np.flatnonzero(position[tokens.begins] > 0):
        offset = grid.offsets[row]
        first = grid.word_at[offset]
        last = grid.word_before[offset + start[tokens.begins[row]]]
        is_unscored[first : last + 1] = True
    return is_unscored


def _unsaid_words(n_words: int, first: np.ndarray, last: np.ndarray, columns: dict) -> np.ndarray:
    """(words,) bool: whether a model's tokens do not represent all of the word.

    Either the model has no token for the word, or its tokens lose a part of it
    (lmcore.text.token_losses). What was dropped counts for the words of the token beside it.

    first, last: (T,) the words of each token.
    """
    has_losses = np.zeros(len(first), bool)
    for name in LOSSES:
        if name in columns:
            has_losses |= columns[name] > 0
    n_tokens = _tokens_per_word(n_words, first, last)
    n_with_losses = _tokens_per_word(n_words, first[has_losses], last[has_losses])
    return (n_tokens == 0) | (n_with_losses > 0)


def _tokens_per_word(n_words: int, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """(words,) how many tokens have a part in each word; first, last: (T,) as above."""
    begun = np.bincount(first, minlength=n_words + 1)
    over = np.bincount(last + 1, minlength=n_words + 1)
    return np.cumsum(begun - over)[:-1]


def _item_numbers(items: pa.Table) -> np.ndarray:
    """(texts,) the number of each text's item, from 0; rows are sorted by item."""
    codes = items["item"].combine_chunks().dictionary_encode().indices.to_numpy()
    return codes.astype(np.int64)


def _words(tokens: _ModelTokens, unit: np.ndarray, keep: np.ndarray, corrected: bool) -> Words:
    """What a model says of the units to keep, averaged over draws.

    unit: (words,) the unit of each word; keep: (units,) bool.
    """
    columns = tokens.columns
    unit_of_token = unit[tokens.first]
    logprob = columns["logprob"]
    if corrected:
        logprob = correct_word_boundaries(
            logprob, unit_of_token, tokens.text, columns[BOW[0]], columns[BOW[1]]
        )
    n_units = len(keep)
    logprobs = np.bincount(unit_of_token, weights=logprob, minlength=n_units)
    entropies = np.bincount(unit_of_token, weights=columns["entropy"], minlength=n_units)
    return Words(-(logprobs[keep] / tokens.n_draws) / BITS, entropies[keep] / tokens.n_draws)


def _target_tokens(
    tokens: _ModelTokens, is_gold: np.ndarray, item: np.ndarray
) -> dict[str, np.ndarray]:
    """The target tokens of the right options, averaged over draws.

    is_gold: (texts,) bool: the right options; item: (texts,) the number of each text's item.
    """
    columns, n_draws = tokens.columns, tokens.n_draws
    keep = is_gold[tokens.text] & columns["is_target"]
    n = int(keep.sum()) // n_draws

    def mean(values: np.ndarray) -> np.ndarray:
        return values[keep].astype(np.float64).reshape(n_draws, n).mean(0)

    is_top = columns["top_id"] == columns["next_id"]
    return {
        "logprob": mean(columns["logprob"]),
        "entropy": mean(columns["entropy"]),
        "top_1_accuracy": mean(is_top),
        "next_id": columns["next_id"][keep][:n],
        "item": item[tokens.text[keep][:n]],
    }
