"""Which way of putting a question makes the answer likely.

A model's tokens of the suite `formats` go in. A ranking of the formats, paired tests and a
correlation come out.

`logprob` is that of the whole answer in nats, as a mean over questions with its standard deviation.
A difference is against the plain question, question by question. P values are corrected for all
formats, and for all sources of triggers.

The correlation is that of a prompt's log perplexity with the answer's log-prob, over all questions
and formats. Its interval draws whole questions (bootstrap), since the formats of one question go
together. `within` first takes each question's own means off, so that hard questions are no reason
for the correlation.
"""

from collections import defaultdict
from pathlib import Path

import numpy as np
from scipy.stats import rankdata

from lmcore.explorations.findings import Findings, Said, correct
from lmcore.suites.templates import BASELINE, FORMAT, TRIGGER, read_templates

ANSWER = 0  # the option that is the answer


def find(said: Said, entry: dict) -> Findings:
    """The findings of a suite of the task formats; `entry` is that of params."""
    templates, _ = read_templates(Path(entry["templates"]))
    kinds = {name: template["kind"] for name, template in templates.items()}
    variants = _variants(said)
    answers = {name: said.texts.rows[variant][:, ANSWER] for name, variant in variants.items()}
    plain = said.logprob[answers[BASELINE]]
    metrics = {
        name: _measures(said, said.texts.rows[variant]) for name, variant in variants.items()
    }
    ranking = sorted(answers, key=lambda name: -metrics[name]["logprob"])
    gains = _gains_of_triggers(said, plain)
    for source, values in gains.items():
        metrics[f"{TRIGGER}_{source}"] = {"improvement": float(values.mean())}
    tests = {}
    for name, rows in answers.items():
        if name != BASELINE:
            tests[name] = said.test(said.logprob[rows] - plain)
    places, plot = {}, []
    for place, name in enumerate(ranking, 1):
        places[name] = {"rank": place, "std": metrics[name]["std"]}
        error = metrics[name]["std"] / len(answers[name]) ** 0.5
        row = {"format": name, "kind": kinds[name], "rank": place, **metrics[name]}
        plot.append(row | {"std_error": error})
    details = {
        "ranking": places,
        "against_plain": correct(tests),
        "triggers": correct({source: said.test(values) for source, values in gains.items()}),
        "correlation": _correlation_of_formats(said, answers),
    }
    return Findings(metrics, details, _table(said, answers), plot)


def correlation(
    x: np.ndarray, y: np.ndarray, confidence: float, resamples: int, seed: int
) -> dict[str, dict]:
    """Pearson's and Spearman's correlation of all x with all y, and Pearson's `within` questions.

    x and y: (questions, formats). The intervals are those of a bootstrap over questions.
    """
    measures = {
        "pearson": lambda x, y: _pearson(x.ravel(), y.ravel()),
        "spearman": lambda x, y: _pearson(rankdata(x), rankdata(y)),
        "within": lambda x, y: _pearson(_within(x).ravel(), _within(y).ravel()),
    }
    rng = np.random.default_rng(seed)
    draws = rng.integers(0, len(x), (resamples, len(x)))
    correlations = {}
    for name, measure in measures.items():
        low, high = np.quantile(
            [measure(x[draw], y[draw]) for draw in draws],
            [(1 - confidence) / 2, (1 + confidence) / 2],
        )
        correlations[name] = {"value": measure(x, y), "low": float(low), "high": float(high)}
    return {**correlations, "n": {"questions": len(x), "formats": x.shape[1]}}


def _within(values: np.ndarray) -> np.ndarray:
    """(questions, formats) the values less the mean of their question."""
    return values - values.mean(1, keepdims=True)


def _pearson(x: np.ndarray, y: np.ndarray) -> float:
    """Pearson's correlation; 0 where one of the two does not vary."""
    x, y = x - x.mean(), y - y.mean()
    norm = float(np.sqrt((x**2).sum() * (y**2).sum()))
    return float((x * y).sum() / norm) if norm > 1e-12 else 0.0


def _variants(said: Said) -> dict[str, str]:
    """The variants of the suite that are formats, by the names of the formats."""
    return {
        variant.removeprefix(f"{FORMAT}/") or BASELINE: variant
        for variant in said.texts.rows
        if not variant.startswith(f"{TRIGGER}/")
    }


def _gains_of_triggers(said: Said, plain: np.ndarray) -> dict[str, np.ndarray]:
    """(questions,) for each source of triggers: how much more likely they make the answer, in nats.

    It is the mean over the source's triggers less `plain`, the answer after the plain question.
    """
    by_source: dict[str, list[np.ndarray]] = defaultdict(list)
    for variant, options in said.texts.rows.items():
        if variant.startswith(f"{TRIGGER}/"):
            source = variant.split("/")[1]
            by_source[source].append(said.logprob[options[:, ANSWER]])
    return {source: np.mean(values, 0) - plain for source, values in sorted(by_source.items())}


def _correlation_of_formats(said: Said, answers: dict[str, np.ndarray]) -> dict[str, dict]:
    """The correlation of a prompt's log perplexity with the answer's log-prob.

    answers: for each format the texts of the answer, by question.
    """
    log_perplexity = np.stack([-said.prompt_logprob[rows] for rows in answers.values()], 1)
    logprob = np.stack([said.logprob[rows] for rows in answers.values()], 1)
    return correlation(log_perplexity, logprob, said.confidence, said.resamples, said.seed)


def _measures(said: Said, options: np.ndarray) -> dict[str, float]:
    """The metrics of one format; options: (questions, options), its texts, the answer first."""
    rows = options[:, ANSWER]
    values, tokens = said.logprob[rows], said.n_prompt[rows]
    best = said.logprob[options] == said.logprob[options].max(1, keepdims=True)
    surprisal = -(said.prompt_logprob[rows] * tokens).sum()
    return {
        "logprob": float(values.mean()),
        "std": float(values.std(ddof=1)) if len(values) > 1 else 0.0,
        "accuracy": float((best[:, ANSWER] / best.sum(1)).mean()),
        "entropy": float(said.next_entropy[rows].mean()),
        "prompt_tokens": float(tokens.mean()),
        "prompt_perplexity": float(np.exp(surprisal / tokens.sum())),
    }


def _table(said: Said, answers: dict[str, np.ndarray]) -> list[dict]:
    """A row for each question and format, with the tokens that the model expects after the prompt.

    answers: for each format the texts of the answer, by question.
    """
    questions = said.texts.table["context"].take(answers[BASELINE]).to_pylist()
    table = []
    for name, rows in answers.items():
        for question, row in zip(questions, rows, strict=True):
            table.append(
                {
                    "question": question,
                    "format": name,
                    "prompt_tokens": int(said.n_prompt[row]),
                    "prompt_perplexity": float(np.exp(-said.prompt_logprob[row])),
                    "logprob": float(said.logprob[row]),
                    "entropy": float(said.next_entropy[row]),
                    "top": said.top(int(row)),
                }
            )
    return table
