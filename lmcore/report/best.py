"""Which models of a suite are best, and which cannot be told from them.

The comparisons of pairs (metrics/comparisons.json) and the results go in. What stands in the table
of results and below it comes out.

The best has the best figure of the suite's column. Another model is not distinguishable from it if
their paired comparison, corrected for all comparisons made at once, is no evidence of a difference;
so ranges that overlap say nothing here. A pair that was not compared stays open.
"""

from typing import Any, NamedTuple

from lmcore.report.seeds import NAMES
from lmcore.report.terms import label

SAME = ("equal", "no evidence", "unchanged")  # the verdicts that show no difference
OPEN = "≈ ?"  # the mark of a model that was not compared with the best

Pairs = dict[str, dict[str, dict[str, Any]]]  # MODEL_vs_AGAINST: suite: comparison


class Standing(NamedTuple):
    """How the models of one suite stand to the best of them."""

    best: list[str]  # several where they have the same figure
    tied: list[str]  # not distinguishable from the best
    unknown: list[str]  # not compared with the best
    compared_by: str  # the metric of these comparisons; empty where it is the column's own

    def mark(self, model: str) -> str:
        """What the cell of a model says; nothing where the model differs from the best."""
        if model in self.best:
            return "best"
        if model in self.tied:
            return "≈ best"
        return OPEN if model in self.unknown else ""

    def sentences(self) -> list[str]:
        """The same in words."""
        is_one = len(self.best) == 1
        said = [f"{'Best is' if is_one else 'Best are'} {', '.join(self.best)}."]
        them = "it" if is_one else "them"
        if self.tied:
            said.append(f"Not distinguishable from {them}: {', '.join(self.tied)}.")
        if self.unknown:
            said.append(f"Not compared with {them}: {', '.join(self.unknown)}.")
        if self.compared_by:
            said.append(f"Pairs are compared by {self.compared_by}.")
        return said


def standing(
    values: dict[str, float], metric: str, suite: str, pairs: Pairs, *, lower_is_better: bool
) -> Standing | None:
    """How models stand by their `values` of the metric on a suite; None for fewer than two."""
    if len(values) < 2:
        return None
    top = min(values.values()) if lower_is_better else max(values.values())
    best = [model for model, value in values.items() if value == top]
    tied, unknown = [], []
    metrics: set[str] = set()
    for model in values:
        if model in best:
            continue
        found = _comparisons(model, best, suite, pairs)
        metrics.update(comparison["metric"] for comparison in found)
        if not found:
            unknown.append(model)
        elif any(comparison["verdict"] in SAME for comparison in found):
            tied.append(model)
    others = sorted({NAMES.get(name, name) for name in metrics} - {metric})
    return Standing(best, tied, unknown, " and ".join(map(label, others)))


def _comparisons(model: str, best: list[str], suite: str, pairs: Pairs) -> list[dict[str, Any]]:
    """The comparisons of a model with the best ones on a suite, in whichever direction."""
    found = []
    for other in best:
        for name in (f"{model}_vs_{other}", f"{other}_vs_{model}"):
            if suite in pairs.get(name, {}):
                found.append(pairs[name][suite])
    return found
