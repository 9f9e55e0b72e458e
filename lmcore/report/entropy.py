"""The report's section on entropy: items and token tables go in, histograms come out.

Items and token tables are read in batches: memory grows with them by a bit a row.
"""

from pathlib import Path

import numpy as np
from markupsafe import Markup

from lmcore.analysis.rows import TokenRows
from lmcore.figures.counts import ridges
from lmcore.report.figures import drawn
from lmcore.report.layout import macros

BIN_WIDTH = 0.25  # nats


def entropy_histograms(
    models: list[str], scored: dict[str, list[str]], items: Path, tokens: Path
) -> Markup:
    """Histograms of the entropies that the metric `entropy` is the mean of.

    There is one figure for each suite, with a row for each model. `scored` are the models by suite,
    `models` all of them.
    """
    figures = {}
    for suite, names in scored.items():
        of_suite = items / f"{suite}.parquet"
        counts, means = {}, {}
        for model in names:
            rows = TokenRows(tokens / model / suite, of_suite, "gold")
            counts[model], means[model] = count_entropies(rows)
        label = f"How the entropy of the predictions is spread on {suite}, by model"
        figure = ridges(
            f"entropy-{suite}", label, counts, means, BIN_WIDTH, models, "entropy, nats"
        )
        figures[suite] = drawn(figure)
    return macros(__name__).entropy_histograms(figures)


def count_entropies(rows: TokenRows) -> tuple[list[int], float]:
    """Counts in bins of BIN_WIDTH nats, up to the last bin that is not empty, and the mean."""
    counts, total = np.zeros(1, np.int64), 0.0
    for values in rows.values("entropy"):
        values = values.astype(np.float64)
        total += float(values.sum())
        bins = (np.maximum(values, 0) / BIN_WIDTH).astype(np.int64)  # rounding can leave -1e-7
        sums = np.bincount(bins, minlength=len(counts))
        sums[: len(counts)] += counts
        counts = sums
    return [int(count) for count in counts], total / len(rows)
