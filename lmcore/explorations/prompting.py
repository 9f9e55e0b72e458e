"""Ways of asking for a class.

A model's tokens of a suite of the task prompting go in. Each strategy's decisions, raw and
calibrated, and the tests between them come out.

A label's probability is that of its whole text, normalised over the labels. To calibrate it, it is
divided by the mean probability that the same prompt gives it for texts without content, and
normalised again (Zhao et al. 2021, with W = diag(p)^-1 and b = 0). Tied classes share the decision.
"""

from itertools import combinations
from pathlib import Path

import numpy as np

from lmcore.explorations.findings import Findings, Said, correct
from lmcore.folds.classification import classification_metrics
from lmcore.statistics import paired
from lmcore.statistics.stats import interval, wilson
from lmcore.suites.templates import FREE, read_prompts

PLOTTED = ("accuracy", "precision_macro", "recall_macro", "f1_macro")


def find(said: Said, entry: dict) -> Findings:
    """The findings of a suite of the task prompting; `entry` is that of params."""
    names = list(read_prompts(Path(entry["prompts"]))["strategies"])
    decisions = _decisions(said, names)
    metrics, intervals = {}, {}
    for name, decided in decisions.items():
        metrics[name], intervals[name] = _measures(said, decided)
    tests = {
        f"{b}_against_{a}": mcnemar(decisions[a], decisions[b], said.texts.gold)
        for a, b in combinations(decisions, 2)
    }
    details = {"intervals": intervals, "mcnemar": correct(tests), "n": len(said.texts.gold)}
    plot = []
    for name, values in metrics.items():
        plot.append({"strategy": name, **{key: values[key] for key in PLOTTED}})
    return Findings(metrics, details, [], plot)


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
    """McNemar's exact test of decisions b against a on the same items; ties are left out.

    a and b: (items, classes) as of `decide`; gold: (items,) the right class.
    """
    items = np.arange(len(gold))
    right_a, right_b = a[items, gold], b[items, gold]
    n_better = int(((right_a == 0) & (right_b == 1)).sum())
    n_worse = int(((right_a == 1) & (right_b == 0)).sum())
    p = float(paired.mcnemar(np.array(n_better), np.array(n_worse), "exact"))
    return {
        "difference": float((right_b - right_a).mean()),
        "n_better": n_better,
        "n_worse": n_worse,
        "p": p,
    }


def _decisions(said: Said, names: list[str]) -> dict[str, np.ndarray]:
    """(items, classes) the decisions of each strategy, raw and calibrated.

    The first strategy is the suite itself, the others are its variants.
    """
    decisions = {}
    for number, name in enumerate(names):
        raw = label_probabilities(said.logprob[said.texts.rows[name if number else ""]])
        without_content = []
        for variant, rows in said.texts.rows.items():
            if variant.startswith(f"{name}/{FREE}/"):
                without_content.append(label_probabilities(said.logprob[rows]))
        decisions[name] = decide(raw)
        decisions[f"{name}_calibrated"] = decide(calibrated(raw, np.mean(without_content, 0)))
    return decisions


def _measures(said: Said, decided: np.ndarray) -> tuple[dict, dict]:
    """The metrics of one strategy's decisions (items, classes), and their intervals."""
    true = np.eye(len(said.classes))[said.texts.gold]
    cells = {}
    for i, right in enumerate(said.classes):
        for j, chosen in enumerate(said.classes):
            cells[f"confusion_{right}_as_{chosen}"] = true[:, i] * decided[:, j]
    counts, estimates = classification_metrics(cells, said.classes)
    is_right = (decided * true).sum(1)
    means = {name: estimate.mean for name, estimate in estimates.items()}
    metrics = {"accuracy": float(is_right.mean()), **counts, **means}
    low, high = wilson(float(is_right.sum()), len(is_right), said.confidence)
    intervals = {"accuracy": {"low": low, "high": high}}
    for name, estimate in estimates.items():
        if bounds := interval(estimate, said.confidence):
            intervals[name] = {"low": max(0.0, bounds[0]), "high": min(1.0, bounds[1])}
    return metrics, intervals
