"""The report's section on what each suite can tell.

metrics/signal.json goes in. A table of signal and noise, and sentences on the suites that cannot
tell the models apart, come out.
"""

from typing import Any, NamedTuple

from markupsafe import Markup

from lmcore.report.layout import macros
from lmcore.report.seeds import NAMES
from lmcore.report.terms import unit_of, written, written_range


class Telling(NamedTuple):
    """What one suite can tell, as the page writes it; a text is empty where nothing is known."""

    signal: str  # with its unit
    range: str  # the lowest and the highest figure
    noise: str
    snr: str
    pairs: str  # how many of them differ
    detectable: str  # the difference that shows in every pair
    cannot_tell: str  # the sentence that says why the suite cannot tell the models apart


def signal_section(signals: dict[str, dict[str, Any]]) -> Markup:
    """The table with a row for each suite, and the sentences below it.

    It is empty where no pair was compared. `signals` is {suite: values}, with the values of
    lmcore.comparing.signal.
    """
    found = {suite: _telling(values) for suite, values in signals.items() if values["n_pairs"]}
    if not found:
        return Markup("")
    has_noise = any(telling.noise for telling in found.values())
    return macros(__name__).signal_section(found, has_noise)


def _telling(values: dict[str, Any]) -> Telling:
    """What one suite can tell."""
    name = NAMES.get(values["metric"], values["metric"])
    unit = unit_of(name)

    def shown(key: str) -> str:
        return written(name, values[key]) + unit if key in values else ""

    bounds = (values["lowest"], values["highest"]) if "signal" in values else None
    return Telling(
        signal=shown("signal"),
        range=written_range(name, bounds),
        noise=shown("noise"),
        snr=f"{values['snr']:.1f}" if "snr" in values else "",
        pairs=f"{values['n_different']} of {values['n_pairs']}",
        detectable=shown("detectable"),
        cannot_tell=_why(values, shown("detectable"), shown("largest"), shown("between_runs")),
    )


def _why(values: dict[str, Any], detectable: str, largest: str, between_runs: str) -> str:
    """Why a suite cannot tell the models apart; empty where it can."""
    reason = values.get("cannot_tell")
    if reason == "noise":
        return (
            f"the largest difference, {largest}, is no more than two runs of one recipe differ by"
            f" ({between_runs})"
        )
    if reason is None:
        return ""
    n_pairs = values["n_pairs"]
    pairs = "the pair compared does not differ"
    if n_pairs > 1:
        pairs = f"none of the {n_pairs} pairs compared differs after correction"
    if detectable:
        return f"{pairs}. A true difference of {detectable} or more would most likely show"
    if "least_p" in values:
        return (
            f"{pairs}. So few items cannot show any difference: no p can be below"
            f" {values['least_p']:.2g} before it is corrected"
        )
    return pairs
