"""What the findings of all explorations share.

A suite's texts under one model go in, numbers that are compared within items come out. The draws of
a random model are averaged within each text. Log-probs and entropies are in nats.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from lmcore.folds.by_text import TextStats
from lmcore.statistics import paired
from lmcore.statistics.stats import interval, ratio


@dataclass
class Said:
    """What one model said of one suite, and how it is to be tested."""

    texts: TextStats
    tokens: pa.Table  # the whole table of TOKENS
    pieces: list[str]  # the texts of the model's token ids
    classes: list[str]
    threshold: float  # a ratio of probabilities above which a pair is flagged
    confidence: float  # of intervals
    resamples: int  # of bootstraps and sign flips
    seed: int

    @cached_property
    def logprob(self) -> np.ndarray:
        """(texts,) the log-prob of the target, in nats."""
        return self.texts.logprob.mean(0)

    @cached_property
    def n_tokens(self) -> np.ndarray:
        """(texts,) the tokens of the target."""
        return self.texts.n_tokens.mean(0)

    @cached_property
    def n_prompt(self) -> np.ndarray:
        """(texts,) the scored tokens of the context."""
        return (self.texts.first_target - self.texts.starts).reshape(self.texts.shape)[0]

    @cached_property
    def prompt_logprob(self) -> np.ndarray:
        """(texts,) the mean log-prob of a token of the context, in nats; 0 where there is none."""
        tokens = self.texts.tokens
        values = np.where(tokens["is_target"], 0.0, tokens["logprob"].astype(np.float64))
        sums = np.add.reduceat(values, self.texts.starts).reshape(self.texts.shape)
        return sums.mean(0) / np.maximum(self.n_prompt, 1)

    @cached_property
    def next_entropy(self) -> np.ndarray:
        """(texts,) the entropy of the distribution that predicted the target's first token."""
        entropy = self.texts.tokens["entropy"][self.texts.first_target].astype(np.float64)
        return entropy.reshape(self.texts.shape).mean(0)

    def top(self, row: int, n: int = 5) -> str:
        """The `n` most probable tokens before the target of a text, separated by spaces.

        It is empty where the suite's scoring has no top_k, and where the model has several draws.
        """
        if "top_ids" not in self.tokens.column_names or self.texts.shape[0] > 1:
            return ""
        ids = self.tokens["top_ids"][int(self.texts.first_target[row])].as_py()[:n]
        return " ".join(f"'{self.pieces[token]}'" for token in ids)

    def test(self, differences: np.ndarray) -> dict[str, Any]:
        """The mean of paired differences, its interval, and the p value of sign flips.

        `low` and `high` are None where there is no interval.
        """
        estimate = ratio(differences, np.ones(len(differences)))
        low, high = interval(estimate, self.confidence) or (None, None)
        shares = np.full(len(differences), 1 / len(differences))
        p = paired.sign_flip(differences, shares, resamples=self.resamples, seed=self.seed)
        return {
            "difference": estimate.mean,
            "low": low,
            "high": high,
            "p": p,
            "n": len(differences),
        }


@dataclass
class Findings:
    """What an exploration finds in one suite under one model.

    The metrics of one part of the suite change when that part changes, and only then.
    """

    metrics: dict[str, Any]  # by part of the suite
    details: dict[str, Any] = field(default_factory=dict)  # of the whole suite: rankings, tests
    table: list[dict] = field(default_factory=list)  # a row for each item
    plot: list[dict] = field(default_factory=list)  # a row for each bar or point


def correct(tests: dict[str, dict], method: str = "holm") -> dict[str, dict]:
    """The tests with `p_corrected`: the p value corrected for their number."""
    if not tests:
        return {}
    p = paired.corrected(np.array([test["p"] for test in tests.values()]), method)
    return {
        name: {**test, "p_corrected": float(value)}
        for (name, test), value in zip(tests.items(), p, strict=True)
    }
