"""The words of the report.

How each metric is called, written and explained, and what each kind of suite asks.
"""

from typing import NamedTuple

from lmcore.folds.fold import PSEUDO
from lmcore.folds.metrics import HEADLINES


class Metric(NamedTuple):
    """What the report says of a metric.

    `unit` is `share` (written in per cent), `count`, or the decimals of a plain number.
    """

    label: str
    unit: str | int
    meaning: str


class Cell(NamedTuple):
    """An estimate as the cell of a table shows it."""

    value: str  # with its unit
    range: str  # the ends of its interval; empty where there is none


TIMES = {  # the measures of reading times
    "first_fixation": "first fixation",
    "first_pass": "first pass",
    "go_past": "go-past reading",
    "right_bounded": "right-bounded reading",
    "self_paced": "self-paced reading",
}
# a metric whose name begins with one of these is a share
SHARES = ("accuracy_", "success_at_", "precision_", "recall_", "f1_")
METRICS = {
    "accuracy": Metric(
        "accuracy",
        "share",
        "how often the right option has the greatest summed log-prob; of a completion, how often "
        "every token of it is the most probable one. A mean over groups of the groups' means; a "
        "tie counts by halves unless the suite's convention says otherwise",
    ),
    "accuracy_micro": Metric(
        "accuracy (micro)",
        "share",
        "the same as a mean over items, so that large groups weigh more",
    ),
    "length_baseline": Metric(
        "length baseline",
        "share",
        "the accuracy to expect of random logits, from the options' token counts alone: every "
        "token costs about log V, so the shorter option tends to win. An accuracy says something "
        "only where it leaves this baseline",
    ),
    "spearman": Metric(
        "Spearman's correlation",
        3,
        "how far the model's preference for the first of two texts goes with the share of people "
        "who prefer it: the correlation of their ranks, from -1 to 1",
    ),
    "eye_tracking": Metric(
        "eye tracking",
        2,
        "BabyLM's score: how many per cent of the variance in reading times that frequency, length "
        "and position leave are explained by surprisal, a mean over four measures. It is computed "
        "on the words that it is fitted to, so it is above 0 even for noise",
    ),
    "self_paced": Metric(
        TIMES["self_paced"],
        2,
        "the same of self-paced reading, where length and surprisal of the previous word are known "
        "before",
    ),
    **{
        measure: Metric(label, 2, f"eye tracking by the time of the {label} alone")
        for measure, label in TIMES.items()
        if measure != "self_paced"
    },
    "surprisal": Metric("surprisal of a word", 2, "in nats, a mean over words; lower is better"),
    "previous_surprisal": Metric(
        "surprisal of the previous word", 2, "in nats, a mean over words; lower is better"
    ),
    "gain": Metric(
        "gain in log-likelihood",
        4,
        "nats per word by which the surprisals of a word and of the one before it make the reading "
        "times of held-out sentences more probable, beside frequency, length and position: a mean "
        "over all measures. Below 0 where surprisal does not help",
    ),
    **{
        f"gain_{measure}": Metric(f"gain, {label}", 4, f"the gain for {label} alone")
        for measure, label in TIMES.items()
    },
    "first_probability": Metric(
        "probability of the first text",
        "share",
        "by the softmax over the summed log-probs of both texts, a mean over items",
    ),
    "human_ratio": Metric(
        "share of people", "share", "who prefer the first text, a mean over items"
    ),
    "agreement": Metric(
        "agreement",
        "share",
        "of a random model, how often two of its draws choose the same option; of any other it "
        "would be 1",
    ),
    "expected_agreement": Metric(
        "agreement to expect",
        "share",
        "the same of random logits, from the options' token counts alone",
    ),
    "accuracy_per_char": Metric(
        "accuracy per character",
        "share",
        "accuracy with each option's log-prob divided by its characters",
    ),
    "accuracy_per_byte": Metric(
        "accuracy per byte", "share", "accuracy with each option's log-prob divided by its bytes"
    ),
    "accuracy_per_token": Metric(
        "accuracy per token", "share", "accuracy by the mean log-prob of an option's tokens"
    ),
    "accuracy_median_token": Metric(
        "accuracy by median token", "share", "accuracy by the median log-prob of an option's tokens"
    ),
    "accuracy_worst_token": Metric(
        "accuracy by worst token", "share", "accuracy by the lowest log-prob of an option's tokens"
    ),
    "accuracy_pmi": Metric(
        "accuracy (PMI)",
        "share",
        "accuracy by each option's log-prob less that of the option without its context",
    ),
    "normalised_probability": Metric(
        "normalised probability",
        "share",
        "the right option's share of the options' summed probability",
    ),
    "bits_per_byte": Metric(
        "bits per byte",
        3,
        "surprisal in bits over the bytes of the text; lower is better; can be compared between "
        "tokenizers",
    ),
    "byte_perplexity": Metric("perplexity per byte", 3, "2 to the power of the bits per byte"),
    "target_logprob": Metric(
        "target log-prob", 2, "nats of the whole target in its context, a mean over items"
    ),
    "n_windowed": Metric(
        "longer than the window", "count", "items that the model could only read in parts"
    ),
    "n_unknown": Metric(
        "unknown tokens",
        "count",
        "tokens of the suite's texts that stand for characters without saying which, as <unk> does",
    ),
    "n_dropped_bytes": Metric(
        "dropped bytes",
        "count",
        "bytes of the suite's texts for which the model's tokenizer has no token",
    ),
    "word_perplexity": Metric(
        "perplexity per word",
        1,
        "the exponential of the mean surprisal of a word; lower is better; can be compared between "
        "tokenizers",
    ),
    "perplexity": Metric(
        "perplexity",
        1,
        "the exponential of the mean surprisal of a token; of a completion, that of a whole "
        "target. Lower is better; that of a token cannot be compared between tokenizers",
    ),
    "target_probability": Metric(
        "target probability", "share", "the probability of the whole target, a mean over items"
    ),
    "median_rank": Metric(
        "median rank", 1, "the median rank, from 1, of the target's first token among all tokens"
    ),
    "reciprocal_rank": Metric(
        "reciprocal rank", 3, "the mean of 1 / rank of the target's first token"
    ),
    "entropy": Metric(
        "entropy",
        2,
        "how undecided the model was: the mean entropy in nats of the distributions that predicted "
        "the tokens",
    ),
    "probability": Metric(
        "probability", "share", "the mean probability that the model gave to the token that came"
    ),
    "n_items": Metric("items", "count", "the items scored"),
    "n_ties": Metric(
        "ties",
        "count",
        "items whose right option shares the first place; of a random model, the mean over its "
        "draws",
    ),
    "n_draws": Metric(
        "draws",
        "count",
        "the draws of a random model, averaged within each item before anything else",
    ),
}

