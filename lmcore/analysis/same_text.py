"""Models on the same text: their token tables of one suite go in, paired differences come out.

Words that a model's tokenizer does not say whole are left out for all models (`n_words_dropped`),
as are first words without a probability. Tokenizers may differ, and then tokens are not the same
things: models are compared per word and per byte (lmcore.analysis.word_units), and token by token
only where all tokens are the same. An entropy per word is the sum over its tokens: what was
undecided on the way along this word. The draws of a random model are averaged. Intervals are over
items, of a ratio of sums (Student, lmcore.statistics.stats.ratio), and a difference is the second
model's figure less the first's.
"""

import math
from collections import Counter
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from tokenizers import Tokenizer

from lmcore.analysis.rows import parts_of
from lmcore.analysis.totals import Totals
from lmcore.analysis.word_units import (
    correct_word_boundaries,
    joined_words,
    word_grid,
    words_of_tokens,
)
from lmcore.errors import InputError
from lmcore.folds.by_text import COLUMNS, text_stats
from lmcore.statistics.stats import interval, ratio
from lmcore.tables import LOSSES, concat_parts

CHUNK_ROWS = 200_000  # token rows of one model that are looked at together
BITS = math.log(2)  # nats
BOW = ("bow_logprob", "next_bow_logprob")
OF_TOKENS = ("logprob", "entropy", "top_1_accuracy")
MAX_BITS = 40  # of a word, in a scatter plot; what is beyond stands at its edge
SCATTER = pa.schema(
    {
        "suite": pa.string(),
        "x_model": pa.string(),
        "y_model": pa.string(),
        "x": pa.int32(),  # bits of a word under x_model, rounded down
        "y": pa.int32(),
        "n": pa.int64(),
    }
)


class Words(NamedTuple):
    """What one model says of the words (units) of some items; arrays are (words,)."""

    surprisal: np.ndarray  # bits
    entropy: np.ndarray  # nats


class Shared(NamedTuple):
    """Some items under all models. `tokens`: for models whose tokens are the same, their columns; `item` numbers the items."""

    words: dict[str, Words]
    item: np.ndarray  # (words,)
    n_bytes: np.ndarray  # (words,)
    tokens: dict[str, dict[str, np.ndarray]]
    n_items: int
    n_joined: int
    n_dropped: int


def compare_on_same_text(
    items: pa.Table,
    tokens: dict[str, Path],
    tokenizers: dict[str, Tokenizer],
    *,
    corrected: bool,
    confidence: float,
) -> tuple[dict, list[dict]]:
    """The comparison of models (`tokens`: the folder of each) on one suite's right options: a dictionary for JSON, and scatter rows.

    corrected: word log-probs with the word-boundary correction, which needs the columns of scoring `bow`. Raises InputError where tables
    do not cover the same items.
    """
    groups, models = same_tokenizers(tokenizers), list(tokens)
    words, n_bytes, entropy = Totals(), [], np.zeros(len(models))
    of_tokens = {
        group[0]: {name: Totals() for name in OF_TOKENS} for group in groups if len(group) > 1
    }
    counts: Counter[str] = Counter()
    scatter = np.zeros((len(models), MAX_BITS**2), np.int64)
    for part in shared_chunks(items, tokens, groups, corrected=corrected):
        surprisals = np.stack([part.words[model].surprisal for model in models])
        words.add(surprisals, part.item, part.n_items)
        n_bytes.append(np.bincount(part.item, weights=part.n_bytes, minlength=part.n_items))
        entropy += [part.words[model].entropy.sum() for model in models]
        counts += Counter({"n_words_joined": part.n_joined, "n_words_dropped": part.n_dropped})
        bits = np.clip(surprisals.astype(np.int64), 0, MAX_BITS - 1)
        for number in range(1, len(models)):
            scatter[number] += np.bincount(bits[0] * MAX_BITS + bits[number], minlength=MAX_BITS**2)
        for group in groups:
            if len(group) > 1:
                _add_tokens(of_tokens[group[0]], part, group)
    n_words = words.n_of_items()
    if not n_words.sum():
        raise InputError(
            "no word has a probability under every model; a text needs more than one word where its first has none"
        )
    sizes = np.concatenate(n_bytes)
    found: dict = {
        "words": _words(words, sizes, n_words, entropy / n_words.sum(), models, confidence)
    }
    found["words"] |= {name: counts[name] for name in ("n_words_joined", "n_words_dropped")}
    for group in groups:
        for a, b in combinations(range(len(group)), 2):
            pair = _tokens(of_tokens[group[0]], a, b, confidence)
            found.setdefault("tokens", {}).setdefault(group[a], {})[group[b]] = pair
    return found, _squares(scatter, models)


