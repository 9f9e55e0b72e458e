"""Sets of items whose sides are toy models that read words."""

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from lmcore.items.sides import SCORE_COLUMNS, ItemSet, Side
from tests.lmcore.token_tables import fold, items_of, tokens_of

SETTINGS = {"ties": "half", "top_k": 10, "vocab_size": 100, "window": 100, "classes": []}


def toy_side(name: str, items: pa.Table, kind: str, logprob: Callable, **options) -> Side:
    """A side whose log-probs are `logprob(draw, words before, word)`; options of `tokens_of`."""
    tokens = tokens_of(items, logprob, **options)
    scores = fold(items, tokens, kind=kind, masked=False, **SETTINGS).select(SCORE_COLUMNS)
    return Side(
        name,
        lambda metrics: scores.filter(pc.is_in(scores["metric"], pa.array(metrics))),
        lambda wanted: tokens.filter(
            pc.is_in(tokens["item"].cast(pa.string()), pa.array(wanted, pa.string()))
        ),
        lambda: [f"t{number}" for number in range(100)],
    )


def pairs_set(n: int = 4, label: str = "pairs", text: str = "") -> ItemSet:
    """Pairs `he yes` and `he no`: first prefers yes, second prefers no in every second item."""
    options = {
        f"g{k % 2}/{k}": [("", f"he{k}{text} yes"), ("", f"he{k}{text} no")] for k in range(n)
    }
    items = items_of(options)

    def first(draw, before, word):
        return {"yes": -1.0, "no": -3.0}.get(word, -0.5)

    def second(draw, before, word):
        is_even = bool(before) and int(before[0][2]) % 2 == 0
        return {"yes": -1.0, "no": -3.0 if is_even else -0.25}.get(word, -0.5)

    sides = [
        toy_side("first", items, "pairs", first),
        toy_side("second", items, "pairs", second, rank=lambda word: 3, top=lambda word: False),
    ]
    return ItemSet(label, "pairs", lambda: items, sides)
