"""From token tables to scores: a suite's items and what one model said of their tokens go in, one row an item, draw and metric comes out.

Pure functions of the two tables; no fold looks at a model. Only target tokens count; log-probs are summed in float64. What each kind gives:

- every kind, over the gold target: `logprob` (nats a token), `entropy`, `probability`, each weighted by its tokens, and
  `surprisal_per_byte` (bits) over the bytes that were scored: of characters without a token, and of those that an unknown token
  (`<unk>`) stands for, the model said nothing; `windowed`, whether any of the item's texts is longer than what the model sees at once;
- where the tokenizer does not say all of a suite's texts: `unknown`, the unknown tokens in an item's texts, contexts and all options
  included, and `dropped_bytes`, the bytes in them without a token (lmcore.text.token_losses);
- `pairs`, `choices`: `accuracy` (the gold option has the greatest summed log-prob), `tie`, `length_baseline`; of a model with several draws
  `agreement` (pairs of them that choose alike) and `expected_agreement` (of random logits);
- `choices`: the same decision by mean, median and worst token, and per character and byte of the target without its leading space;
  `accuracy_pmi` (log-prob less that of the ending alone, where the suite has that variant); `normalised_probability` (of the gold option,
  by the softmax over the options' summed log-probs);
- `pairs`, `choices` whose options are classes: the cells of the confusion matrix (see lmcore.folds.classification);
- `completion`: `accuracy` (every target token is the most probable one), `tie`, `target_logprob` (nats a target), `target_probability`; of
  the first target token `rank`, `reciprocal_rank` and `success_at_k`;
- `text`: also `surprisal_per_word` (bits), a word being what `\\s+` separates; not where any text is not wholly said, for then its words
  are not either.

What a masked LM says of a target is a pseudo-log-likelihood. It is no probability of the text, so every metric that is made of it alone
has a name of its own: `pseudo_logprob`, `pseudo_surprisal_per_byte` and so on.

A tie counts 1 / (options tied) under `half`, 0 under `loss`; under `win` the first of the tied options wins, which of a
pair is the good one.
"""

import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from lmcore.errors import InputError
from lmcore.files import whole
from lmcore.folds.by_text import COLUMNS, TextStats, text_stats
from lmcore.models.config import context_length
from lmcore.models.folder import is_masked, read_config
from lmcore.params.ranges import Count
from lmcore.statistics.agreement import agreement, expected_agreement
from lmcore.statistics.stats import random_choice_accuracy
from lmcore.suites.conventions import convention_of
from lmcore.suites.declare import classes_of, kind_of
from lmcore.tables import ITEMS, SCORES, TOKENS, check, read, scoring_of, write

PSEUDO = "pseudo_"
LIKELIHOODS = (
    "logprob",
    "surprisal_per_byte",
    "surprisal_per_word",
    "target_logprob",
    "target_probability",
)
Metrics = dict[
    str, tuple[np.ndarray, np.ndarray]
]  # name: value and weight, each of shape (draws, items)


def fold(
    items: pa.Table,
    tokens: pa.Table,
    *,
    kind: str,
    ties: str,
    top_k: int,
    vocab_size: int,
    window: int,
    source: str | Path,
    classes: Sequence[str] = (),
    masked: bool = False,
) -> pa.Table:
    """The scores table of one suite and one model, sorted by SCORE_KEY; `window`: how many tokens the model saw at once; `masked`:
    whether it is a masked LM.

    Raises InputError, naming `source`, where the tokens do not cover the items exactly or a log-prob is not finite.
    """
    texts = text_stats(items, tokens, source)
    metrics = (
        _gold_metrics(texts)
        | {"windowed": _of_items(texts.n_inputs > window, texts)}
        | _lost(texts)
    )
    if kind in ("pairs", "choices"):
        metrics |= _choice_metrics(texts, kind, ties, vocab_size)
        if classes:
            from lmcore.folds.classification import (
                confusion_cells,
            )  # scikit-learn takes a second to import

            metrics |= {
                name: (cell, np.ones_like(cell))
                for name, cell in confusion_cells(texts, kind, list(classes), ties).items()
            }
    elif kind == "completion":
        metrics |= _completion_metrics(texts, ties, top_k)
    elif kind == "text":
        metrics |= _text_metrics(texts, scoring_of(items).get("lengths", {}))
    if masked:
        metrics = {
            f"{PSEUDO}{name}" if name in LIKELIHOODS else name: values
            for name, values in metrics.items()
        }
    return _scores_table(texts, metrics, source)