def same_tokenizers(tokenizers: dict[str, Tokenizer]) -> list[list[str]]:
    """The models in groups of one tokenizer each, in order."""
    groups: list[list[str]] = []
    for name, tokenizer in tokenizers.items():
        vocabulary = tokenizer.get_vocab()
        group = next(
            (group for group in groups if tokenizers[group[0]].get_vocab() == vocabulary), None
        )
        if group is None:
            groups.append([name])
        else:
            group.append(name)
    return groups


def refuse_different_tokenizers(tokenizers: dict[str, Tokenizer]) -> None:
    """Raises InputError, with the reason, unless all models have one tokenizer: else a comparison token by token means nothing."""
    groups = same_tokenizers(tokenizers)
    if len(groups) > 1:
        one, other = groups[0][0], groups[1][0]
        sizes = [f"{tokenizers[name].get_vocab_size():,}" for name in (one, other)]
        raise InputError(
            f"{one} and {other} cannot be compared token by token: their tokenizers ({sizes[0]} and {sizes[1]} entries) cut the same text "
            "differently, and a longer token is harder to predict; compare them per word or per byte"
        )


def shared_chunks(
    items: pa.Table, tokens: dict[str, Path], groups: list[list[str]], *, corrected: bool
) -> Iterator[Shared]:
    """The suite in chunks of whole items, each under all models; `groups` are those of one tokenizer."""
    names = [*COLUMNS, "end", *(BOW if corrected else ())]
    for parts in _aligned_parts(tokens):
        tables = {model: _read(files, names) for model, files in parts.items()}
        ids = pc.unique(next(iter(tables.values()))["item"].cast(pa.string()))
        chunk = items.filter(pc.is_in(items["item"], ids))
        yield _share(chunk, tables, groups, tokens, corrected)


def _aligned_parts(tokens: dict[str, Path]) -> Iterator[dict[str, list[Path]]]:
    """Files of every model that cover the same items, CHUNK_ROWS rows at a time: shards are cut by the items alone."""
    files = {model: parts_of(path) for model, path in tokens.items()}
    if len({len(parts) for parts in files.values()}) > 1:  # extracted with different shard_chars
        yield files
        return
    first = next(iter(files))
    start = rows = 0
    for number, part in enumerate(files[first]):
        rows += pq.read_metadata(part).num_rows
        if rows >= CHUNK_ROWS or number + 1 == len(files[first]):
            yield {model: parts[start : number + 1] for model, parts in files.items()}
            start, rows = number + 1, 0


def _read(files: list[Path], names: list[str]) -> pa.Table:
    known = pq.read_schema(files[0]).names
    if missing := [name for name in names if name not in known]:
        raise InputError(
            f"{files[0]}: column '{missing[0]}' is missing; set `scoring: {{bow: true}}` for the suite and extract its tokens again"
        )
    return concat_parts(
        files, [pq.read_table(file, columns=names, partitioning=None) for file in files]
    )


