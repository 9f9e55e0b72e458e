"""A part of a suite's items: the same one on every machine, spread over the groups."""

import hashlib
from collections import Counter

from lmcore.errors import InputError


def subset(rows: list[dict], suite: str, limit: int, seed: int) -> set[str]:
    """`limit` items of `rows`, in proportion to the groups: one of each where there are enough.

    The order of `rows` does not matter. A larger limit keeps the items of a smaller one: in each
    group they are taken in the order of a hash of seed and id. Raises InputError for a limit that
    is no whole number above 0.
    """
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise InputError(
            f"suite '{suite}': limit must be a whole number above 0, or absent for all items,"
            f" not {limit!r}"
        )
    order = sorted({(row["group"], _hash(seed, row["item"]), row["item"]) for row in rows})
    sizes = Counter(group for group, _, _ in order)
    ranks = Counter[str]()
    places = []
    for group, digest, item in order:
        places.append((ranks[group] / sizes[group], digest, item))
        ranks[group] += 1
    return {item for _, _, item in sorted(places)[:limit]}


def _hash(seed: int, item: str) -> str:
    return hashlib.sha256(f"{seed} {item}".encode()).hexdigest()
