"""One figure of each family, of small numbers, with a given text wherever data can be."""

from functools import cache

from lmcore.figures.bars import bars, points
from lmcore.figures.counts import ridges, squares
from lmcore.figures.intervals import by_group, over_bins
from lmcore.figures.lines import lines
from lmcore.figures.specification import Field, Figure

MODEL, GROUP = Field("model", "model"), Field("group", "group")
SHARE, STEP = Field("accuracy", "accuracy", ".1%"), Field("step", "step", ",")


@cache
def some_figures(one: str = "one", other: str = "other") -> dict[str, Figure]:
    """The figures of two models by family; `one` also names a group, a bar and a point."""
    names = [one, other]
    losses, shares = [], []
    for model, shift in zip(names, (0.0, 0.25)):
        for step in (1, 10, 100):
            loss = {"loss": 3 - shift, "loss_low": 2.5 - shift, "loss_high": 3.5 - shift}
            losses.append({"model": model, "step": step, **loss})
        ends = {"accuracy_low": 0.25, "accuracy_high": 0.75}
        shares.append({"model": model, "group": one, "accuracy": 0.5 + shift, **ends, "base": 0.5})
    loss, base = Field("loss", "nats per token", ".3f"), Field("base", "length baseline", ".1%")
    value, error = Field("value", "value", ".2f"), Field("error", "standard error", ".2f")
    amounts = [
        {"name": name, "kind": model, "value": -3.0, "error": 0.5, "size": size}
        for name, model, size in ((one, one, 20), ("b", other, 3000))
    ]
    name, kind, size = Field("name", "name"), Field("kind", "kind"), Field("size", "size", ",")
    figures = [
        lines("lines", one, losses, STEP, loss, MODEL, names, log_x=True, with_diagonal=True),
        over_bins("over_bins", one, shares, GROUP, SHARE, MODEL, names, bins=[one]),
        by_group("by_group", one, shares, SHARE, GROUP, MODEL, names, groups=[one], baseline=base),
        ridges("ridges", one, {one: [4, 0, 1]}, {one: 0.3}, 0.5, names, "entropy, nats"),
        squares("squares", one, [(0, 0, 5), (3, 5, 90)], 40, (one, other), names),
        bars("bars", one, amounts, value, name, kind, names, error=error),
        points("points", one, amounts, size, value, name, kind, names),
    ]
    return {figure.name: figure for figure in figures}
