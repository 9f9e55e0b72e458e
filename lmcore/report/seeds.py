"""The report's section on seeds.

metrics/seeds.json goes in, a table of how far apart the seeds of one recipe lie comes out, or the
checkpoints that are averaged.
"""

from typing import NamedTuple

from markupsafe import Markup

from lmcore.report.layout import macros
from lmcore.report.terms import unit_of, written, written_range

# for a score that is folded over items: the metric that it becomes
NAMES = {"surprisal_per_byte": "bits_per_byte", "pseudo_surprisal_per_byte": "pseudo_bits_per_byte"}


class Spread(NamedTuple):
    """How far apart the seeds of one recipe lie on one suite, as the page writes it."""

    mean: str  # with its unit
    sd: str
    range: str  # the lowest and the highest
    alike: str  # how many items in a hundred two seeds say the same of; empty where none can be


class Recipe(NamedTuple):
    """A row of the table."""

    name: str
    n_runs: str  # seeds or checkpoints; suites may differ
    spreads: list[Spread | None]  # by suite


def seeds_section(spreads: dict[str, dict[str, dict]], suites: list[str]) -> Markup:
    """The table of seeds, with a row for each name and a column for each suite.

    It is empty where nothing has seeds. `spreads` is {name: {suite: spread}}, with the spreads of
    lmcore.comparing.model_pairs.
    """
    if not spreads:
        return Markup("")
    recipes = []
    for name, by_suite in spreads.items():
        first = next(iter(by_suite.values()))
        kind = "checkpoints" if "n_checkpoints" in first else "seeds"
        counts = sorted({spread[f"n_{kind}"] for spread in by_suite.values()})
        cells = [_spread(by_suite.get(suite)) for suite in suites]
        recipes.append(Recipe(name, f"{' or '.join(map(str, counts))} {kind}", cells))
    return macros(__name__).seeds_section(suites, recipes)


def _spread(spread: dict | None) -> Spread | None:
    """The spread on one suite."""
    if spread is None:
        return None
    name = NAMES.get(spread["metric"], spread["metric"])
    unit = unit_of(name)
    return Spread(
        mean=written(name, spread["mean"]) + unit,
        sd=written(name, spread["sd"]),
        range=written_range(name, (spread["lowest"], spread["highest"])),
        # only of shares: two real numbers are never alike
        alike=f"{100 * spread['alike']:.0f}" if unit else "",
    )
