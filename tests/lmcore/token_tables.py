"""Token tables made by hand.

They hold what a toy model that reads whitespace-separated words would say of an items table.
"""

import re
from collections.abc import Callable

import pyarrow as pa

from lmcore.folds import fold as folding
from lmcore.folds.by_text import text_stats
from lmcore.tables import TOKENS, check, items_table

OTHER = 9999  # the id of a token that occurs in no text


def items_of(
    options: dict[str, list[tuple[str, str]]],
    *,
    group: str = "all",
    gold: int = 0,
    scoring: dict | None = None,
) -> pa.Table:
    """An items table of {item: [(context, target), ...]}, where a list holds the item's options.

    An item named g/… belongs to group g, all others to `group`. `gold` is the number of the right
    option of every item.
    """
    rows = []
    for item, texts in options.items():
        for option, (context, target) in enumerate(texts):
            row = {
                "item": item,
                "option": option,
                "variant": "",
                "group": item.split("/")[0] if "/" in item else group,
                "context": context,
                "target": target,
                "gold": option == gold,
            }
            rows.append(row)
    return items_table(rows, scoring or {"bos": "prefix"})


def tokens_of(
    items: pa.Table,
    logprob: Callable[[int, tuple[str, ...], str], float],
    *,
    rank: Callable[[str], int] = lambda word: 1,
    top: Callable[[str], bool] | None = None,
    draws: int = 1,
    skip_first: bool = False,
) -> pa.Table:
    """The tokens table of an items table, whose log-probs are `logprob(draw, words before, word)`.

    A word of rank 1 is the top token, unless `top(word)` says otherwise. With `skip_first` the
    first word of a text is not scored.
    """
    ids: dict[str, int] = {}
    rows = []
    for draw in range(draws):
        for item in items.to_pylist():
            words = list(re.finditer(r"\s*\S+|\s+$", item["context"] + item["target"]))
            for position, match in enumerate(words):
                word = match[0].strip()
                number = ids.setdefault(word, len(ids) + 1)
                if position == 0 and skip_first:
                    continue
                before = tuple(m[0].strip() for m in words[:position])
                is_top = rank(word) == 1 if top is None else top(word)
                rows.append(
                    {
                        **{name: item[name] for name in ("item", "option", "variant")},
                        "draw": draw,
                        "position": position,
                        "current_id": ids[before[-1]] if before else 0,
                        "next_id": number,
                        "start": match.start(),
                        "end": match.end(),
                        "is_target": match.end() > len(item["context"]),
                        "logprob": logprob(draw, before, word),
                        "entropy": 1.0,
                        "rank": rank(word),
                        "top_id": number if is_top else OTHER,
                        "top_logprob": 0.0,
                    }
                )
    return check(pa.Table.from_pylist(rows, TOKENS), TOKENS)


def fold(items: pa.Table, tokens: pa.Table, *, source: str = "tokens", **settings) -> pa.Table:
    """The scores of two tables, as `lmcore.folds.fold.fold` gives them with these settings."""
    return folding.fold(text_stats(items, tokens, source), source=source, **settings)


def value_of(scores: pa.Table, metric: str, item: str | None = None, draw: int = 0) -> float:
    """The only value of a metric in a draw; `item` says of which item, where there are several."""
    rows = [
        row
        for row in scores.to_pylist()
        if row["metric"] == metric and row["draw"] == draw and item in (None, row["item"])
    ]
    assert len(rows) == 1, rows
    return rows[0]["value"]
