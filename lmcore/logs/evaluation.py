"""What one model scored on one task, as another tool logged it.

An importer (one module for each tool) reads a log into an `Evaluation`. The `scores` table of
lmcore.tables comes out of it, so that it is compared as any other scores are.

Where the log has the log-prob of every option, lmcore counts by its own rule, too: the metric
`accuracy` gives a tie the share that guessing would give, and `tie` marks the tied items. The
tool's own count keeps the tool's name (`acc`).
"""

import hashlib
import math
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from lmcore.errors import InputError
from lmcore.folds.ties import settle
from lmcore.tables import CLUSTER, SCORE_KEY, SCORES, check
from lmcore.text_files import described


class Options(NamedTuple):
    """The options of one item: their texts, log-probs in nats, and which of them are right.

    `n_tokens` is None where the log does not have the tokens.
    """

    texts: list[str]
    logprobs: list[float]
    gold: list[int]
    n_tokens: list[int] | None = None


class Item(NamedTuple):
    """One item as a tool logged it.

    `content` is what the item asks: two logs are compared on items of the same id and content.
    `values` has the value and the weight of each metric. `draw` numbers the epochs of an item that
    was asked several times. `prompt` is the text before the options, or a hash of it: two logs may
    ask the same with other prompts, and a note says so. Items of one `cluster` share a story or a
    concept; an empty one is shared with no other.
    """

    id: str
    content: str
    values: dict[str, tuple[float, float]]
    group: str = "all"
    draw: int = 0
    options: Options | None = None
    prompt: str = ""
    cluster: str = ""


class Printed(NamedTuple):
    """What the tool printed for a metric: its mean, and its standard error where it gave one."""

    mean: float
    se: float | None


@dataclass
class Evaluation:
    """One model on one task.

    `lower_is_better` names the metrics of which less is better. `notes` are lines for people, on
    what the log lacks. `dtype` is that of the model, where the log says it.
    """

    tool: str
    model: str
    task: str
    source: Path
    items: list[Item]
    lower_is_better: set[str] = field(default_factory=set)
    printed: dict[str, Printed] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    dtype: str | None = None

    @property
    def has_options(self) -> bool:
        """Whether the log has the log-prob of every option of every item."""
        return bool(self.items) and all(item.options for item in self.items)

    def metrics(self) -> list[str]:
        """The metrics of the scores table, lmcore's own before the tool's."""
        own = ["accuracy", "tie"] if self.has_options else []
        names = [name for item in self.items for name in item.values]
        return list(dict.fromkeys([*own, *names]))

    def n_ties(self) -> int:
        """How many items are tied for the first place, where the log has every option."""
        if not self.has_options:
            return 0
        return sum(by_own_rule(item.options)[1] for item in self.items if item.options)

    def scores(self) -> pa.Table:
        """The SCORES table. Raises InputError for an item that occurs twice."""
        rows = []
        for item in self.items:
            key = {"item": item.id, "draw": item.draw, "variant": "", "group": item.group}
            key[CLUSTER] = item.cluster or item.id
            content = content_hash(item.content)
            for metric, (value, weight) in self._values(item).items():
                row = {"metric": metric, "value": value, "weight": weight, "content_hash": content}
                rows.append(key | row)
        self._check_draws()
        rows.sort(key=lambda row: [row[name] for name in SCORE_KEY])
        for row, following in pairwise(rows):
            if all(row[name] == following[name] for name in SCORE_KEY):
                raise InputError(
                    f"{self.source}: item '{row['item']}' has metric '{row['metric']}' twice;"
                    " expected each item once"
                )
        has_clusters = any(item.cluster for item in self.items)
        schema = SCORES.append(pa.field(CLUSTER, pa.string())) if has_clusters else SCORES
        return check(pa.Table.from_pylist(rows, schema), SCORES, self.source)

    def _check_draws(self) -> None:
        """Raises InputError unless each item has as many draws as the others, numbered from 0."""
        draws: dict[str, set[int]] = {}
        for item in self.items:
            draws.setdefault(item.id, set()).add(item.draw)
        n_draws = max(map(len, draws.values()))
        for name, numbers in draws.items():
            if numbers != set(range(n_draws)):
                raise InputError(
                    f"{self.source}: item '{name}' has the draws {sorted(numbers)}; expected"
                    f" 0 to {n_draws - 1}, as others have"
                )

    def _values(self, item: Item) -> dict[str, tuple[float, float]]:
        """The values of an item: the tool's and, where there are options, lmcore's."""
        if not self.has_options:
            return item.values
        assert item.options is not None
        accuracy, is_tied = by_own_rule(item.options)
        return item.values | {"accuracy": (accuracy, 1.0), "tie": (float(is_tied), 1.0)}


def by_own_rule(options: Options) -> tuple[float, bool]:
    """What an item counts if a tie counts what guessing would give, and whether it is tied.

    An item is tied if the best option may be a right or a wrong one.
    """
    share = counted(options, "half")
    return share, 0 < share < 1


def counted(options: Options, ties: str) -> float:
    """What an item counts, from 0 to 1; of several right options any counts.

    ties: `half` (what guessing between the best options would give), `win` (the first of them is
    taken, as by argmax, which also takes the first NaN) or `loss` (a tie of right and wrong options
    is wrong). But for `win`, an item with a NaN counts 0, as nothing was chosen.
    """
    if any(map(math.isnan, options.logprobs)):
        return float(ties == "win" and int(np.argmax(options.logprobs)) in options.gold)
    values = np.array(options.logprobs)[None, None]
    if ties == "win":
        return float(int(values.argmax()) in options.gold)
    shares = [float(settle(values, np.array([gold]), "half")[0][0, 0]) for gold in options.gold]
    # thirds may add up to a little less than 1
    total = sum(shares) if sum(shares) < 1 - 1e-9 else 1.0
    return total if ties == "half" else float(total == 1)


def content_hash(content: str) -> int:
    """The first 64 bits of the sha256 of a text."""
    digest = hashlib.sha256(content.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big")


def finite(value: object, where: str) -> float:
    """`value` as a number. Raises InputError, whose message begins with `where`, otherwise."""
    if isinstance(value, bool):
        return float(value)
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"{where} must be a finite number, not {described(value)}")
    return float(value)
