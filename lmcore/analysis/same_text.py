"""Models on the same text: their token tables of one suite go in, paired differences come out.

Tokenizers may differ, and then tokens are not the same things. Models are therefore compared per
word and per byte (lmcore.analysis.word_units), and token by token only where all tokens are the
same. Words that the tokenizer of a model cannot represent completely are left out for all models
(`n_words_dropped`), as are first words without a probability.

The entropy of a word is the sum over its tokens: what was undecided on the way along this word. The
draws of a random model are averaged. Intervals are over items, of a ratio of sums (Student,
lmcore.statistics.stats.ratio). A difference is the second model's figure minus the first model's.
"""

import math
from collections.abc import Callable, Iterator
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from tokenizers import Tokenizer

from lmcore.analysis.totals import Totals
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
from lmcore.statistics.stats import interval, ratio
from lmcore.tables import LOSSES, concat_parts, parts_of

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


class _Sums:
    """What is kept of all chunks for the comparison of `models`."""

    def __init__(self, models: list[str], groups: list[list[str]]):
        """`groups` are the models of one tokenizer each."""
        self.models = models
        self.groups = [group for group in groups if len(group) > 1]
        self.words = Totals()  # of the words' bits
        self.tokens: dict[str, dict[str, Totals]] = {}  # by the group's first model and figure
        for group in self.groups:
            self.tokens[group[0]] = {name: Totals() for name in OF_TOKENS}
        self.entropy = np.zeros(len(models))  # nats of all words
        self.n_bytes: list[np.ndarray] = []  # for each chunk (items,)
        self.n_joined = self.n_dropped = 0
        # words by the whole bits under the first model and under each model
        self.scatter = np.zeros((len(models), MAX_BITS**2), np.int64)

    def add(self, chunk: Shared) -> None:
        """Add the words and tokens of a chunk."""
        surprisals = np.stack([chunk.words[model].surprisal for model in self.models])
        self.words.add(surprisals, chunk.item, chunk.n_items)
        self.n_bytes.append(np.bincount(chunk.item, weights=chunk.n_bytes, minlength=chunk.n_items))
        self.entropy += [chunk.words[model].entropy.sum() for model in self.models]
        self.n_joined += chunk.n_joined
        self.n_dropped += chunk.n_dropped
        bits = np.clip(surprisals.astype(np.int64), 0, MAX_BITS - 1)
        for number in range(1, len(self.models)):
            square = bits[0] * MAX_BITS + bits[number]
            self.scatter[number] += np.bincount(square, minlength=MAX_BITS**2)
        for group in self.groups:
            _add_tokens(self.tokens[group[0]], chunk, group)


def compare_on_same_text(
    items: pa.Table | Path,
    tokens: dict[str, Path],
    tokenizers: dict[str, Tokenizer],
    *,
    corrected: bool,
    confidence: float,
) -> tuple[dict, list[dict]]:
    """The comparison of models on one suite's right options: a dictionary for JSON, scatter rows.

    tokens: {model: the folder of its token table}; corrected: word log-probs with the word-boundary
    correction, which needs the columns of scoring `bow`.

    Raises InputError where tables do not cover the same items.
    """
    models, groups = list(tokens), same_tokenizers(tokenizers)
    sums = _Sums(models, groups)
    for chunk in shared_chunks(items, tokens, groups, corrected=corrected):
        sums.add(chunk)
    if not sums.words.n_of_items().sum():
        raise InputError(
            "no word has a probability under every model; "
            "a text needs more than one word where its first has none"
        )
    comparison: dict = {"words": _compare_words(sums, confidence)}
    for group in sums.groups:
        pairs = comparison.setdefault("tokens", {})
        for a, b in combinations(range(len(group)), 2):
            pair = _compare_tokens(sums.tokens[group[0]], a, b, confidence)
            pairs.setdefault(group[a], {})[group[b]] = pair
    return comparison, _squares(sums.scatter, models)


def same_tokenizers(tokenizers: dict[str, Tokenizer]) -> list[list[str]]:
    """The models in groups of one tokenizer each, in order."""
    groups: list[list[str]] = []
    for name, tokenizer in tokenizers.items():
        vocabulary = tokenizer.get_vocab()
        for group in groups:
            if tokenizers[group[0]].get_vocab() == vocabulary:
                group.append(name)
                break
        else:
            groups.append([name])
    return groups


