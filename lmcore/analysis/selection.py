"""Exact order statistics of more values than fit into memory.

Values come batch by batch. What is kept does not grow with their number.

- `values_at_places` finds some places in the sorted order of one column: a histogram over the upper
  halves of the values' bits says which of them a place is among, and a second pass over the values
  the lower half.
- `GroupedValues` finds quantiles of many groups at once: values go to temporary files by group
  (eight bytes each, where tempfile puts them: TMPDIR), and each file is sorted alone.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import IO

import numpy as np

from lmcore.analysis.quantiles import (
    between,
    from_ordered_bits,
    ordered_bits,
    places_of_quantiles,
    quantiles_of_groups,
    sort_keys,
)

HALF = 16  # bits
FILE_ROWS = 2**22  # values that are sorted together, unless one group has more


def quantiles_of(
    batches: Callable[[], Iterator[np.ndarray]],
    n: int,
    probabilities: list[float],
    unit: Callable[[np.ndarray], np.ndarray] = lambda values: values,
    *,
    falls: bool = False,
) -> np.ndarray:
    """(probabilities,) the quantiles of `unit` of the `n` values (see quantiles_of_groups).

    `batches` as of `values_at_places`; `unit` rises with the values, or `falls`.
    """
    below, above, share = (
        of_all[0] for of_all in places_of_quantiles(np.array([n]), probabilities)
    )
    places = np.concatenate([below, above])
    found = values_at_places(batches, n - 1 - places if falls else places)
    low, high = np.split(unit(found.astype(np.float64)), 2)
    return between(low, high, share)


def values_at_places(batches: Callable[[], Iterator[np.ndarray]], places: np.ndarray) -> np.ndarray:
    """The float32 values that stand at these places, from 0, of all values in order.

    `batches` gives all values, each time that it is called. Numbers that float32 represents exactly
    may be of any type.
    """
    counts = np.zeros(2**HALF, np.int64)
    for values in batches():
        counts += np.bincount(ordered_bits(values) >> HALF, minlength=2**HALF)
    ends = np.cumsum(counts)
    upper = np.searchsorted(ends, places, "right")  # the upper half of each place's bits
    wanted = np.unique(upper)
    row_of = np.full(2**HALF, -1, np.int64)
    row_of[wanted] = np.arange(len(wanted))
    lower_counts = np.zeros(len(wanted) << HALF, np.int64)
    for values in batches():
        bits = ordered_bits(values)
        row = row_of[bits >> HALF]
        is_wanted = row >= 0
        cells = (row[is_wanted] << HALF) + (bits[is_wanted] & (2**HALF - 1))
        np.add.at(lower_counts, cells, 1)
    lower_ends = np.cumsum(lower_counts.reshape(len(wanted), -1), 1)
    found = np.empty(len(places), np.uint32)
    for number, (place, half) in enumerate(zip(places, upper)):
        within = place - (ends[half] - counts[half])
        lower = np.searchsorted(lower_ends[row_of[half]], within, "right")
        found[number] = (half << HALF) + lower
    return from_ordered_bits(found)


class GroupedValues:
    """float32 values by group, of which quantiles are wanted. Use it as a context manager."""

    def __init__(self, counts: np.ndarray):
        """counts: (groups,) how many values each group will have."""
        self.counts = counts
        before = np.cumsum(counts) - counts
        # (groups,) the file of each; numbered without gaps
        self.file_of = np.unique(before // FILE_ROWS, return_inverse=True)[1].astype(np.uint16)
        n_files = int(self.file_of[-1]) + 1
        self.stack = ExitStack()
        self.files: list[IO[bytes]] = []
        for _ in range(n_files):
            file = tempfile.TemporaryFile()  # noqa: SIM115
            self.files.append(self.stack.enter_context(file))

    def __enter__(self) -> "GroupedValues":
        return self

    def __exit__(self, *exception: object) -> None:
        self.stack.close()

    def add(self, groups: np.ndarray, values: np.ndarray) -> None:
        """Add a batch: the group of each value, and the values."""
        keys = groups.astype(np.uint64) << np.uint64(32)
        keys |= ordered_bits(values)
        if len(self.files) == 1:
            self.files[0].write(keys.tobytes())
            return
        file = self.file_of[groups]
        order = np.argsort(file, kind="stable")  # a radix sort for such small integers
        keys = keys[order]
        ends = np.cumsum(np.bincount(file, minlength=len(self.files)))
        for number, end in enumerate(ends.tolist()):
            start = int(ends[number - 1]) if number else 0
            if end > start:
                self.files[number].write(keys[start:end].tobytes())

    def quantiles(self, probabilities: list[float]) -> np.ndarray:
        """(groups, probabilities) of lmcore.analysis.quantiles; undefined for an empty group."""
        quantiles = np.empty((len(self.counts), len(probabilities)))
        for number, file in enumerate(self.files):
            file.seek(0)
            keys = np.frombuffer(bytearray(file.read()), np.uint64)
            there = np.flatnonzero((self.file_of == number) & (self.counts > 0))
            if len(there):
                ordered = sort_keys(keys)
                quantiles[there] = quantiles_of_groups(ordered, self.counts[there], probabilities)
        return quantiles
