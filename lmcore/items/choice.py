"""Which items of a suite are worth a page: those on which two sides differ, and a sample.

What every side scored on every item goes in. The numbers of the items come out, in the order in
which they should be taken until the room is used up: three on which some two sides differ, then one
of the sample, and so on. Every two sides get an item in turn, so that no two that differ everywhere
take all the room. The order within two sides that decide (right or wrong), and that of the sample,
is the order of the content hashes: as good as random, and always the same. Where sides differ by a
number, the items with the greatest difference come first.
"""

from collections.abc import Iterator
from itertools import chain, combinations, zip_longest

import numpy as np

N_DIFFERENT = 3  # items that differ for each item of the sample


def in_order(values: list[np.ndarray], hashes: np.ndarray, *, is_decision: bool) -> list[int]:
    """All items, in the order in which they should be taken.

    values: of each side (N,) what it scored; hashes: (N,) the items' content hashes.
    """
    by_hash = np.argsort(hashes, kind="stable")
    of_pairs = [_different(a, b, by_hash, is_decision) for a, b in combinations(values, 2)]
    different = iter(_in_turn(of_pairs))
    sample = iter(by_hash.tolist())
    order: dict[int, None] = {}
    while len(order) < len(hashes):
        for _ in range(N_DIFFERENT):
            _take_next(different, order)
        _take_next(sample, order)
    return list(order)


def _different(a: np.ndarray, b: np.ndarray, by_hash: np.ndarray, is_decision: bool) -> list[int]:
    """The items on which two sides differ, in their order."""
    size = np.nan_to_num(np.abs(a - b))[by_hash]
    differs = by_hash[size > 0]
    if is_decision:
        return differs.tolist()
    return differs[np.argsort(-size[size > 0], kind="stable")].tolist()


def _in_turn(lists: list[list[int]]) -> list[int]:
    """The first of every list, then the second of every list, and so on."""
    rounds = chain.from_iterable(zip_longest(*lists))
    return [number for number in rounds if number is not None]


def _take_next(numbers: Iterator[int], order: dict[int, None]) -> None:
    """Add the next of `numbers` that is not there yet, if there is one."""
    for number in numbers:
        if number not in order:
            order[number] = None
            return