def refuse_different_tokenizers(tokenizers: dict[str, Tokenizer]) -> None:
    """Raises InputError, with the reason, unless all models have one tokenizer.

    With different tokenizers, a comparison token by token means nothing.
    """
    groups = same_tokenizers(tokenizers)
    if len(groups) > 1:
        one, other = groups[0][0], groups[1][0]
        sizes = [f"{tokenizers[name].get_vocab_size():,}" for name in (one, other)]
        raise InputError(
            f"{one} and {other} cannot be compared token by token: "
            f"their tokenizers ({sizes[0]} and {sizes[1]} entries) cut the same text "
            "differently, and a longer token is harder to predict; "
            "compare them per word or per byte"
        )


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


def _add_tokens(totals: dict[str, Totals], chunk: Shared, group: list[str]) -> None:
    """Add the tokens of a chunk to the totals of one group of models.

    Raises InputError where the models cut the text into different tokens.
    """
    first = chunk.tokens[group[0]]
    for model in group[1:]:
        if not np.array_equal(chunk.tokens[model]["next_id"], first["next_id"]):
            raise InputError(
                f"{group[0]} and {model} have one vocabulary but cut the text into different "
                "tokens; compare them per word or per byte"
            )
    for name in OF_TOKENS:
        values = np.stack([chunk.tokens[model][name] for model in group])
        totals[name].add(values, first["item"], chunk.n_items)


def _compare_words(sums: _Sums, confidence: float) -> dict:
    """The models' figures per word and per byte, and the differences of all pairs."""
    models = sums.models
    bits = sums.words.of_items()
    n_words, n_bytes = sums.words.n_of_items(), np.concatenate(sums.n_bytes)
    figures = {}
    for number, model in enumerate(models):
        figures[model] = {
            "bits_per_byte": float(bits[number].sum() / n_bytes.sum()),
            "surprisal_per_word": float(bits[number].sum() / n_words.sum()),
            "entropy_per_word": float(sums.entropy[number] / n_words.sum()),
        }
    pairs: dict[str, dict[str, dict]] = {}
    for a, b in combinations(range(len(models)), 2):
        pairs.setdefault(models[a], {})[models[b]] = {
            "bits_per_byte": _difference(bits[b] - bits[a], n_bytes, confidence),
            "surprisal_per_word": _difference(bits[b] - bits[a], n_words, confidence),
            "correlation": sums.words.correlation(a, b),
            "second_less_surprised": sums.words.share_less(a, b),
        }
    return {
        "n_items": int((n_words > 0).sum()),
        "n_words": int(n_words.sum()),
        "n_bytes": int(n_bytes.sum()),
        "models": figures,
        "pairs": pairs,
        "n_words_joined": sums.n_joined,
        "n_words_dropped": sums.n_dropped,
    }


def _compare_tokens(totals: dict[str, Totals], a: int, b: int, confidence: float) -> dict:
    """The differences of the models number `a` and `b` of a group, token by token."""
    n_tokens = totals["logprob"].n_of_items()
    pair: dict = {"n_tokens": int(n_tokens.sum())}
    for name in OF_TOKENS:
        sums = totals[name].of_items()
        pair[name] = _difference(sums[b] - sums[a], n_tokens, confidence)
    pair["correlation"] = totals["logprob"].correlation(a, b)
    pair["second_more_probable"] = 1 - totals["logprob"].share_less(a, b)
    return pair


def _difference(sums: np.ndarray, weights: np.ndarray, confidence: float) -> dict:
    """The ratio of the sums, with its interval over items where there are several.

    sums, weights: (items,) the summed differences, and the numbers of what was summed.
    """
    has_weight = weights > 0
    estimate = ratio(sums[has_weight] / weights[has_weight], weights[has_weight])
    bounds = interval(estimate, confidence)
    if bounds is None:
        return {"difference": estimate.mean}
    return {"difference": estimate.mean, "low": bounds[0], "high": bounds[1]}


def _squares(counts: np.ndarray, models: list[str]) -> list[dict]:
    """How many words have so many bits under the first model and so many under each other model.

    The squares are of one bit. counts: (models, squares).
    """
    squares = []
    for number, model in enumerate(models):
        for square in np.flatnonzero(counts[number]):
            squares.append(
                {
                    "x_model": models[0],
                    "y_model": model,
                    "x": int(square) // MAX_BITS,
                    "y": int(square) % MAX_BITS,
                    "n": int(counts[number, square]),
                }
            )
    return squares
