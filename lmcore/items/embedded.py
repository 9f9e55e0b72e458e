"""The items that a page carries with it: sets of items go in, data of a bounded size come out.

The sets share the room equally, the one with the least text first, so that what it leaves goes to
the others. A set's items are taken in the order of lmcore.items.choice until its share is used up.
"""

import json
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lmcore.items.choice import in_order
from lmcore.items.details import (
    item_data,
    side_values,
    texts_of,
    tokens_of_items,
)
from lmcore.items.sides import ItemSet, Side, Values, values_of
from lmcore.shown import for_terminal

ROOM = 2_000_000  # bytes of JSON of all sets together
MOST_TOKENS = 400  # of a text whose figures are carried; the rest is plain text
FIRST_BATCH = 32  # items that are read at first; then as many as may fit, for all tokens are passed


class Scored(NamedTuple):
    """A set, with what every side scored on each of the items that all of them have."""

    of: ItemSet
    table: pa.Table  # the items
    items: pa.Array  # (N,) ids, sorted
    groups: list[str]  # (N,)
    hashes: np.ndarray  # (N,)
    sides: list[tuple[Side, Values]]


def embedded(sets: list[ItemSet], room: int = ROOM) -> list[dict[str, Any]]:
    """The sets that have items, as `set_data` describes them, each with its chosen `items`."""
    scored = [found for found in map(score, sets) if found is not None]
    taken: dict[int, list[dict[str, Any]]] = {}
    left = room
    for number in sorted(range(len(scored)), key=lambda number: _n_characters(scored[number])):
        one = scored[number]
        values = [values.right for _, values in one.sides]
        order = in_order(values, one.hashes, is_decision=one.of.measure.is_decision)
        taken[number], used = _taken(one, order, left // (len(scored) - len(taken)))
        left -= used
    return [{**set_data(one), "items": taken[number]} for number, one in enumerate(scored)]


def score(of: ItemSet) -> Scored | None:
    """A set with its values; None where it has no item that any side has scored."""
    table = of.items()
    first = table.filter(pc.and_(pc.equal(table["variant"], ""), pc.equal(table["option"], 0)))
    items, hashes = first["item"].combine_chunks(), first["content_hash"].to_numpy()
    sides = []
    for side in of.sides:
        values = values_of(side, of.measure, items, hashes)
        if values is not None:
            sides.append((side, values))
    if not sides or not len(items):
        return None
    return Scored(of, table, items, first["group"].to_pylist(), hashes, sides)


def set_data(one: Scored) -> dict[str, Any]:
    """What a page says of a set; the items are put beside it."""
    measure = one.of.measure
    return {
        "label": for_terminal(one.of.label),
        "kind": one.of.kind,
        "measure": measure.label,
        "unit": measure.unit,
        "isDecision": measure.is_decision,
        "isLessBetter": measure.is_less_better,
        "hasRank": bool(measure.rank),
        "nItems": len(one.items),
        "groups": [for_terminal(group) for group in sorted(set(one.groups))],
        "sides": [
            {"name": for_terminal(side.name), "isMasked": values.is_masked}
            for side, values in one.sides
        ],
    }


def _n_characters(one: Scored) -> int:
    """How many characters the texts of a set have."""
    lengths = [pc.sum(pc.utf8_length(one.table[name])).as_py() for name in ("context", "target")]
    return sum(lengths)


def _taken(one: Scored, order: list[int], share: int) -> tuple[list[dict[str, Any]], int]:
    """The items in order whose JSON fits into `share` bytes, and how many bytes they take."""
    taken: list[dict[str, Any]] = []
    used, batch = 0, FIRST_BATCH
    while len(taken) < len(order):
        rows = order[len(taken) : len(taken) + batch]
        for item in items_data(one, rows, MOST_TOKENS):
            size = len(json.dumps(item, ensure_ascii=False, separators=(",", ":")).encode())
            if used + size > share:
                return taken, used
            taken.append(item)
            used += size
        batch = 1 + int(1.1 * (share - used) * len(taken) / used)
    return taken, used


def items_data(one: Scored, rows: list[int], most_tokens: int) -> list[dict[str, Any]]:
    """The items of these numbers as lmcore.items.details has them."""
    wanted = [one.items[row].as_py() for row in rows]
    texts = texts_of(one.table, wanted)
    tokens = [tokens_of_items(side, wanted) for side, _ in one.sides]
    data = []
    for row, item in zip(rows, wanted, strict=True):
        sides = [
            (said, side_values(values, row, said, item, texts[item], one.of.measure))
            for said, (_, values) in zip(tokens, one.sides, strict=True)
        ]
        group = one.groups[row]
        data.append(item_data(item, group, texts[item], sides, most_tokens=most_tokens))
    return data
