"""By heart, or understood: a model's tokens of pairs (suites of the tasks memorisation, passages and cloze) go in, ratios of
probabilities by group come out.

`ratio` is the probability of the first option's target over that of the second's, its geometric mean over pairs; a pair is flagged where it
is above the threshold. Of passages also the perplexity of a token on either side, and how often greedy decoding goes on with the target to
the letter: every token of it is the most probable one.
"""

import numpy as np

from lmcore.explorations.findings import Findings, Said, correct
from lmcore.statistics.stats import wilson


def pairs(said: Said, entry: dict) -> Findings:
    """Of each group the ratio, the share of pairs that favour the first option, and how many are flagged."""
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
    return Findings(
        metrics,
        {"log_ratio": correct(tests)},
        table,
        [{"group": name, **values} for name, values in metrics.items()],
    )


def passages(said: Said, entry: dict) -> Findings:
    """As `pairs`, with the perplexities and the extractable share on either side, by the number of occurrences."""
    found = pairs(said, entry)
    extracted = said.texts.all_top.mean(0)
    found.details["extractable"] = {}
    for group, rows in groups_of(said).items():
        for place, side in enumerate(("seen", "held_out")):
            at = rows[:, place]
            share = float(extracted[at].mean())
            perplexity = float(np.exp(-said.logprob[at].sum() / said.n_tokens[at].sum()))
            found.metrics[group] |= {f"perplexity_{side}": perplexity, f"extractable_{side}": share}
            low, high = wilson(float(extracted[at].sum()), len(at), said.confidence)
            found.details["extractable"].setdefault(group, {})[side] = {
                "value": share,
                "low": low,
                "high": high,
                "n": len(at),
            }
    found.plot = [{"group": name, **values} for name, values in found.metrics.items()]
    return found


def cloze(said: Said, entry: dict) -> Findings:
    """Of each relation how often the right target is favoured, its probability, and its share of that of all targets."""
    metrics, table = {}, []
    contexts, targets = (
        said.texts.table["context"].to_pylist(),
        said.texts.table["target"].to_pylist(),
    )
    for group, rows in groups_of(said).items():
        values = said.logprob[rows]  # (items, options)
        best = values == values.max(1, keepdims=True)
        share = np.exp(values - values.max(1, keepdims=True))
        share = share[:, 0] / share.sum(1)
        metrics[group] = {
            "accuracy": float((best[:, 0] / best.sum(1)).mean()),
            "probability": float(np.exp(values[:, 0]).mean()),
            "share": float(share.mean()),
            "n": len(rows),
        }
        for row, of_item, favoured in zip(rows, values, best[:, 0], strict=True):
            said_of = {f"target_{n}": targets[at].strip() for n, at in enumerate(row)}
            said_of |= {f"probability_{n}": float(np.exp(value)) for n, value in enumerate(of_item)}
            table.append(
                {
                    "relation": group,
                    "prompt": contexts[row[0]],
                    "favoured": bool(favoured),
                    **said_of,
                }
            )
    return Findings(
        metrics, {}, table, [{"relation": name, **values} for name, values in metrics.items()]
    )


def groups_of(said: Said) -> dict[str, np.ndarray]:
    """{group: (items, options)}, the texts of its items with the gold option first."""
    rows = said.texts.rows[""]
    order = np.argsort(np.arange(rows.shape[1]) != said.texts.gold[:, None], axis=1, kind="stable")
    rows = np.take_along_axis(rows, order, 1)
    groups = np.array(said.texts.table["group"].take(rows[:, 0]).to_pylist())
    return {str(group): rows[groups == group] for group in np.unique(groups)}


def log_ratio(said: Said, rows: np.ndarray) -> np.ndarray:
    """(pairs,) nats: the log-prob of the first option's target less that of the second's; rows: (pairs, 2)."""
    return said.logprob[rows[:, 0]] - said.logprob[rows[:, 1]]


def _row(said: Said, group: str, row: np.ndarray, value: float) -> dict:
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
