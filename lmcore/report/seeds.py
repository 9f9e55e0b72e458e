"""The report's section on seeds: metrics/seeds.json goes in, a table of how far apart the seeds of one recipe lie comes out."""

from lmcore.report.terms import unit_of, written
from lmcore.shown import for_html

# of a score folded over items: the metric that it becomes
NAMES = {"surprisal_per_byte": "bits_per_byte", "pseudo_surprisal_per_byte": "pseudo_bits_per_byte"}


def seeds_section(spreads: dict[str, dict[str, dict]], suites: list[str]) -> str:
    """`spreads`, {name: {suite: spread}} of lmcore.comparing.model_pairs, a row a name and a column a suite; empty where nothing has
    seeds.
    """
    if not spreads:
        return ""
    heads = "".join(f'<th scope="col">{for_html(suite)}</th>' for suite in suites)
    rows = "\n".join(
        f'<tr><th scope="row">{for_html(name)}<small>{_seeds(of_suite)}</small></th>'
        + "".join(_cell(of_suite.get(suite)) for suite in suites)
        + "</tr>"
        for name, of_suite in spreads.items()
    )
    return (
        '<p class="caption">The same recipe under other seeds: the mean, ± one standard deviation over seeds, the lowest and the highest, '
        "and of how many items in a hundred two seeds say the same. A difference between two models of one seed each that is smaller "
        "than this spread may be the luck of the draw, whatever its interval over items. The draws of a random model are its seeds.</p>\n"
        f'<div class="card scroll wide"><table><thead><tr><td></td>{heads}</tr></thead><tbody>\n{rows}\n</tbody></table></div>'
    )


def _seeds(of_suite: dict[str, dict]) -> str:
    counts = sorted({spread["n_seeds"] for spread in of_suite.values()})
    return f"{' or '.join(map(str, counts))} seeds"


def _cell(spread: dict | None) -> str:
    if spread is None:
        return "<td>–</td>"
    name = NAMES.get(spread["metric"], spread["metric"])
    value, sd, lowest, highest = (
        written(name, spread[key]) for key in ("mean", "sd", "lowest", "highest")
    )
    alike = (
        f"<small>{100 * spread['alike']:.0f} % alike</small>" if unit_of(name) else ""
    )  # two real numbers never are
    return (
        f"<td><b>{value}{unit_of(name)}</b> ± {sd} <small>{lowest} – {highest}</small>{alike}</td>"
    )