def fold_scores(
    models: list[str],
    suites: dict[str, dict],
    items: Path,
    tokens: Path,
    model_folder: Path,
    out: Path,
    *,
    top_k: Count,
) -> None:
    """Write `out`/MODEL/SUITE.parquet for every model and suite, all or none, from `items`/SUITE.parquet and `tokens`/MODEL/SUITE.

    Raises InputError where a table is missing, or where `tokens` holds a model or suite that is not asked for.
    """
    refuse_orphans(tokens, models, suites)
    with whole(out) as folder:
        for suite, entry in suites.items():
            kind = kind_of(suite, entry)
            ties = convention_of(suite, entry or {})["ties"]
            items_table = read(items / f"{suite}.parquet", ITEMS)
            for model in models:
                source = tokens / model / suite
                config = read_config(model_folder / model)
                scores = fold(
                    items_table,
                    read(source, TOKENS, COLUMNS),
                    kind=kind,
                    ties=ties,
                    top_k=top_k,
                    vocab_size=config["vocab_size"],
                    window=window_of(items_table, config),
                    source=source,
                    classes=classes_of(suite, entry, kind),
                    masked=is_masked(config),
                )
                write(scores, SCORES, folder / model / f"{suite}.parquet")


def window_of(items: pa.Table, config: dict) -> int:
    """How many tokens of a text the model of this config sees at once in this suite.

    Word-beginning masses take one of them, the specials of a masked LM two.
    """
    scoring = scoring_of(items)
    return scoring.get("window", context_length(config)) - (
        2 if is_masked(config) else bool(scoring.get("bow"))
    )


def refuse_orphans(folder: Path, models: list[str], suites: dict[str, dict]) -> None:
    """Raises InputError where `folder` holds tables of a model or suite not asked for: DVC would count them too."""
    for file in sorted(
        path for path in folder.rglob("*") if path.is_file()
    ):  # empty folders, which `dvc checkout` leaves, do not count
        model, suite = file.relative_to(folder).parts[:2]
        if model not in models or Path(suite).stem not in suites:
            orphan = folder / model / suite if model in models else folder / model
            raise InputError(
                f"{orphan}: params.yaml does not name it (any more); `dvc checkout` removes what DVC put there, else remove it yourself"
            )


def settle(values: np.ndarray, gold: np.ndarray, ties: str) -> tuple[np.ndarray, np.ndarray]:
    """How far the gold option wins, in [0, 1], and whether it is tied for the first place.

    values: (draws, items, options), the greatest wins; gold: (items,), its option; ties: `half`, `win` or `loss`.
    """
    best = values == values.max(-1, keepdims=True)
    n_best = best.sum(-1)
    wins = np.take_along_axis(best, gold[None, :, None], -1)[..., 0]
    tied = wins & (n_best > 1)
    if ties == "half":
        return wins / n_best, tied
    return (wins & ~tied if ties == "loss" else values.argmax(-1) == gold).astype(float), tied


def _of_items(flags: np.ndarray, texts: TextStats) -> tuple[np.ndarray, np.ndarray]:
    """Per item, whether any of its texts is flagged, and the weight 1; flags: (draws, texts)."""
    values = np.any([flags[:, rows].any(-1) for rows in texts.rows.values()], 0).astype(float)
    return values, np.ones_like(values)


def _gold_metrics(texts: TextStats) -> Metrics:
    n = texts.of_gold(texts.n_tokens)
    metrics = {
        "logprob": (texts.of_gold(texts.logprob) / n, n),
        "entropy": (texts.of_gold(texts.entropy) / n, n),
        "probability": (texts.of_gold(texts.probability) / n, n),
    }
    return metrics | _per_byte(texts.of_gold(texts.logprob), texts.of_gold(texts.n_bytes))


def _per_byte(logprob: np.ndarray, n_bytes: np.ndarray) -> Metrics:
    """`surprisal_per_byte`; an item of which no byte was scored weighs nothing, and where there is no other there is no such metric."""
    if not n_bytes.any():
        return {}
    bits = -logprob / math.log(2)
    return {
        "surprisal_per_byte": (np.where(n_bytes > 0, bits / np.maximum(n_bytes, 1), 0.0), n_bytes)
    }


def _lost(texts: TextStats) -> Metrics:
    """What no token says of the items' texts, where there is anything."""
    found = {}
    for metric, name in (("unknown", "unknown_bytes"), ("dropped_bytes", "dropped_bytes")):
        counts = texts.n_lost(name)
        if counts.any():
            of_items = np.sum([counts[:, rows].sum(-1) for rows in texts.rows.values()], 0)
            found[metric] = (of_items, np.ones_like(of_items))
    return found


