"""Surprisal of any text: a model and texts go in, a DataFrame comes out; `from lmcore.scoring import score; score(model, texts)`.

One row is a token, or a word: what whitespace separates, with the sums over its tokens (see lmcore.analysis.word_units). `surprisal` is in
bits, `entropy` in nats; `rank`, from 1, is that of a word's first token. The module can itself be called, so that the line above works
while the package stays empty (what stands in a package's __init__ is code of every stage that imports it).
"""

import math
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from lmcore.analysis.word_units import joined_words, word_grid, words_of_tokens
from lmcore.errors import InputError
from lmcore.models.find import find_model
from lmcore.scoring.engine import Engine
from lmcore.tables import items_table
from lmcore.token_text import token_texts
from lmcore.tokenizer import load_fast

BY = ("token", "word")
TOKEN_BUDGET = 2048  # rows a forward pass
MODELS = Path("data/models")


def score(
    model: str | Path, texts: str | list[str], *, by: str = "token", bos: str = "prefix", model_folder: Path = MODELS
) -> pd.DataFrame:
    """text (its number), start, end (characters), token or word, probability, surprisal, rank, entropy of everything that is scored.

    model: a name in `model_folder`, a folder, or a hub id; by: token or word; bos: as in lmcore.scoring.texts. A text longer than the
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
    table = Engine(folder, {"bos": bos}, "float32", TOKEN_BUDGET).score(items_table(rows, {"bos": bos}, "texts"))
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
    return frame[["text", "start", "end", by, "probability", "surprisal", "rank", "entropy"]]


def words(tokens: pd.DataFrame, texts: list[str]) -> pd.DataFrame:
    """The tokens' rows summed over words; a token that reaches into a second word makes one of both."""
    grid = word_grid(texts)
    text, starts, ends = (tokens[name].to_numpy() for name in ("text", "start", "end"))
    first, last = words_of_tokens(grid, text, starts, ends)
    unit = (np.cumsum(~joined_words(len(grid.starts), first, last)) - 1)[first]
    found = tokens.assign(unit=unit).groupby("unit", sort=True)
    frame = found.agg(
        text=("text", "first"),
        start=("start", "min"),
        end=("end", "max"),
        logprob=("logprob", "sum"),
        rank=("rank", "first"),
        entropy=("entropy", "sum"),
    ).reset_index(drop=True)
    frame["word"] = [texts[number][start:end].strip() for number, start, end in zip(frame["text"], frame["start"], frame["end"])]
    return frame


class Callable(ModuleType):
    """This module, which calls `score`."""

    def __call__(self, *arguments, **options) -> pd.DataFrame:
        return score(*arguments, **options)


sys.modules[__name__].__class__ = Callable
