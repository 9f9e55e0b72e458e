"""How a table of items is cut into shards, each of which is scored alone and becomes one file.

The cut depends on the items and on the number of characters alone, never on the machine.
"""

from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from lmcore.scoring.engine import Engine


class Shard(NamedTuple):
    """Rows start..stop of an items table; if n_parts > 1, only a part of that row's windows."""

    start: int
    stop: int
    part: int = 0
    n_parts: int = 1


Job = tuple[Shard, Path]  # a shard, and the path as which it is kept


class _Item(NamedTuple):
    """Rows start..stop of an items table, which stay together."""

    start: int
    stop: int
    n_chars: int


def shards(items: pa.Table, shard_chars: int, engine: Engine) -> list[Shard]:
    """Runs of whole items of about equal size, of at most `shard_chars` characters or one item.

    A longer text is cut between its windows. But a text that is scored in several draws stays
    whole, since its rows are sorted by draw.
    """
    names = items["item"].to_pylist()
    contexts, targets = items["context"].to_pylist(), items["target"].to_pylist()
    lengths = [len(context) + len(target) for context, target in zip(contexts, targets)]
    starts = [0, *(row for row in range(1, len(names)) if names[row] != names[row - 1]), len(names)]
    result: list[Shard] = []
    run: list[_Item] = []  # items that are not in a shard yet
    for start, stop in pairwise(starts):
        n_chars = sum(lengths[start:stop])
        is_one_row = stop - start == 1
        if n_chars > shard_chars and is_one_row and engine.n_draws == 1:
            n_parts = min(-(-n_chars // shard_chars), engine.count_windows(items.slice(start, 1)))
            result += _shards_of_items(run, shard_chars)
            result += [Shard(start, stop, part, n_parts) for part in range(n_parts)]
            run = []
        else:
            run.append(_Item(start, stop, n_chars))
    return result + _shards_of_items(run, shard_chars)


def _shards_of_items(items: list[_Item], shard_chars: int) -> list[Shard]:
    """Shards of about equal size, since a small last one would leave processes idle."""
    total = sum(item.n_chars for item in items)
    goal = total / max(1, -(-total // shard_chars))
    result: list[Shard] = []
    n_done = 0
    begin = None
    for item in items:
        begin = item.start if begin is None else begin
        n_done += item.n_chars
        if n_done >= goal * (len(result) + 1) - 0.5:
            result.append(Shard(begin, item.stop))
            begin = None
    return result if begin is None else [*result, Shard(begin, items[-1].stop)]
