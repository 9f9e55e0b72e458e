"""Perplexity by domain: a model's tokens of a suite of texts in groups go in, perplexity and bits a byte of each group come out."""

import math

import numpy as np

from lmcore.explorations.findings import Findings, Said
from lmcore.statistics.stats import interval, ratio


def find(said: Said, entry: dict) -> Findings:
    """Of each group the perplexity of a token and of a byte; `details` hold the intervals of the bits a byte."""
    groups = np.array(said.texts.table["group"].to_pylist())
    n_bytes = said.texts.n_bytes.mean(0)
    metrics, details = {}, {}
    for name in sorted(set(groups.tolist())):
        at = groups == name
        bits = ratio(-said.logprob[at] / math.log(2) / n_bytes[at], n_bytes[at])
        metrics[name] = {
            "perplexity": float(np.exp(-said.logprob[at].sum() / said.n_tokens[at].sum())),
            "bits_per_byte": bits.mean,
            "n": int(at.sum()),
        }
        low, high = interval(bits, said.confidence) or (None, None)
        details[name] = {"low": low, "high": high}
    return Findings(
        metrics,
        {"bits_per_byte": details},
        [],
        [{"group": name, **values} for name, values in metrics.items()],
    )
