"""By heart, or understood: how much more probable one of two targets is than the other.

A model's tokens of suites of the tasks memorisation, passages and cloze go in, ratios of
probabilities by group come out.

`ratio` is the probability of the first option's target over that of the second's, as its geometric
mean over pairs. A pair is flagged where its ratio is above the threshold. Passages also have the
perplexity of a token on either side, and how often greedy decoding goes on with the target to the
letter: every token of it is the most probable one.
"""

import numpy as np

from lmcore.explorations.findings import Findings, Said, correct
from lmcore.statistics.stats import wilson


def pairs(said: Said, entry: dict) -> Findings:
    """For each group the ratio, the share of pairs that favour the first option, and flagged pairs.

    A tie counts half.
    """
    metrics, tests, table = {}, {}, []
    for group, rows in groups_of(said).items():
        ratios = log_ratio(said, rows)
        metrics[group] = {
            "favoured": float((0.5 * (1 + np.sign(ratios))).mean()),
            "ratio": float(np.exp(ratios.mean())),
            "n_flagged": int((ratios > np.log(said.threshold)).sum()),
            "n": len(ratios),
        }
        tests[group] = said.test(ratios)
        table += [_row(said, group, row, value) for row, value in zip(rows, ratios, strict=True)]
    table.sort(key=lambda row: -row["ratio"])
    plot = [{"group": name, **values} for name, values in metrics.items()]
    return Findings(metrics, {"log_ratio": correct(tests)}, table, plot)


def passages(said: Said, entry: dict) -> Findings:
    """As `pairs`, with the perplexity and the extractable share of either side.

    The groups are numbers of occurrences. The first option's target is `seen`, the second's
    `held_out`.
    """
    findings = pairs(said, entry)
    extracted = said.texts.all_top.mean(0)
    intervals: dict[str, dict] = {}
    for group, rows in groups_of(said).items():
        intervals[group] = {}
        for option, side in enumerate(("seen", "held_out")):
            at = rows[:, option]
            share = float(extracted[at].mean())
            perplexity = float(np.exp(-said.logprob[at].sum() / said.n_tokens[at].sum()))
            findings.metrics[group] |= {
                f"perplexity_{side}": perplexity,
                f"extractable_{side}": share,
            }
            low, high = wilson(float(extracted[at].sum()), len(at), said.confidence)
            intervals[group][side] = {"value": share, "low": low, "high": high, "n": len(at)}
    findings.details["extractable"] = intervals
    findings.plot = [{"group": name, **values} for name, values in findings.metrics.items()]
    return findings


def cloze(said: Said, entry: dict) -> Findings:
    """For each relation how often the right target is favoured, and its probability.

    `share` is the right target's share of the probability of all targets. Tied targets share the
    favour.
    """
    metrics, table = {}, []
    for group, rows in groups_of(said).items():
        logprobs = said.logprob[rows]  # (items, options)
        highest = logprobs.max(1, keepdims=True)
        best, odds = logprobs == highest, np.exp(logprobs - highest)
        metrics[group] = {
            "accuracy": float((best[:, 0] / best.sum(1)).mean()),
            "probability": float(np.exp(logprobs[:, 0]).mean()),
            "share": float((odds[:, 0] / odds.sum(1)).mean()),
            "n": len(rows),
        }
        table += _cloze_rows(said, group, rows, best[:, 0])
    plot = [{"relation": name, **values} for name, values in metrics.items()]
    return Findings(metrics, {}, table, plot)


def groups_of(said: Said) -> dict[str, np.ndarray]:
    """{group: (items, options)}, the texts of its items with the gold option first."""
    rows = said.texts.rows[""]
    order = np.argsort(np.arange(rows.shape[1]) != said.texts.gold[:, None], axis=1, kind="stable")
    rows = np.take_along_axis(rows, order, 1)
    groups = np.array(said.texts.table["group"].take(rows[:, 0]).to_pylist())
    return {str(group): rows[groups == group] for group in np.unique(groups)}


def log_ratio(said: Said, rows: np.ndarray) -> np.ndarray:
    """(pairs,) the log-prob of the first option's target less that of the second's, in nats.

    rows: (pairs, 2), their texts.
    """
    return said.logprob[rows[:, 0]] - said.logprob[rows[:, 1]]


def _row(said: Said, group: str, row: np.ndarray, value: float) -> dict:
    """A pair in the table of `pairs`; row: (2,) its texts; value: its log ratio in nats."""
    table = said.texts.table
    return {
        "group": group,
        "ratio": float(np.exp(value)),
        "flagged": bool(value > np.log(said.threshold)),
        "prompt": table["context"][int(row[0])].as_py(),
        "other_prompt": table["context"][int(row[1])].as_py(),
        "target": table["target"][int(row[0])].as_py().strip(),
        "other_target": table["target"][int(row[1])].as_py().strip(),
        "probability": float(np.exp(said.logprob[row[0]])),
        "other_probability": float(np.exp(said.logprob[row[1]])),
    }


def _cloze_rows(said: Said, group: str, rows: np.ndarray, is_favoured: np.ndarray) -> list[dict]:
    """The items of one relation in the table of `cloze`, with the targets and their probabilities.

    rows: (items, options), their texts, the right target first; is_favoured: (items,).
    """
    contexts, targets = said.texts.table["context"], said.texts.table["target"]
    table = []
    for texts, favoured in zip(rows.tolist(), is_favoured, strict=True):
        prompt = contexts[texts[0]].as_py()
        row = {"relation": group, "prompt": prompt, "favoured": bool(favoured)}
        for number, text in enumerate(texts):
            row[f"target_{number}"] = targets[text].as_py().strip()
        for number, text in enumerate(texts):
            row[f"probability_{number}"] = float(np.exp(said.logprob[text]))
        table.append(row)
    return table