def _share(
    items: pa.Table,
    tables: dict[str, pa.Table],
    groups: list[list[str]],
    paths: dict[str, Path],
    corrected: bool,
) -> Shared:
    contexts, targets = items["context"].to_pylist(), items["target"].to_pylist()
    grid = word_grid([context + target for context, target in zip(contexts, targets)])
    n_words = len(grid.starts)
    n_context = np.array([len(context) for context in contexts])
    joined, lost = np.zeros(n_words, bool), np.zeros(n_words, bool)
    parts, by_token = {}, {}
    is_gold = None
    for model, table in tables.items():
        stats = text_stats(items, table, paths[model])
        if is_gold is None:
            is_gold = np.zeros(stats.shape[1], bool)
            is_gold[stats.gold_rows] = True
        order = np.argsort(table["draw"].to_numpy(), kind="stable")  # the order of text_stats
        columns = stats.tokens | {
            name: table[name].to_numpy()[order]
            for name in table.column_names
            if name in ("end", *BOW)
        }
        text = np.repeat(np.arange(len(stats.starts)) % stats.shape[1], stats.ends - stats.starts)
        first, last = words_of_tokens(grid, text, columns["start"], columns["end"])
        joined |= joined_words(n_words, first, last)
        begins = stats.starts[: stats.shape[1]]
        for row in np.flatnonzero(
            columns["position"][begins] > 0
        ):  # a first token without a probability takes its words with it
            offset = grid.offsets[row]
            lost[
                grid.word_at[offset] : grid.word_before[offset + columns["start"][begins[row]]] + 1
            ] = True
        lost |= _unsaid_words(n_words, first, last, columns)
        parts[model] = (columns, text, first, stats.shape[0])
        by_token[model] = _target_tokens(
            columns, text, is_gold, stats.shape[0], _item_numbers(items)
        )
    unit = np.cumsum(~joined) - 1
    n_units = int(unit[-1]) + 1
    heads = np.flatnonzero(~joined)  # the first word of each unit
    bytes_of_unit = np.bincount(unit, weights=grid.n_bytes)
    dropped = np.bincount(unit, weights=lost) > 0
    text_of_unit = grid.text_of_word[heads]
    assert is_gold is not None
    counts = is_gold[text_of_unit] & (grid.starts[heads] >= n_context[text_of_unit])
    keep = counts & ~dropped
    words = {}
    for model, (columns, text, first, n_draws) in parts.items():
        at = unit[first]
        logprob = columns["logprob"]
        if corrected:
            logprob = correct_word_boundaries(logprob, at, text, columns[BOW[0]], columns[BOW[1]])
        sums = [
            np.bincount(at, weights=values, minlength=n_units)[keep] / n_draws
            for values in (logprob, columns["entropy"])
        ]
        words[model] = Words(-sums[0] / BITS, sums[1])
    tokens = {model: by_token[model] for group in groups if len(group) > 1 for model in group}
    numbers = _item_numbers(items)
    n_joined = int(joined[np.isin(unit, np.flatnonzero(keep))].sum())
    return Shared(
        words,
        numbers[text_of_unit[keep]],
        bytes_of_unit[keep],
        tokens,
        int(numbers[-1]) + 1,
        n_joined,
        int((counts & dropped).sum()),
    )


def _unsaid_words(n_words: int, first: np.ndarray, last: np.ndarray, columns: dict) -> np.ndarray:
    """(words,) bool: whether a model has no token for the word, or its tokens do not say all of it (lmcore.text.token_losses).

    `first`, `last`: the words of each token. What was dropped counts for the words of the token beside it.
    """
    is_unsaid = np.zeros(len(first), bool)
    for name in LOSSES:
        is_unsaid |= columns.get(name, np.zeros(len(first), np.int32)) > 0
    n_tokens, n_unsaid = (
        np.cumsum(
            np.bincount(first[of], minlength=n_words + 1)
            - np.bincount(last[of] + 1, minlength=n_words + 1)
        )[:-1]
        for of in (np.ones(len(first), bool), is_unsaid)
    )
    return (n_tokens == 0) | (n_unsaid > 0)


