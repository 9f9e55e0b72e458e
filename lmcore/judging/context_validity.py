"""Is a wrong guess wrong for its place?

What two judges say of a model's guesses and of the targets goes in, verdicts and figures come out.

The guess is the model's greedy word. A masked LM says how probable a word is in its place
(pseudo-log-likelihood, nats), and how much of that the passage adds to its own last sentence
(`gain`: what makes LAMBADA's targets guessable). A sentence encoder says how similar the context
with the word is to the context without it (cosine).

A guess is *valid* where its log-prob is at least the `accept_quantile` of the targets' own
log-probs, and *supported* where its gain is at least that of the targets' gains. So the bars are
made of words that are known to fit. Frequent words pass the first bar easily, which is why there is
the second.
"""

import math
import re
from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from lmcore.corpus.words import WORD, first_word

# swapped: the next item's target, which shows whether a judge can tell at all
JUDGED = ("target", "prediction", "swapped")
WAYS = ("logprob", "gain", "cosine")
# for each word: {word}_logprob, {word}_gain, {word}_cosine; an empty prediction has -inf, 0 and 1
JUDGEMENTS = [pa.field(f"{word}_{way}", pa.float64()) for word in JUDGED for way in WAYS]
VALIDITY = pa.schema(
    [
        pa.field("model", pa.string()),
        pa.field("item", pa.string()),
        pa.field("context", pa.string()),
        pa.field("target", pa.string()),
        pa.field("prediction", pa.string()),  # the greedy word, with its leading space
        # a word of its own: no punctuation, no ending of the context's last word
        pa.field("is_word", pa.bool_()),
        pa.field("is_correct", pa.bool_()),
        pa.field("is_valid", pa.bool_()),
        pa.field("is_supported", pa.bool_()),
        *JUDGEMENTS,
        pa.field("content_hash", pa.uint64()),
    ]
)
SENTENCE_END = re.compile(r"(?<=[.!?])[\"'”’)]*\s+")


def last_sentence(context: str) -> str:
    """What follows the last mark that ends a sentence, as its words alone would be.

    It is all of the context where there is no such mark.
    """
    return SENTENCE_END.split(context)[-1]


def with_verdicts(rows: list[dict], accept_quantile: float) -> list[dict]:
    """The `rows` of one model's VALIDITY with the verdicts `is_*`, which they lack."""
    least_logprob = _quantile(rows, "target_logprob", accept_quantile)
    least_gain = _quantile(rows, "target_gain", accept_quantile)
    names = [name for name in VALIDITY.names if name != "model"]
    judged = []
    for row in rows:
        guess = row["prediction"].strip()
        is_word = _is_apart(row["context"], row["prediction"]) and WORD.match(guess) is not None
        verdicts = {
            "is_word": is_word,
            "is_correct": is_word and guess == _one_word(row["target"]),
            "is_valid": row["prediction_logprob"] >= least_logprob,
            "is_supported": is_word and row["prediction_gain"] >= least_gain,
        }
        values = {**row, **verdicts}
        judged.append({name: values[name] for name in names})
    return judged


def summary(rows: list[dict]) -> dict[str, float]:
    """What the judges say in all of one model's rows.

    The figures are means over items; of predictions, over those that are words.

    - `swap_noticed_*`: how often a judge puts the target above the next item's (a judge at one half
      knows nothing of the context);
    - `agreement_*`: how often a verdict and correctness fall together;
    - `auc_*`: how often a correct prediction is placed above a wrong one;
    - `*_of_wrong`, `*_of_correct`: shares of those;
    - `preferred_*`: how often a wrong prediction is placed above the target in the same place.

    Ties count half. A figure about nothing is left out.
    """
    words = [row for row in rows if row["is_word"]]
    right = [row for row in words if row["is_correct"]]
    wrong = [row for row in words if not row["is_correct"]]
    figures: dict[str, float | None] = {
        "n_items": float(len(rows)),
        "n_words": float(len(words)),
        "n_correct": float(len(right)),
        "n_wrong": float(len(wrong)),
        "accuracy": len(right) / len(rows),
    }
    for way in WAYS:
        figures |= _figures_of_way(way, rows, right, wrong)
    for verdict in ("valid", "supported"):
        is_accepted = f"is_{verdict}"
        figures |= {
            f"agreement_{verdict}": _mean(row[is_accepted] == row["is_correct"] for row in words),
            f"{verdict}_of_correct": _mean(row[is_accepted] for row in right),
            f"{verdict}_of_wrong": _mean(row[is_accepted] for row in wrong),
        }
    return {name: value for name, value in figures.items() if value is not None}


def _figures_of_way(
    way: str, rows: list[dict], right: list[dict], wrong: list[dict]
) -> dict[str, float | None]:
    """The figures of one of WAYS: over all rows, and over correct and wrong predictions."""
    guess, target, swapped = f"prediction_{way}", f"target_{way}", f"swapped_{way}"
    return {
        f"target_{way}": _mean(row[target] for row in rows),
        f"correct_{way}": _mean(row[guess] for row in right),
        f"wrong_{way}": _mean(row[guess] for row in wrong),
        f"swap_noticed_{way}": _share_above((row[target], row[swapped]) for row in rows),
        f"auc_{way}": _share_above(_pairs(right, wrong, guess)),
        f"preferred_of_wrong_{way}": _share_above((row[guess], row[target]) for row in wrong),
    }


def _pairs(right: list[dict], wrong: list[dict], name: str) -> Iterator[tuple[float, float]]:
    """The values `name` of every correct prediction and every wrong one."""
    for one in right:
        for other in wrong:
            yield one[name], other[name]


def _quantile(rows: list[dict], name: str, quantile: float) -> float:
    return float(np.quantile([row[name] for row in rows], quantile))


def _is_apart(context: str, guess: str) -> bool:
    """Whether a guess does not go on in the context's last word."""
    return guess[:1].isspace() or not context or context[-1:].isspace()


def _one_word(target: str) -> str | None:
    """The target without space and punctuation behind it, if it is a single word."""
    word = first_word(target, True) or ""
    return None if WORD.search(target[len(word) :]) else word.strip()


def _share_above(pairs: Iterable[tuple[float, float]]) -> float | None:
    """How often the first of a pair is greater, a tie counting half; None without pairs."""
    return _mean((one > other) + (one == other) / 2 for one, other in pairs)


def _mean(values: Iterable[float]) -> float | None:
    numbers = [float(value) for value in values]
    return math.fsum(numbers) / len(numbers) if numbers else None
