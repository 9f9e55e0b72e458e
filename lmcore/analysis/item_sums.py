"""Sums of many items, kept in a file: rows go in chunk by chunk and come out run by run.

A row is one figure of all items, such as one model's bits. There may be more items than fit into
memory. A few are kept in memory, and the file of more is a temporary one (in TMPDIR).
"""

import tempfile
from collections.abc import Iterator

import numpy as np

IN_MEMORY = 2**26  # bytes
RUN_ITEMS = 1_000_000  # items that are read together


class ItemSums:
    """Rows of float64, of which each chunk brings some more items. Use it as a context manager."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115
        self._sizes: list[int] = []  # items of each chunk
        self._n_rows = 0

    def __enter__(self) -> "ItemSums":
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def add(self, rows: np.ndarray) -> None:
        """Add a chunk: (rows, items)."""
        self._n_rows = len(rows)
        self._sizes.append(rows.shape[1])
        self._file.write(rows.astype(np.float64, order="C").tobytes())

    def runs(self, chosen: list[int]) -> Iterator[np.ndarray]:
        """(chosen, items) these rows of RUN_ITEMS items or more; of fewer at the end."""
        run: list[np.ndarray] = []
        n_items = start = 0
        for size in self._sizes:
            run.append(np.stack([self._row(start, size, row) for row in chosen]))
            start += size
            n_items += size
            if n_items >= RUN_ITEMS:
                yield np.concatenate(run, 1)
                run, n_items = [], 0
        if run:
            yield np.concatenate(run, 1)

    def _row(self, start: int, size: int, row: int) -> np.ndarray:
        """One row of the chunk of `size` items before which there are `start` items."""
        width = np.dtype(np.float64).itemsize
        self._file.seek((start * self._n_rows + row * size) * width)
        return np.frombuffer(self._file.read(size * width), np.float64)

    def total(self, row: int) -> float:
        """The sum of a row over all items."""
        return float(sum(values.sum() for (values,) in self.runs([row])))
