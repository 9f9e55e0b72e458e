"""Ways of asking for a class: a model's tokens of a suite of the task prompting go in, each strategy's decisions come out, raw and
calibrated, with the tests between them.

A label's probability is that of its whole text, normalised over the labels. Calibrated, it is divided by the mean that the same prompt
gives it for texts without content, and normalised again (Zhao et al. 2021, with W = diag(p)^-1 and b = 0). Tied classes share the decision.
"""

from itertools import combinations
from pathlib import Path

import numpy as np

from lmcore.explorations.findings import Findings, Said, correct
from lmcore.folds.classification import classification_metrics
from lmcore.statistics import paired
from lmcore.statistics.stats import interval, wilson
from lmcore.suites.templates import FREE, read_prompts


def find(said: Said, entry: dict) -> Findings:
    """The findings of a suite of the task prompting; `entry` is that of params."""
    names = list(read_prompts(Path(entry["prompts"]))["strategies"])
    decisions = {}
    for number, name in enumerate(names):
        raw = label_probabilities(said.logprob[said.texts.rows[name if number else ""]])
        free = [
            rows
            for variant, rows in said.texts.rows.items()
            if variant.startswith(f"{name}/{FREE}/")
        ]
        prior = np.mean([label_probabilities(said.logprob[rows]) for rows in free], 0)
        decisions[name], decisions[f"{name}_calibrated"] = (
            decide(raw),
            decide(calibrated(raw, prior)),
        )
    true = np.eye(len(said.classes))[said.texts.gold]
    metrics, intervals = {}, {}
    for name, found in decisions.items():
        cells = {
            f"confusion_{a}_as_{b}": true[:, i] * found[:, j]
            for i, a in enumerate(said.classes)
            for j, b in enumerate(said.classes)
        }
        counts, estimates = classification_metrics(cells, said.classes)
        right = (found * true).sum(1)
        metrics[name] = {
            "accuracy": float(right.mean()),
            **counts,
            **{key: value.mean for key, value in estimates.items()},
        }
        low, high = wilson(float(right.sum()), len(right), said.confidence)
        intervals[name] = {"accuracy": {"low": low, "high": high}}
        for key, value in estimates.items():
            if bounds := interval(value, said.confidence):
                intervals[name][key] = {"low": max(0.0, bounds[0]), "high": min(1.0, bounds[1])}
    tests = {
        f"{b}_against_{a}": mcnemar(decisions[a], decisions[b], said.texts.gold)
        for a, b in combinations(decisions, 2)
    }
    details = {"intervals": intervals, "mcnemar": correct(tests), "n": len(said.texts.gold)}
    keys = ("accuracy", "precision_macro", "recall_macro", "f1_macro")
    return Findings(
        metrics,
        details,
        [],
        [
            {"strategy": name, **{key: values[key] for key in keys}}
            for name, values in metrics.items()
        ],
    )


def label_probabilities(logprob: np.ndarray) -> np.ndarray:
    """(items, classes) log-probs of the labels as probabilities that sum to 1."""
    odds = np.exp(logprob - logprob.max(-1, keepdims=True))
    return odds / odds.sum(-1, keepdims=True)


def calibrated(probability: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """The probabilities divided by those for texts without content, normalised."""
    odds = probability / np.maximum(prior, 1e-300)
    return odds / odds.sum(-1, keepdims=True)


def decide(probability: np.ndarray) -> np.ndarray:
    """(items, classes) 1 for the most probable class; tied ones share it."""
    best = probability == probability.max(-1, keepdims=True)
    return best / best.sum(-1, keepdims=True)


def mcnemar(a: np.ndarray, b: np.ndarray, gold: np.ndarray) -> dict:
    """McNemar's exact test of decisions b against a on the same items; ties are left out."""
    items = np.arange(len(gold))
    right_a, right_b = a[items, gold], b[items, gold]
    n_better, n_worse = (
        int(((right_a == 0) & (right_b == 1)).sum()),
        int(((right_a == 1) & (right_b == 0)).sum()),
    )
    p = float(paired.mcnemar(np.array(n_better), np.array(n_worse), "exact"))
    return {
        "difference": float((right_b - right_a).mean()),
        "n_better": n_better,
        "n_worse": n_worse,
        "p": p,
    }
