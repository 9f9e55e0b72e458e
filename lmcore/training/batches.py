"""The examples of a training: token ids go in, batches and passes over them come out.

The order of the examples and the offsets at which they begin are pure functions of the seed and the
epoch.

A chunk may be cut into shorter sequences. A step reads the same chunks then, and thus as many
tokens; only the first token of every sequence is no target.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

from lmcore.training import ranks

IGNORED = -100  # a label that is no target


class Examples(NamedTuple):
    """Token ids, and labels where only some of the tokens are targets."""

    ids: np.ndarray  # (n, T)
    labels: np.ndarray | None = None  # (n, T), IGNORED for what is no target


class Splits(NamedTuple):
    """The examples that a model is trained on, and those that its dev loss is measured on."""

    training: Examples
    dev: Examples


def batches(n: int, batch_size: int, steps: int, seed: int) -> Iterator[tuple[int, np.ndarray]]:
    """(epoch, row numbers) of the batch of each step, in turn.

    Every epoch has its own permutation of the `n` rows. Its last batch may be shorter.
    """
    per_epoch = math.ceil(n / batch_size)
    for epoch in range(math.ceil(steps / per_epoch)):
        order = np.random.default_rng([seed, epoch]).permutation(n)
        n_batches = min(per_epoch, steps - epoch * per_epoch)
        for start in range(0, n_batches * batch_size, batch_size):
            yield epoch, order[start : start + batch_size]


def take_rows(
    examples: Examples, rows: np.ndarray, random: np.random.Generator | None = None
) -> Examples:
    """The examples of these row numbers.

    With `random`, the rows are taken for one stream of text: every chunk begins at a random place
    between its own beginning and that of the next chunk.
    """
    if random is None:
        labels = None if examples.labels is None else examples.labels[rows]
        return Examples(examples.ids[rows], labels)
    n, length = examples.ids.shape
    starts = rows * length + random.integers(length, size=n - 1)[rows]
    return Examples(examples.ids.reshape(-1)[starts[:, None] + np.arange(length)])


def take_some(examples: Examples, limit: int | None) -> Examples:
    """`limit` of the examples, always the same ones; all of them for None."""
    if limit is None or limit >= len(examples.ids):
        return examples
    order = np.random.default_rng(0).permutation(len(examples.ids))
    return take_rows(examples, np.sort(order[:limit]))


def passes(
    batch: Examples, size: int, device: torch.device, length: int | None = None
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """ids (B, T) and labels (B, T - 1) of this rank's share of a batch, `size` rows at a time.

    With a `length`, which divides that of a row, every row is cut into sequences of so many tokens.

    All ranks take the same number of passes: those of a split model wait for each other in each. A
    rank that has no rows left takes a pass without targets.
    """
    mine = slice(ranks.rank(), None, ranks.size())
    n_largest = math.ceil(len(batch.ids) / ranks.size())  # rows of the largest share
    ids = torch.from_numpy(batch.ids[mine].astype(np.int64))
    labels = ids if batch.labels is None else torch.from_numpy(batch.labels[mine].astype(np.int64))
    length = length or ids.shape[1]
    for start in range(0, n_largest, size):
        if start >= len(ids):
            unused = torch.from_numpy(batch.ids[:1, :length].astype(np.int64)).to(device)
            yield unused, torch.full_like(unused[:, 1:], IGNORED)
            continue
        rows = slice(start, start + size)
        cut = labels[rows].reshape(-1, length)[:, 1:]
        yield ids[rows].reshape(-1, length).to(device), cut.to(device)
