"""Can a suite tell the models apart? Its signal, its noise, and the pairs that differ.

The sides of all models on a suite and the judged comparisons of their pairs go in. A mapping for
JSON comes out.

The signal is the distance between the highest and the lowest figure of a model. The noise is the
standard deviation between runs that should be alike: the seeds of a recipe, or the checkpoints that
are averaged as one model. If there are several such sets of runs, their variances are pooled. The
draws of a random model are neither: it is made to be random. The paper divides signal and noise by
the mean figure; in their ratio this cancels.

Source: Heineman et al. 2025, Signal and Noise, arXiv 2508.13144, section 3.
"""

import math
from typing import Any

import numpy as np
from scipy import special

from lmcore.comparing.comparison import VERDICTS, Comparison, Side, groups_of_the_figure
from lmcore.statistics.stats import macro


def signal_and_noise(
    sides: dict[str, Side], runs: dict[str, Side], metric: str, confidence: float
) -> dict[str, Any]:
    """The signal between `sides`, and the noise between the runs of each of `runs`.

    `sides` are what is compared, without random models; each counts as the mean of its seeds. Each
    of `runs` has a row of values for each seed or checkpoint. All have the same `metric`.

    The keys are `metric`, `n_models`, `lowest`, `highest` and `signal`. If there are runs, these
    follow: `noise`, `noise_of` (whose runs), `snr` (signal / noise; absent without noise), and
    `between_runs`, the difference that two runs exceed in the share 1 - confidence of cases.
    """
    figures = [_figures(side, metric).mean() for side in sides.values()]
    values: dict[str, Any] = {"metric": metric, "n_models": len(figures)}
    if figures:
        low, high = float(min(figures)), float(max(figures))
        values |= {"lowest": low, "highest": high, "signal": high - low}
    of_runs = {name: _figures(side, metric) for name, side in runs.items()}
    df = sum(len(found) - 1 for found in of_runs.values())
    if not df:
        return values
    squares = sum(((found - found.mean()) ** 2).sum() for found in of_runs.values())
    noise = math.sqrt(squares / df)
    quantile = float(special.stdtrit(df, (1 + confidence) / 2))
    values |= {"noise": noise, "noise_of": sorted(of_runs)}
    values["between_runs"] = quantile * math.sqrt(2) * noise
    if noise and figures:
        values["snr"] = values["signal"] / noise
    return values


def _figures(side: Side, metric: str) -> np.ndarray:
    """(seeds,): the figure of each row of a side's values."""
    groups = groups_of_the_figure(side, metric)
    return np.array([macro(value, side.weights, groups).mean for value in side.values])


def with_verdicts(values: dict[str, Any], judged: list[Comparison]) -> dict[str, Any]:
    """The `values` of `signal_and_noise`, and whether the suite can tell the models apart.

    `judged` are the comparisons of all pairs on the suite but those with a random model. Keys that
    are added: `n_pairs`, `n_different` (those with evidence of a difference), `largest` (the
    largest difference without its sign), `detectable` (a true difference at least so large shows in
    any pair that changed; not there where a pair has too few items for any difference to show,
    whose smallest p is then `least_p`), and `cannot_tell`: `none differs`, or `noise` where all
    figures lie within `between_runs` and no recipe of several seeds differs. It is not there where
    the suite can tell them apart, or where no pair was compared.
    """
    changed = [comparison for comparison in judged if comparison.changed]
    different = [comparison for comparison in judged if comparison.verdict in VERDICTS[:4]]
    values = values | {"n_pairs": len(judged), "n_different": len(different)}
    if not judged:
        return values
    values["largest"] = max(abs(comparison.difference) for comparison in judged)
    detectable = [comparison.detectable for comparison in changed]
    if detectable and None not in detectable:
        values["detectable"] = max(known for known in detectable if known is not None)
    elif least_p := max((comparison.least_p for comparison in changed), default=0.0):
        values["least_p"] = least_p
    recipes = [one for one in different if one.n_seeds_a > 1 and one.n_seeds_b > 1]
    are_all_equal = bool(changed) and all(one.verdict == "equal" for one in changed)
    if not different and not are_all_equal:
        values["cannot_tell"] = "none differs"
    elif different and not recipes and values["largest"] <= values.get("between_runs", -1.0):
        values["cannot_tell"] = "noise"
    return values
