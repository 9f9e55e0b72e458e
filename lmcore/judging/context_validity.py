"""Is a wrong guess wrong for its place? What two judges say of a model's guesses and of the targets goes in, verdicts and figures come out.

The guess is the model's greedy word. A masked LM says how probable a word is in its place (pseudo-log-likelihood, nats) and how much of
that the passage adds to its own last sentence (`gain`: what makes LAMBADA's targets guessable); a sentence encoder says how near the
context with the word stays to the context without it (cosine). A guess is *valid* where its log-prob, and *supported* where its gain, is
at least the `accept_quantile` of the targets' own: the bars are made of words that are known to fit. Frequent words pass the first bar
easily, which is why there is the second.
"""

import math
import re
from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from lmcore.corpus.words import WORD, first_word

JUDGED = (
    "target",
    "prediction",
    "swapped",
)  # swapped: the next item's target, which shows what a judge can tell at all
WAYS = ("logprob", "gain", "cosine")
VALIDITY = pa.schema(
    {
        "model": pa.string(),
        "item": pa.string(),
        "context": pa.string(),
        "target": pa.string(),
        "prediction": pa.string(),  # the greedy word, with its leading space
        "is_word": pa.bool_(),  # a word of its own: no punctuation, no ending of the context's last word
        "is_correct": pa.bool_(),
        "is_valid": pa.bool_(),
        "is_supported": pa.bool_(),
        **{
            f"{word}_{way}": pa.float64() for word in JUDGED for way in WAYS
        },  # an empty prediction has -inf, gain 0 and cosine 1
        "content_hash": pa.uint64(),
    }
)
SENTENCE_END = re.compile(r"(?<=[.!?])[\"'”’)]*\s+")


def last_sentence(context: str) -> str:
    """What follows the last mark that ends a sentence, as its words alone would be; all of the context where there is none."""
    return SENTENCE_END.split(context)[-1]


def with_verdicts(rows: list[dict], accept_quantile: float) -> list[dict]:
    """The `rows` of one model's VALIDITY with the verdicts `is_*`, which they lack."""
    bars = {
        way: float(np.quantile([row[f"target_{way}"] for row in rows], accept_quantile))
        for way in ("logprob", "gain")
    }
    judged = []
    for row in rows:
        guess = row["prediction"]
        is_apart = guess[:1].isspace() or not row["context"] or row["context"][-1:].isspace()
        is_word = is_apart and WORD.match(guess.strip()) is not None
        verdicts = {
            "is_word": is_word,
            "is_correct": is_word and guess.strip() == _one_word(row["target"]),
            "is_valid": row["prediction_logprob"] >= bars["logprob"],
            "is_supported": is_word and row["prediction_gain"] >= bars["gain"],
        }
        judged.append(
            {name: {**row, **verdicts}[name] for name in VALIDITY.names if name != "model"}
        )
    return judged


def summary(rows: list[dict]) -> dict[str, float]:
    """What the judges say in all of one model's rows. Means over items; of predictions, over those that are words.

    `swap_noticed_*`: how often a judge puts the target above the next item's (a judge at one half knows nothing of the context);
    `agreement_*`: how often a verdict and correctness fall together; `auc_*`: how often a correct prediction is placed above a wrong one;
    `*_of_wrong`, `*_of_correct`: shares of those, `preferred` to the target in the same place. Ties count half; a figure about nothing
    is left out.
    """
    words = [row for row in rows if row["is_word"]]
    right, wrong = (
        [row for row in words if row["is_correct"] == is_correct] for is_correct in (True, False)
    )
    found: dict[str, float | None] = {
        "n_items": float(len(rows)),
        "n_words": float(len(words)),
        "n_correct": float(len(right)),
        "n_wrong": float(len(wrong)),
        "accuracy": len(right) / len(rows),
    }
    for way in WAYS:
        guess, target = f"prediction_{way}", f"target_{way}"
        found |= {
            f"target_{way}": _mean(row[target] for row in rows),
            f"correct_{way}": _mean(row[guess] for row in right),
            f"wrong_{way}": _mean(row[guess] for row in wrong),
            f"swap_noticed_{way}": _share_above(
                (row[target], row[f"swapped_{way}"]) for row in rows
            ),
            f"auc_{way}": _share_above(
                (one[guess], other[guess]) for one in right for other in wrong
            ),
            f"preferred_of_wrong_{way}": _share_above((row[guess], row[target]) for row in wrong),
        }
    for verdict in ("valid", "supported"):
        found |= {
            f"agreement_{verdict}": _mean(
                row[f"is_{verdict}"] == row["is_correct"] for row in words
            ),
            f"{verdict}_of_correct": _mean(row[f"is_{verdict}"] for row in right),
            f"{verdict}_of_wrong": _mean(row[f"is_{verdict}"] for row in wrong),
        }
    return {name: value for name, value in found.items() if value is not None}


def _one_word(target: str) -> str | None:
    """The target without space and punctuation behind it, if it is a single word."""
    word = first_word(target, True) or ""
    return None if WORD.search(target[len(word) :]) else word.strip()


def _share_above(pairs: Iterable[tuple[float, float]]) -> float | None:
    """How often the first of a pair is greater, a tie counting half."""
    return _mean((one > other) + (one == other) / 2 for one, other in pairs)


def _mean(values: Iterable[float]) -> float | None:
    found = [float(value) for value in values]
    return math.fsum(found) / len(found) if found else None