def _choice_metrics(texts: TextStats, kind: str, ties: str, vocab_size: int) -> Metrics:
    logprob = texts.by_option(texts.logprob)
    accuracy, tied = settle(logprob, texts.gold, ties)
    baseline = random_choice_accuracy(texts.n_after_shared, texts.gold, vocab_size, ties)
    metrics = {
        "accuracy": accuracy,
        "tie": tied.astype(float),
        "length_baseline": np.broadcast_to(baseline, accuracy.shape),
    }
    if len(logprob) > 1:
        expected = expected_agreement(texts.n_after_shared, vocab_size)
        metrics |= {
            name: np.broadcast_to(values, accuracy.shape)
            for name, values in (
                ("agreement", agreement(logprob)),
                ("expected_agreement", expected),
            )
        }
    if kind == "choices":
        targets = [
            [target.removeprefix(" ") for target in texts.table["target"].take(rows).to_pylist()]
            for rows in texts.rows[""]
        ]
        n_chars, n_bytes = (
            np.array(
                [[len(t) if way == "chars" else len(t.encode()) for t in row] for row in targets]
            )
            for way in ("chars", "bytes")
        )
        ways = {
            "accuracy_per_token": logprob / texts.by_option(texts.n_tokens),
            "accuracy_median_token": texts.by_option(texts.median),
            "accuracy_worst_token": texts.by_option(texts.worst),
            "accuracy_per_char": logprob / n_chars,
            "accuracy_per_byte": logprob / n_bytes,
        }
        if "ending_alone" in texts.rows:
            ways["accuracy_pmi"] = logprob - texts.by_option(texts.logprob, "ending_alone")
        metrics |= {name: settle(values, texts.gold, ties)[0] for name, values in ways.items()}
        odds = np.exp(logprob - logprob.max(-1, keepdims=True))
        metrics["normalised_probability"] = np.take_along_axis(
            odds / odds.sum(-1, keepdims=True), texts.gold[None, :, None], -1
        )[..., 0]
    return {name: (values, np.ones_like(values)) for name, values in metrics.items()}


def _completion_metrics(texts: TextStats, ties: str, top_k: int) -> Metrics:
    rank, logprob = texts.of_gold(texts.first_rank), texts.of_gold(texts.logprob)
    argmax, rank_one = texts.of_gold(texts.all_top), texts.of_gold(texts.all_rank_one)
    tied = rank_one & ~argmax  # another token is as probable as the target's
    metrics = {
        "accuracy": argmax + tied * (0.5 if ties == "half" else 0.0),
        "tie": tied.astype(float),
        "target_logprob": logprob,
        "target_probability": np.exp(logprob),
        "rank": rank.astype(float),
        "reciprocal_rank": 1 / rank,
        f"success_at_{top_k}": (rank <= top_k).astype(float),
    }
    return {name: (values, np.ones_like(values)) for name, values in metrics.items()}


def _text_metrics(texts: TextStats, lengths: dict[str, list[int]]) -> Metrics:
    """`lengths` holds [words, bytes] of the texts that were changed for scoring: theirs are those of the original."""
    items, targets = texts.table["item"].to_pylist(), texts.table["target"].to_pylist()
    n_words = np.array(
        [
            lengths[item][0] if item in lengths else len(re.split(r"\s+", text))
            for item, text in zip(items, targets, strict=True)
        ],
        float,
    )
    originals = np.array([lengths[item][1] if item in lengths else 0 for item in items], float)
    n_bytes = np.where(originals > 0, originals - texts.n_unsaid, texts.n_bytes)
    metrics = _per_byte(texts.logprob, np.maximum(n_bytes, 0))
    if not texts.n_unsaid.any():
        bits = -texts.logprob / math.log(2)
        metrics["surprisal_per_word"] = (bits / n_words, np.broadcast_to(n_words, bits.shape))
    return metrics


def _scores_table(texts: TextStats, metrics: Metrics, source: str | Path) -> pa.Table:
    """Rows in the order of SCORE_KEY, since items and metrics are sorted already."""
    names = sorted(metrics)
    values, weights = (
        np.stack([metrics[name][part] for name in names], -1).transpose(1, 0, 2) for part in (0, 1)
    )
    n_items, n_draws, n_metrics = values.shape
    for number, name in enumerate(names):
        if not np.isfinite(values[..., number]).all():
            item = texts.table["item"][
                int(texts.gold_rows[np.argwhere(~np.isfinite(values[..., number]))[0][0]])
            ]
            raise InputError(f"{source}: {name} of item '{item}' is not finite")
    first = np.repeat(texts.rows[""][:, 0], n_draws * n_metrics)
    metric = pa.DictionaryArray.from_arrays(
        pa.array(np.tile(np.arange(n_metrics, dtype=np.int32), n_items * n_draws)),
        pa.array(names, pa.string()),
    )
    columns = {
        name: texts.table[name].take(pa.array(first))
        for name in ("item", "variant", "group", "content_hash")
    } | {
        "draw": pa.array(np.tile(np.repeat(np.arange(n_draws), n_metrics), n_items), pa.int16()),
        "metric": metric.cast(pa.string()),
        "value": pa.array(values.ravel().astype(np.float64)),
        "weight": pa.array(weights.ravel().astype(np.float64)),
    }
    return check(pa.table({name: columns[name] for name in SCORES.names}, SCORES), SCORES, source)
