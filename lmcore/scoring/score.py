"""Surprisal of any text: a model and texts go in, a DataFrame comes out; `from lmcore.scoring import score; score(model, texts)`.

One row is a token, or a word: what whitespace separates, with the sums over its tokens (see
lmcore.analysis.word_units). `surprisal` is in bits, `entropy` in nats; `rank`, from 1, is that of a
word's first token. A word of which no token was scored (it has none, or only the first of a text,
before which nothing stands) has a row all the same, without these figures (NaN). `attrs` of the
frame say what its texts hold: `n_bytes` that were scored, `n_unknown` tokens and `n_dropped_bytes`
(lmcore.text.token_losses). The module can itself be called, so that the line above works while the
package stays empty (what stands in a package's __init__ is code of every stage that imports it).
"""

import math
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from lmcore.analysis.word_units import WordGrid, joined_words, word_grid, words_of_tokens
from lmcore.errors import InputError
from lmcore.folds.by_text import text_stats
from lmcore.models.find import find_model
from lmcore.models.folder import holds_masked
from lmcore.scoring.engine import Engine
from lmcore.tables import items_table
from lmcore.text.readable import token_texts
from lmcore.text.tokenizer import load_fast

BY = ("token", "word")
TOKEN_BUDGET = 2048  # rows a forward pass
MODELS = Path("data/models")


def score(
    model: str | Path,
    texts: str | list[str],
    *,
    by: str = "token",
    bos: str = "prefix",
    model_folder: Path = MODELS,
) -> pd.DataFrame:
    """text (its number), start, end (characters), token or word, probability, surprisal, rank, entropy of everything that is scored.

    model: a name in `model_folder`, a folder, or a hub id; by: token or word; bos: as in lmcore.text.encoder. A text longer than the
    model's window is read in windows. Raises InputError naming what cannot be used.
    """
    if by not in BY:
        raise InputError(f"by must be one of {', '.join(BY)}, not {by!r}")
    texts = [texts] if isinstance(texts, str) else list(texts)
    if not texts or not all(texts):
        raise InputError("there is no text to score, or an empty one")
    folder = find_model(str(model), model_folder)
    row = {"option": 0, "variant": "", "group": "all", "context": "", "gold": True}
    rows = [{**row, "item": f"{number:08d}", "target": text} for number, text in enumerate(texts)]
    items = items_table(rows, {"bos": bos}, "texts")
    table = Engine(folder, {"bos": bos}, "float32", TOKEN_BUDGET).score(items)
    table = table.filter(pc.equal(table["draw"], 0))  # of a random model the first draw
    names = token_texts(load_fast(folder))
    text = np.array(table["item"].to_pylist()).astype(np.int64)
    columns = {name: table[name].to_numpy() for name in ("start", "end", "rank")}
    tokens = pd.DataFrame(
        {
            "text": text,
            **{name: columns[name] for name in ("start", "end")},
            "token": [names[number] for number in table["next_id"].to_pylist()],
            "logprob": table["logprob"].to_numpy().astype(np.float64),
            "rank": columns["rank"],
            "entropy": table["entropy"].to_numpy().astype(np.float64),
        }
    )
    frame = tokens if by == "token" else words(tokens, texts)
    frame["probability"] = np.exp(frame["logprob"])
    frame["surprisal"] = -frame["logprob"] / math.log(2) + 0.0
    frame = frame[["text", "start", "end", by, "probability", "surprisal", "rank", "entropy"]]
    stats = text_stats(items, table, folder)
    frame.attrs = {
        "is_masked": holds_masked(folder),
        "n_bytes": int(stats.n_bytes.sum()),
        "n_unknown": int(stats.n_lost("unknown_bytes").sum()),
        "n_dropped_bytes": int(stats.n_lost("dropped_bytes").sum()),
    }
    return frame


def words(tokens: pd.DataFrame, texts: list[str]) -> pd.DataFrame:
    """The tokens' rows summed over words; a token that reaches into a second word makes one of both."""
    grid = word_grid(texts)
    text, starts, ends = (tokens[name].to_numpy() for name in ("text", "start", "end"))
    first, last = words_of_tokens(grid, text, starts, ends)
    joined = joined_words(len(grid.starts), first, last)
    found = tokens.assign(unit=(np.cumsum(~joined) - 1)[first]).groupby("unit", sort=True)
    sums = found.agg(
        start=("start", "min"),
        end=("end", "max"),
        logprob=("logprob", "sum"),
        rank=("rank", "first"),
        entropy=("entropy", "sum"),
    )
    frame = _spelled(grid, np.flatnonzero(~joined), texts)
    of_tokens = sums.reindex(frame.index)
    frame["start"] = np.fmin(frame["start"], of_tokens["start"]).astype(np.int64)
    frame["end"] = np.fmax(frame["end"], of_tokens["end"]).astype(np.int64)
    frame[["logprob", "entropy"]] = of_tokens[["logprob", "entropy"]]
    frame["rank"] = of_tokens["rank"].astype(
        "Int64" if of_tokens["rank"].isna().any() else np.int64
    )
    return frame


def _spelled(grid: WordGrid, heads: np.ndarray, texts: list[str]) -> pd.DataFrame:
    """text, word, start and end of the words, or words joined, that begin with the words `heads`, as they stand in the text."""
    text, starts = grid.text_of_word[heads], grid.starts[heads]
    same = np.append(text[1:] == text[:-1], False)
    stops = np.where(same, np.append(starts[1:], 0), [len(texts[number]) for number in text])
    spelled = [
        texts[number][start:stop].rstrip()
        for number, start, stop in zip(text, starts, stops, strict=True)
    ]
    return pd.DataFrame(
        {
            "text": text,
            "word": spelled,
            "start": starts,
            "end": starts + [len(word) for word in spelled],
        }
    )


class Callable(ModuleType):
    """This module, which calls `score`."""

    def __call__(self, *arguments, **options) -> pd.DataFrame:
        return score(*arguments, **options)


sys.modules[__name__].__class__ = Callable
