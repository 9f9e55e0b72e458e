"""Perplexity by domain.

A model's tokens of a suite of texts in groups go in, the perplexity and the bits per byte of each
group come out.
"""

import math

import numpy as np

from lmcore.explorations.findings import Findings, Said
from lmcore.statistics.stats import interval, ratio


def find(said: Said, entry: dict) -> Findings:
    """For each group its perplexity per token and its bits per byte.

    `details` hold the intervals of the bits per byte.
    """
    groups = np.array(said.texts.table["group"].to_pylist())
    n_bytes = said.texts.n_bytes.mean(0)
    metrics, intervals = {}, {}
    for name in sorted(set(groups.tolist())):
        at = groups == name
        bits = ratio(-said.logprob[at] / math.log(2) / n_bytes[at], n_bytes[at])
        metrics[name] = {
            "perplexity": float(np.exp(-said.logprob[at].sum() / said.n_tokens[at].sum())),
            "bits_per_byte": bits.mean,
            "n": int(at.sum()),
        }
        low, high = interval(bits, said.confidence) or (None, None)
        intervals[name] = {"low": low, "high": high}
    plot = [{"group": name, **values} for name, values in metrics.items()]
    return Findings(metrics, {"bits_per_byte": intervals}, [], plot)
