"""Which way of putting a question makes the answer likely: a model's tokens of the suite `formats` go in, a ranking, paired tests and a
correlation come out.

`logprob` is that of the whole answer in nats, a mean over questions with its standard deviation; a difference is against the plain
question, question by question, and p values are corrected for all formats (and for all sources of triggers). The correlation of a prompt's
log perplexity with the answer's log-prob is over all questions and formats; its interval draws whole questions (bootstrap), since the
formats of one question go together. `within` takes each question's own means off first: hard questions are then no reason for it.
"""

from collections import defaultdict
from pathlib import Path

import numpy as np
from scipy.stats import rankdata

from lmcore.explorations.findings import Findings, Said, correct
from lmcore.explorations.svg import bars, scatter
from lmcore.suites.templates import BASELINE, FORMAT, TRIGGER, read_templates


def find(said: Said, entry: dict) -> Findings:
    """The findings of a suite of the task formats; `entry` is that of params."""
    kinds = {
        name: value["kind"] for name, value in read_templates(Path(entry["templates"]))[0].items()
    }
    rows = {
        variant: options[:, 0] for variant, options in said.texts.rows.items()
    }  # the answer is option 0
    variants = {
        variant.removeprefix(f"{FORMAT}/") or BASELINE: variant
        for variant in rows
        if not variant.startswith(f"{TRIGGER}/")
    }
    of_format = {name: rows[variant] for name, variant in variants.items()}
    base = said.logprob[of_format[BASELINE]]
    metrics = {
        name: _measures(said, said.texts.rows[variant]) for name, variant in variants.items()
    }
    tests = correct(
        {
            name: said.test(said.logprob[at] - base)
            for name, at in of_format.items()
            if name != BASELINE
        }
    )
    ranking = sorted(of_format, key=lambda name: -metrics[name]["logprob"])
    by_source: dict[str, list[np.ndarray]] = defaultdict(list)
    for variant, at in rows.items():
        if variant.startswith(f"{TRIGGER}/"):
            by_source[variant.split("/")[1]].append(said.logprob[at])
    triggers = {source: np.mean(values, 0) - base for source, values in sorted(by_source.items())}
    metrics |= {
        f"{TRIGGER}_{source}": {"improvement": float(values.mean())}
        for source, values in triggers.items()
    }
    perplexity = np.stack(
        [-said.prompt_logprob[at] for at in of_format.values()], 1
    )  # (questions, formats), log
    answers = np.stack([said.logprob[at] for at in of_format.values()], 1)
    details = {
        "ranking": {
            name: {"rank": place, "std": metrics[name]["std"]}
            for place, name in enumerate(ranking, 1)
        },
        "against_plain": tests,
        "triggers": correct({source: said.test(values) for source, values in triggers.items()}),
        "correlation": correlation(perplexity, answers, said.confidence, said.resamples, said.seed),
    }
    plot = [
        {"format": name, "kind": kinds[name], "rank": place, **metrics[name]}
        for place, name in enumerate(ranking, 1)
    ]
    return Findings(
        metrics,
        details,
        _table(said, of_format),
        plot,
        _figures(metrics, of_format, kinds, ranking),
    )


def correlation(
    x: np.ndarray, y: np.ndarray, confidence: float, resamples: int, seed: int
) -> dict[str, dict]:
    """Pearson's and Spearman's correlation of all x with all y (questions, formats), with intervals of a bootstrap over questions; and
    Pearson's `within` questions.
    """
    measures = {
        "pearson": lambda x, y: _pearson(x.ravel(), y.ravel()),
        "spearman": lambda x, y: _pearson(rankdata(x), rankdata(y)),
        "within": lambda x, y: _pearson(
            (x - x.mean(1, keepdims=True)).ravel(), (y - y.mean(1, keepdims=True)).ravel()
        ),
    }
    rng = np.random.default_rng(seed)
    draws = rng.integers(0, len(x), (resamples, len(x)))
    found = {}
    for name, measure in measures.items():
        low, high = np.quantile(
            [measure(x[draw], y[draw]) for draw in draws],
            [(1 - confidence) / 2, (1 + confidence) / 2],
        )
        found[name] = {"value": measure(x, y), "low": float(low), "high": float(high)}
    return {**found, "n": {"questions": len(x), "formats": x.shape[1]}}


def _pearson(x: np.ndarray, y: np.ndarray) -> float:
    """0 where one of the two does not vary."""
    x, y = x - x.mean(), y - y.mean()
    norm = float(np.sqrt((x**2).sum() * (y**2).sum()))
    return float((x * y).sum() / norm) if norm > 1e-12 else 0.0


def _measures(said: Said, options: np.ndarray) -> dict[str, float]:
    """options: (questions, options), the texts of one format, the answer first."""
    rows = options[:, 0]
    values, tokens = said.logprob[rows], said.n_prompt[rows]
    best = said.logprob[options] == said.logprob[options].max(1, keepdims=True)
    return {
        "logprob": float(values.mean()),
        "std": float(values.std(ddof=1)) if len(values) > 1 else 0.0,
        "accuracy": float((best[:, 0] / best.sum(1)).mean()),
        "entropy": float(said.next_entropy[rows].mean()),
        "prompt_tokens": float(tokens.mean()),
        "prompt_perplexity": float(
            np.exp(-(said.prompt_logprob[rows] * tokens).sum() / tokens.sum())
        ),
    }


def _table(said: Said, of_format: dict[str, np.ndarray]) -> list[dict]:
    """A row for each question and format, with the tokens that the prompt would rather go on with."""
    questions = said.texts.table["context"].take(of_format[BASELINE]).to_pylist()
    return [
        {
            "question": question,
            "format": name,
            "prompt_tokens": int(said.n_prompt[row]),
            "prompt_perplexity": float(np.exp(-said.prompt_logprob[row])),
            "logprob": float(said.logprob[row]),
            "entropy": float(said.next_entropy[row]),
            "top": said.top(int(row)),
        }
        for name, rows in of_format.items()
        for question, row in zip(questions, rows, strict=True)
    ]


def _figures(
    metrics: dict, of_format: dict[str, np.ndarray], kinds: dict[str, str], ranking: list[str]
) -> dict[str, str]:
    """The answer's log-prob as bars with standard errors, best first, and against the prompt's perplexity."""
    label = "log-prob of the answer (nats)"
    errors = {name: metrics[name]["std"] / len(rows) ** 0.5 for name, rows in of_format.items()}
    points = [
        (metrics[name]["prompt_perplexity"], metrics[name]["logprob"], name, kinds[name])
        for name in ranking
    ]
    return {
        "bars": bars(
            [(name, metrics[name]["logprob"], errors[name], kinds[name]) for name in ranking], label
        ),
        "scatter": scatter(points, "perplexity of the prompt (log scale)", label),
    }
