"""The items that a page carries with it: sets of items go in, data of a bounded size come out.

Every set gets an equal share of the room, and what one leaves the others take. A set's items are
taken in the order of lmcore.items.choice until its share is used up.
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
# about how many bytes of JSON a token's figures take, and how many characters a token has
TOKEN_BYTES, TOKEN_CHARS = 22, 4
BATCH = 64  # items that are read at a time


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
    orders, costs = [], []
    for one in scored:
        values = [values.right for _, values in one.sides]
        order = in_order(values, one.hashes, is_decision=one.of.measure.is_decision)
        orders.append(order)
        costs.append(_costs(one)[order])
    shares = _shares([float(cost.sum()) for cost in costs], room)
    data = []
    for one, order, share in zip(scored, orders, shares, strict=True):
        items = _taken(one, order, share)
        data.append({**set_data(one), "items": items})
    return data


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


def _costs(one: Scored) -> np.ndarray:
    """(N,) about how many bytes of JSON each item takes."""
    table = one.table.filter(pc.equal(one.table["variant"], ""))
    sizes: dict[str, int] = {}
    n_sides = len(one.sides)
    for row in table.select(["item", "option", "context", "target"]).to_pylist():
        n_chars = len(row["target"]) + (len(row["context"]) if row["option"] == 0 else 0)
        n_tokens = min(n_chars // TOKEN_CHARS + 1, MOST_TOKENS)
        size = 2 * n_chars + n_sides * (n_tokens * TOKEN_BYTES + 100)
        sizes[row["item"]] = sizes.get(row["item"], 100) + size
    return np.array([sizes[item] for item in one.items.to_pylist()], float)


def _shares(costs: list[float], room: int) -> list[float]:
    """The room of each set, which need not be more than its cost."""
    shares = [0.0] * len(costs)
    left = float(room)
    smallest_first = sorted(range(len(costs)), key=costs.__getitem__)
    for n_before, number in enumerate(smallest_first):
        shares[number] = min(costs[number], left / (len(costs) - n_before))
        left -= shares[number]
    # a cost is an estimate, so what is left may be needed
    return [share + left / len(costs) for share in shares]


def _taken(one: Scored, order: list[int], share: float) -> list[dict[str, Any]]:
    """The items in order whose JSON fits into `share` bytes."""
    taken: list[dict[str, Any]] = []
    used = 0
    for start in range(0, len(order), BATCH):
        for item in items_data(one, order[start : start + BATCH], MOST_TOKENS):
            used += len(json.dumps(item, ensure_ascii=False, separators=(",", ":")).encode())
            if used > share:
                return taken
            taken.append(item)
    return taken


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
