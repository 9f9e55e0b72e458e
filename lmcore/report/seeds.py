"""The report's section on seeds.

metrics/seeds.json goes in, a table of how far apart the seeds of one recipe lie comes out.
"""

from lmcore.report.terms import unit_of, written
from lmcore.shown import for_html

# for a score that is folded over items: the metric that it becomes
NAMES = {"surprisal_per_byte": "bits_per_byte", "pseudo_surprisal_per_byte": "pseudo_bits_per_byte"}


def seeds_section(spreads: dict[str, dict[str, dict]], suites: list[str]) -> str:
    """The table of seeds, with a row for each name and a column for each suite.

    It is empty where nothing has seeds. `spreads` is {name: {suite: spread}}, with the spreads of
    lmcore.comparing.model_pairs.
    """
    if not spreads:
        return ""
    heads = "".join(f'<th scope="col">{for_html(suite)}</th>' for suite in suites)
    rows = "\n".join(_row(name, by_suite, suites) for name, by_suite in spreads.items())
    return (
        '<p class="caption">The same recipe under other seeds: the mean, ± one standard deviation '
        "over seeds, the lowest and the highest, and of how many items in a hundred two seeds say "
        "the same. A difference between two models of one seed each that is smaller than this "
        "spread may be the luck of the draw, whatever its interval over items. The draws of a "
        "random model are its seeds.</p>\n"
        f'<div class="card scroll wide"><table><thead><tr><td></td>{heads}</tr></thead><tbody>\n'
        f"{rows}\n</tbody></table></div>"
    )


def _row(name: str, by_suite: dict[str, dict], suites: list[str]) -> str:
    """The row of one recipe."""
    cells = "".join(_cell(by_suite.get(suite)) for suite in suites)
    seeds = _n_seeds(by_suite)
    return f'<tr><th scope="row">{for_html(name)}<small>{seeds}</small></th>{cells}</tr>'


def _n_seeds(by_suite: dict[str, dict]) -> str:
    """How many seeds the recipe has; suites may differ."""
    counts = sorted({spread["n_seeds"] for spread in by_suite.values()})
    return f"{' or '.join(map(str, counts))} seeds"


def _cell(spread: dict | None) -> str:
    """The spread on one suite."""
    if spread is None:
        return "<td>–</td>"
    name = NAMES.get(spread["metric"], spread["metric"])
    mean, sd, lowest, highest = (
        written(name, spread[key]) for key in ("mean", "sd", "lowest", "highest")
    )
    unit = unit_of(name)
    # only of shares: two real numbers are never alike
    alike = f"<small>{100 * spread['alike']:.0f} % alike</small>" if unit else ""
    return f"<td><b>{mean}{unit}</b> ± {sd} <small>{lowest} – {highest}</small>{alike}</td>"