# the metrics of whole texts, which a masked LM has with the prefix PSEUDO
OF_TEXTS = (
    "bits_per_byte",
    "byte_perplexity",
    "target_logprob",
    "word_perplexity",
    "perplexity",
    "target_probability",
)
for _name in OF_TEXTS:
    METRICS[PSEUDO + _name] = Metric(
        f"pseudo-{METRICS[_name].label}",
        METRICS[_name].unit,
        f"the {METRICS[_name].label} of what a masked LM says of each token where it is masked: no "
        "probability of the text, and to be compared between masked LMs alone",
    )

# for each kind of suite: its headline metric, and what it asks
KINDS = {
    "pairs": (HEADLINES["pairs"], "Of two sentences, is the right one the more probable?"),
    "choices": (HEADLINES["choices"], "Of several endings, is the right one the most probable?"),
    "completion": (HEADLINES["completion"], "Is the missing end what the model would have said?"),
    "text": (HEADLINES["text"], "How well does the model predict running text?"),
    "graded": (HEADLINES["graded"], "Does the model prefer the text that people prefer?"),
    "reading": (HEADLINES["reading"], "Are words that surprise the model read slowly?"),
}


def label(name: str) -> str:
    """What the report calls a metric."""
    return METRICS[name].label if name in METRICS else name.replace("_", " ")


def written(name: str, value: float) -> str:
    """A metric's value as the report writes it, without the unit that `unit_of` gives."""
    unit = _unit(name)
    if unit == "share":
        return f"{100 * value:.1f}"
    if unit == "count":
        return f"{value:,.10g}"
    if abs(value) >= 1e6:
        return f"{value:.2e}"
    decimals = 0 if abs(value) >= 1000 else unit
    return f"{value:,.{decimals}f}"


def unit_of(name: str) -> str:
    """`%` after a thin space for a share, and nothing for other metrics."""
    return "\N{THIN SPACE}%" if _unit(name) == "share" else ""


def written_range(name: str, bounds: tuple[float, float] | None) -> str:
    """The interval of a metric as the report writes it; empty where there is none."""
    return "" if bounds is None else f"{written(name, bounds[0])} – {written(name, bounds[1])}"


def cell(name: str, value: float, bounds: tuple[float, float] | None) -> Cell:
    """A metric's value with its unit and its interval."""
    return Cell(written(name, value) + unit_of(name), written_range(name, bounds))


def _unit(name: str) -> str | int:
    """The `unit` of a metric (see Metric), also of one that METRICS does not hold."""
    if name in METRICS:
        return METRICS[name].unit
    if name.startswith(SHARES):
        return "share"
    return "count" if name.startswith("confusion_") else 3
