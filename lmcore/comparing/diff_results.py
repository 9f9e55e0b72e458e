"""What a diff of two revisions is asked for, and what it finds.

Plain records, which lmcore.comparing.diff fills and lmcore.comparing.diff_text shows.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from lmcore.comparing.comparison import (
    LOWER_IS_BETTER,
    Comparison,
    Side,
    as_one,
    averaged,
    read_side,
)
from lmcore.comparing.settings import Settings
from lmcore.errors import InputError
from lmcore.history.revisions import SCORES, Revision
from lmcore.suites.declare import declared_subset


class Scores(NamedTuple):
    """Where a revision has the scores of a model, or of a recipe's models, on one suite.

    With `are_averaged`, the models are checkpoints, whose values are averaged as those of one.
    """

    revision: Revision
    models: list[str]
    suite: str
    are_averaged: bool = False

    def paths(self) -> list[str]:
        """The scores table of each model."""
        return [f"{SCORES}/{model}/{self.suite}.parquet" for model in self.models]

    def subset(self) -> str:
        """Which part of a benchmark the suite is; empty if its entry does not say so."""
        return declared_subset(
            self.suite, (self.revision.params.get("suites") or {}).get(self.suite)
        )

    def hashes(self) -> list[str]:
        """The hash of each scores table."""
        return [self.revision.md5(path) for path in self.paths()]

    def side(self, metrics: list[str], known: dict[bytes, Side]) -> tuple[str, Side]:
        """The first of `metrics` that is there, and the values under it.

        `known` is that of `read_side`. Raises InputError where the models have different metrics,
        as causal and masked LMs do.
        """
        revision = self.revision
        metrics_there, sides = [], []
        for path in self.paths():
            read = partial(revision.table, path)
            metric, side = read_side(read, metrics, f"{revision.name}: {path}", known)
            metrics_there.append(metric)
            sides.append(side)
        where = f"{revision.name}: {', '.join(self.models)} on {self.suite}"
        if len(set(metrics_there)) > 1:
            raise InputError(
                f"{where}: has causal and masked LMs, whose metrics are "
                f"{', '.join(dict.fromkeys(metrics_there))}"
            )
        side = as_one(sides, where)
        return metrics_there[0], averaged(side) if self.are_averaged else side


class Row(NamedTuple):
    """One model on one suite."""

    model: str
    suite: str
    comparison: Comparison
    n_lost: int  # items left out, since only one revision has them
    groups: dict[str, Comparison]
    items: list[dict]
    subset: str = ""  # which part of a benchmark the suite is, if its entry says so
    method: str = ""  # how an unpaired difference was tested (lmcore.comparing.diff_unpaired)


class WithoutTables(NamedTuple):
    """What a diff says where the tables of a side are nowhere, so that nothing can be paired.

    `why` is the line on this and on what brings a paired answer. `left_out` has a line for each
    option that needs the tables. `others` are the metrics that are not the headline of their suite
    and whose recorded figures differ; `n_others` counts those that were compared.
    """

    why: str
    left_out: list[str]
    others: list[Row]
    n_others: int


class Diff(NamedTuple):
    """The differences between revisions A and B.

    `rows` are the comparisons in which an item changed, worst first. `unchanged` and `refused` name
    model and suite.

    `stale` and `not_compared` are lines for people. `stale` says why the scores of A or B are not
    those of its own code, params and data. `not_compared` says what A has, or what was asked for,
    that was not compared with anything. If either has a line, the absence of `worse` means nothing.
    `cannot_tell` says which suites cannot tell A and B apart.
    """

    a: str
    b: str
    params: dict[str, tuple[Any, Any]]
    stages: dict[str, list[str]]
    stale: list[str]
    not_compared: list[str]
    rows: list[Row]
    unchanged: list[tuple[str, str]]
    refused: dict[tuple[str, str], str]
    only_a: list[str]
    only_b: list[str]
    # a line for each of `unchanged` that left items out, since only one revision has them
    lost: list[str]
    confidence: float
    correction: str
    margin: dict[str, float]
    without_tables: WithoutTables | None = None
    notes: tuple[str, ...] = ()  # lines on how other tools counted
    of_logs: bool = False  # A and B are logs of other tools: they have no params and no stages
    cannot_tell: list[str] = []  # lines on suites that cannot tell A and B apart


class Asked(NamedTuple):
    """What `diff` was asked for."""

    suites: list[str]
    models: list[str]
    common: bool
    groups: bool
    n_items: int
    settings: Settings
    lower_is_better: tuple[str, ...] = LOWER_IS_BETTER

    def covers(self, model: str, suite: str) -> bool:
        """Whether this model on this suite is among what was asked for; no names mean all."""
        is_suite = not self.suites or suite in self.suites
        return is_suite and (not self.models or model in self.models)


@dataclass
class Results:
    """What came of the comparisons; the fields are those of Diff, but `rows` is not judged yet."""

    rows: list[Row] = field(default_factory=list)
    unchanged: list[tuple[str, str]] = field(default_factory=list)
    refused: dict[tuple[str, str], str] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    not_compared: list[str] = field(default_factory=list)
    without_tables: WithoutTables | None = None
