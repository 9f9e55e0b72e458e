"""Models on the same text: their token tables of one suite go in, paired differences come out.

Models are compared per word and per byte (lmcore.analysis.shared_chunks), and token by token only
where all tokens are the same. Words that the tokenizer of a model cannot represent completely are
left out for all models (`n_words_dropped`).

Intervals are over items, of a ratio of sums (Student, lmcore.statistics.stats.ratio). A difference
is the second model's figure minus the first model's.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer

from lmcore.analysis.item_sums import ItemSums
from lmcore.analysis.shared_chunks import Shared, shared_chunks
from lmcore.analysis.totals import Totals
from lmcore.errors import InputError
from lmcore.statistics.stats import interval, ratio_of_runs

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


class _OfWords:
    """What is kept of the words of all chunks for the comparison of `models`."""

    def __init__(self, models: list[str], items: ItemSums):
        self.models = models
        self.items = items  # bits under each model, then words, then bytes
        self.words, self.bytes = len(models), len(models) + 1  # rows of `items`
        self.totals = Totals(len(models))  # of the words' bits
        self.entropy = np.zeros(len(models))  # nats of all words
        self.n_items = self.n_joined = self.n_dropped = 0
        # words by the whole bits under the first model and under each model
        self.scatter = np.zeros((len(models), MAX_BITS**2), np.int64)

    def add(self, chunk: Shared) -> None:
        """Add the words of a chunk."""
        surprisals = np.stack([chunk.words[model].surprisal for model in self.models])
        n_words = np.bincount(chunk.item, minlength=chunk.n_items)
        n_bytes = np.bincount(chunk.item, weights=chunk.n_bytes, minlength=chunk.n_items)
        self.items.add(
            np.stack([*_by_item(surprisals, chunk.item, chunk.n_items), n_words, n_bytes])
        )
        self.totals.add(surprisals)
        self.n_items += int((n_words > 0).sum())
        self.entropy += [chunk.words[model].entropy.sum() for model in self.models]
        self.n_joined += chunk.n_joined
        self.n_dropped += chunk.n_dropped
        bits = np.clip(surprisals.astype(np.int64), 0, MAX_BITS - 1)
        for number in range(1, len(self.models)):
            square = bits[0] * MAX_BITS + bits[number]
            self.scatter[number] += np.bincount(square, minlength=MAX_BITS**2)


class _OfTokens:
    """What is kept of the tokens of all chunks for models of one tokenizer."""

    def __init__(self, models: list[str], items: ItemSums):
        self.models = models
        self.items = items  # of OF_TOKENS, each under each model; then the number of tokens
        self.tokens = len(OF_TOKENS) * len(models)  # row of `items`
        self.totals = Totals(len(models))  # of log-probs

    def add(self, chunk: Shared) -> None:
        """Add the tokens of a chunk.

        Raises InputError where the models cut the text into different tokens.
        """
        first, *others = self.models
        of_first = chunk.tokens[first]
        for model in others:
            if not np.array_equal(chunk.tokens[model]["next_id"], of_first["next_id"]):
                raise InputError(
                    f"{first} and {model} have one vocabulary but cut the text into different "
                    "tokens; compare them per word or per byte"
                )
        item = of_first["item"]
        rows = []
        for name in OF_TOKENS:
            values = np.stack([chunk.tokens[model][name] for model in self.models])
            rows += _by_item(values, item, chunk.n_items)
            if name == "logprob":
                self.totals.add(values)
        self.items.add(np.stack([*rows, np.bincount(item, minlength=chunk.n_items)]))

    def row(self, name: str, model: int) -> int:
        """The row of `items` with one of OF_TOKENS under the model of this number."""
        return OF_TOKENS.index(name) * len(self.models) + model


def _by_item(values: np.ndarray, item: np.ndarray, n_items: int) -> list[np.ndarray]:
    """The sums of each row of `values` over each item; item: the number of each column's item."""
    return [np.bincount(item, weights=row, minlength=n_items) for row in values]


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
    with ExitStack() as files:
        of_words = _OfWords(models, files.enter_context(ItemSums()))
        of_tokens = []
        for group in groups:
            if len(group) > 1:
                of_tokens.append(_OfTokens(group, files.enter_context(ItemSums())))
        for chunk in shared_chunks(items, tokens, groups, corrected=corrected):
            of_words.add(chunk)
            for of_group in of_tokens:
                of_group.add(chunk)
        if not of_words.totals.n:
            raise InputError(
                "no word has a probability under every model; "
                "a text needs more than one word where its first has none"
            )
        comparison: dict = {"words": _compare_words(of_words, confidence)}
        for of_group in of_tokens:
            comparison.setdefault("tokens", {}).update(_compare_tokens(of_group, confidence))
        return comparison, _squares(of_words.scatter, models)


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


def _compare_words(of_words: _OfWords, confidence: float) -> dict:
    """The models' figures per word and per byte, and the differences of all pairs."""
    models, items, totals = of_words.models, of_words.items, of_words.totals
    n_words, n_bytes = totals.n, items.total(of_words.bytes)
    figures = {}
    for number, model in enumerate(models):
        bits = items.total(number)
        figures[model] = {
            "bits_per_byte": bits / n_bytes,
            "surprisal_per_word": bits / n_words,
            "entropy_per_word": float(of_words.entropy[number] / n_words),
        }
    pairs: dict[str, dict[str, dict]] = {}
    for a, b in combinations(range(len(models)), 2):
        pairs.setdefault(models[a], {})[models[b]] = {
            "bits_per_byte": _difference(items, a, b, of_words.bytes, confidence),
            "surprisal_per_word": _difference(items, a, b, of_words.words, confidence),
            "correlation": totals.correlation(a, b),
            "second_less_surprised": totals.share_less(a, b),
        }
    return {
        "n_items": of_words.n_items,
        "n_words": n_words,
        "n_bytes": int(n_bytes),
        "models": figures,
        "pairs": pairs,
        "n_words_joined": of_words.n_joined,
        "n_words_dropped": of_words.n_dropped,
    }


def _compare_tokens(of_tokens: _OfTokens, confidence: float) -> dict[str, dict[str, dict]]:
    """The differences of all pairs of models, token by token."""
    models, items, totals = of_tokens.models, of_tokens.items, of_tokens.totals
    pairs: dict[str, dict[str, dict]] = {}
    for a, b in combinations(range(len(models)), 2):
        pair: dict = {"n_tokens": totals.n}
        for name in OF_TOKENS:
            first, second = of_tokens.row(name, a), of_tokens.row(name, b)
            pair[name] = _difference(items, first, second, of_tokens.tokens, confidence)
        pair["correlation"] = totals.correlation(a, b)
        pair["second_more_probable"] = 1 - totals.share_less(a, b)
        pairs.setdefault(models[a], {})[models[b]] = pair
    return pairs


def _difference(items: ItemSums, a: int, b: int, weight: int, confidence: float) -> dict:
    """The ratio of row b less row a to row `weight`, with its interval over items.

    There is no interval where one item alone has a weight.
    """

    def runs() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for of_a, of_b, weights in items.runs([a, b, weight]):
            has_weight = weights > 0
            weights = weights[has_weight]
            yield (of_b - of_a)[has_weight] / weights, weights

    estimate = ratio_of_runs(runs)
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