def _item_numbers(items: pa.Table) -> np.ndarray:
    """(texts,) the number of each text's item, from 0; rows are sorted by item."""
    codes = items["item"].combine_chunks().dictionary_encode().indices.to_numpy()
    return codes.astype(np.int64)


def _target_tokens(
    columns: dict, text: np.ndarray, is_gold: np.ndarray, n_draws: int, item: np.ndarray
) -> dict[str, np.ndarray]:
    """The target tokens of the right options, averaged over draws."""
    keep = is_gold[text] & columns["is_target"]
    n = int(keep.sum()) // n_draws

    def mean(values: np.ndarray) -> np.ndarray:
        return values[keep].astype(np.float64).reshape(n_draws, n).mean(0)

    is_top = columns["top_id"] == columns["next_id"]
    return {
        "logprob": mean(columns["logprob"]),
        "entropy": mean(columns["entropy"]),
        "top_1_accuracy": mean(is_top),
        "next_id": columns["next_id"][keep][:n],
        "item": item[text[keep][:n]],
    }


def _words(
    totals: Totals,
    n_bytes: np.ndarray,
    n_words: np.ndarray,
    entropy: np.ndarray,
    models: list[str],
    confidence: float,
) -> dict:
    sums = totals.of_items()
    found: dict = {
        "n_items": int((n_words > 0).sum()),
        "n_words": int(n_words.sum()),
        "n_bytes": int(n_bytes.sum()),
        "models": {
            model: {
                "bits_per_byte": float(sums[number].sum() / n_bytes.sum()),
                "surprisal_per_word": float(sums[number].sum() / n_words.sum()),
                "entropy_per_word": float(entropy[number]),
            }
            for number, model in enumerate(models)
        },
        "pairs": {},
    }
    for a, b in combinations(range(len(models)), 2):
        found["pairs"].setdefault(models[a], {})[models[b]] = {
            "bits_per_byte": _difference(sums[b] - sums[a], n_bytes, confidence),
            "surprisal_per_word": _difference(sums[b] - sums[a], n_words, confidence),
            "correlation": totals.correlation(a, b),
            "second_less_surprised": totals.share_less(a, b),
        }
    return found


def _add_tokens(totals: dict[str, Totals], part: Shared, group: list[str]) -> None:
    first = part.tokens[group[0]]
    for model in group[1:]:
        if not np.array_equal(part.tokens[model]["next_id"], first["next_id"]):
            raise InputError(
                f"{group[0]} and {model} have one vocabulary but cut the text into different tokens; compare them per word or per byte"
            )
    for name in OF_TOKENS:
        totals[name].add(
            np.stack([part.tokens[model][name] for model in group]), first["item"], part.n_items
        )


def _tokens(totals: dict[str, Totals], a: int, b: int, confidence: float) -> dict:
    n = totals["logprob"].n_of_items()
    found: dict = {"n_tokens": int(n.sum())}
    for name in OF_TOKENS:
        sums = totals[name].of_items()
        found[name] = _difference(sums[b] - sums[a], n, confidence)
    less = totals["logprob"].share_less(a, b)
    return found | {
        "correlation": totals["logprob"].correlation(a, b),
        "second_more_probable": 1 - less,
    }


def _difference(sums: np.ndarray, weights: np.ndarray, confidence: float) -> dict:
    """The ratio of the sums, with its interval over items where there are several."""
    there = weights > 0
    estimate = ratio(sums[there] / weights[there], weights[there])
    bounds = interval(estimate, confidence)
    return {"difference": estimate.mean} | (
        {} if bounds is None else {"low": bounds[0], "high": bounds[1]}
    )


def _squares(counts: np.ndarray, models: list[str]) -> list[dict]:
    """How many words have so many bits under the first model and so many under each other one, in squares of one bit."""
    return [
        {
            "x_model": models[0],
            "y_model": model,
            "x": int(at) // MAX_BITS,
            "y": int(at) % MAX_BITS,
            "n": int(counts[number, at]),
        }
        for number, model in enumerate(models)
        for at in np.flatnonzero(counts[number])
    ]
