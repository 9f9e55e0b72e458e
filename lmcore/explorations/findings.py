"""What the findings of all explorations share: a suite's texts under one model go in, and numbers come out that are compared within items.

Draws of a random model are averaged within each text. Log-probs and entropies are in nats.
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
    """What one model said of one suite; `pieces` are the texts of its token ids, `tokens` its whole table."""

    texts: TextStats
    tokens: pa.Table
    pieces: list[str]
    classes: list[str]
    threshold: float  # a ratio of probabilities above which a pair is flagged
    confidence: float
    resamples: int
    seed: int

    @cached_property
    def logprob(self) -> np.ndarray:
        """(texts,) nats a target."""
        return self.texts.logprob.mean(0)

    @cached_property
    def n_tokens(self) -> np.ndarray:
        return self.texts.n_tokens.mean(0)

    @cached_property
    def n_prompt(self) -> np.ndarray:
        """(texts,) scored tokens of the context."""
        return (self.texts.first_target - self.texts.starts).reshape(self.texts.shape)[0]

    @cached_property
    def prompt_logprob(self) -> np.ndarray:
        """(texts,) nats a token of the context; 0 where it has none."""
        values = np.where(
            self.texts.tokens["is_target"], 0.0, self.texts.tokens["logprob"].astype(np.float64)
        )
        return np.add.reduceat(values, self.texts.starts).reshape(self.texts.shape).mean(
            0
        ) / np.maximum(self.n_prompt, 1)

    @cached_property
    def next_entropy(self) -> np.ndarray:
        """(texts,) of the distribution that predicted the first token of the target."""
        return (
            self.texts.tokens["entropy"][self.texts.first_target]
            .astype(np.float64)
            .reshape(self.texts.shape)
            .mean(0)
        )

    def top(self, row: int, n: int = 5) -> str:
        """The `n` most probable tokens before the target of a text, separated by spaces; empty where the suite's scoring has no top_k."""
        if "top_ids" not in self.tokens.column_names or self.texts.shape[0] > 1:
            return ""
        ids = self.tokens["top_ids"][int(self.texts.first_target[row])].as_py()[:n]
        return " ".join(f"'{self.pieces[token]}'" for token in ids)

    def test(self, differences: np.ndarray) -> dict[str, Any]:
        """Of paired differences: their mean, its interval, and the p value of sign flips."""
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
    """`metrics` move where the part of the suite they are of moves, and no other; `details` are of the whole: rankings, tests.

    `table` has a row for each item, `plot` one for each bar or point; `figures` are SVG by name.
    """

    metrics: dict[str, Any]
    details: dict[str, Any] = field(default_factory=dict)
    table: list[dict] = field(default_factory=list)
    plot: list[dict] = field(default_factory=list)
    figures: dict[str, str] = field(default_factory=dict)


def correct(tests: dict[str, dict], method: str = "holm") -> dict[str, dict]:
    """The tests with `p_corrected` for their number."""
    if not tests:
        return {}
    p = paired.corrected(np.array([test["p"] for test in tests.values()]), method)
    return {
        name: {**test, "p_corrected": float(value)}
        for (name, test), value in zip(tests.items(), p, strict=True)
    }
