"""From token tables to scores: one row for each item, draw and metric.

A suite's items and what one model said of their tokens go in. These are pure functions of the two
tables; no fold looks at a model. A large suite is folded in runs of whole items (lmcore.folds.runs)
with the same result. Of kinds graded and reading, and of pairs with classes, a score depends on all
items, and so these are folded at once. Only target tokens count; log-probs are summed in float64.
What each kind gives:

- Every kind, over the gold target: `logprob` (nats per token), `entropy` and `probability`, each
  weighted by its tokens. `surprisal_per_byte` (bits) is over the bytes that were scored: the model
  said nothing of characters without a token, nor of those that an unknown token (`<unk>`) stands
  for. `windowed` is whether any of the item's texts is longer than what the model sees at once.
- Where the tokenizer does not represent all of a suite's texts: `unknown`, the unknown tokens in an
  item's texts, contexts and all options included; and `dropped_bytes`, the bytes in them without a
  token (lmcore.text.token_losses).
- `pairs` and `choices`: `accuracy` (the gold option has the greatest summed log-prob), `tie` and
  `length_baseline`. For a model with several draws also `agreement` (pairs of draws that choose
  alike) and `expected_agreement` (that of random logits).
- `choices`: the same decision by mean, median and worst token, and per character and per byte of
  the target without its leading space. `accuracy_pmi` decides by the log-prob minus that of the
  ending alone, where the suite has that variant. `normalised_probability` is that of the gold
  option, by the softmax over the options' summed log-probs.
- `pairs` and `choices` whose options are classes: the cells of the confusion matrix (see
  lmcore.folds.classification).
- `completion`: `accuracy` (every target token is the most probable one), `tie`, `target_logprob`
  (nats per target) and `target_probability`; of the first target token `rank`, `reciprocal_rank`
  and `success_at_k`.
- `graded`: `spearman` (whose mean over items is the correlation, see
  lmcore.statistics.rank_correlation), `first_probability` and `human_ratio`.
- `reading`: `surprisal`, BabyLM's `eye_tracking` and `self_paced`, and `gain` (see
  lmcore.folds.reading).
- `text`: also `surprisal_per_word` (bits), a word being what `\\s+` separates. There is no such
  metric where the tokenizer does not represent a text completely, for then some of its words are
  not represented completely either.

What a masked LM says of a target is a pseudo-log-likelihood. It is no probability of the text, so
every metric that is made of it alone has a name of its own: `pseudo_logprob`,
`pseudo_surprisal_per_byte` and so on.

A tie counts 1 / (options tied) under `half` and 0 under `loss`. Under `win` the first of the tied
options wins, which is the good one of a pair.
"""

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from scipy import special

from lmcore.errors import InputError
from lmcore.files import whole, write_csv
from lmcore.folds.by_text import BOW, COLUMNS, TextStats, text_stats
from lmcore.folds.positions import RunningChoice
from lmcore.folds.reading import reading_metrics
from lmcore.folds.runs import runs_of_items
from lmcore.folds.ties import settle
from lmcore.models.config import context_length
from lmcore.models.folder import is_masked, read_config
from lmcore.params.ranges import Count
from lmcore.params.scored import models_of_suite, suites_of_model
from lmcore.statistics.agreement import agreement, expected_agreement
from lmcore.statistics.rank_correlation import spearman_values
from lmcore.statistics.stats import random_choice_accuracy
from lmcore.suites.conventions import convention_of
from lmcore.suites.declare import classes_of, kind_of
from lmcore.tables import (
    OPTIONAL_CLUSTER,
    SCORES,
    check,
    schema_of,
    scoring_of,
    write_tables,
)

PSEUDO = "pseudo_"
LIKELIHOODS = (
    "logprob",
    "surprisal_per_byte",
    "surprisal_per_word",
    "target_logprob",
    "target_probability",
)
# {name: value and weight}, each of shape (draws, items)
Metrics = dict[str, tuple[np.ndarray, np.ndarray]]


def fold(
    texts: TextStats,
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
    """The scores table of one suite and one model, sorted by SCORE_KEY.

    window: how many tokens the model saw at once; masked: whether it is a masked LM.

    Raises InputError, naming `source`, where a value is not finite.
    """
    metrics = _metrics(
        texts,
        kind=kind,
        ties=ties,
        top_k=top_k,
        vocab_size=vocab_size,
        window=window,
        source=source,
        classes=classes,
        masked=masked,
    )
    return _scores_table(texts, metrics, source)


def _metrics(
    texts: TextStats,
    *,
    kind: str,
    ties: str,
    top_k: int,
    vocab_size: int,
    window: int,
    source: str | Path,
    classes: Sequence[str],
    masked: bool,
) -> Metrics:
    """All metrics of some texts; arguments as of `fold`."""
    metrics = _gold_metrics(texts)
    metrics["windowed"] = _of_items(texts.n_inputs > window, texts)
    metrics |= _lost(texts)
    if kind in ("pairs", "choices"):
        metrics |= _choice_metrics(texts, kind, ties, vocab_size)
        if classes:
            metrics |= _class_metrics(texts, kind, list(classes), ties)
    elif kind == "completion":
        metrics |= _completion_metrics(texts, ties, top_k)
    elif kind == "text":
        metrics |= _text_metrics(texts, scoring_of(texts.table).get("lengths", {}))
    elif kind == "graded":
        metrics |= _graded_metrics(texts, scoring_of(texts.table)["ratios"])
    elif kind == "reading":
        metrics |= reading_metrics(texts, scoring_of(texts.table)["readings"], source)
    if masked:
        metrics = {
            PSEUDO + name if name in LIKELIHOODS else name: values
            for name, values in metrics.items()
        }
    return metrics


def fold_scores(
    models: list[str],
    suites: dict[str, dict],
    items: Path,
    tokens: Path,
    model_folder: Path,
    out: Path,
    positions: Path,
    *,
    top_k: Count,
) -> None:
    """Write `out`/MODEL/SUITE.parquet for every model and suite, all or none.

    A suite whose entry names `models` has those alone.
    Write `positions`/MODEL/SUITE.csv, as lmcore.folds.positions says, for the suites of kind
    choices. The tables come from `items`/SUITE.parquet and `tokens`/MODEL/SUITE.

    Raises InputError where a table is missing, where the tokens of a suite do not cover its items
    exactly, and where `tokens` holds a model or suite that is not asked for.
    """
    refuse_orphans(tokens, models, suites)
    with whole(out) as folder, whole(positions) as positions_folder:
        positions_folder.mkdir()
        for suite, entry in suites.items():
            kind = kind_of(suite, entry)
            ties = convention_of(suite, entry or {})["ties"]
            for model in models_of_suite(suite, entry, models):
                suite_items, source = items / f"{suite}.parquet", tokens / model / suite
                config = read_config(model_folder / model)
                fold_ = _Fold(
                    suite_items,
                    source,
                    kind=kind,
                    ties=ties,
                    top_k=top_k,
                    vocab_size=config["vocab_size"],
                    window=window_of(schema_of(suite_items), config),
                    classes=classes_of(suite, entry, kind),
                    masked=is_masked(config),
                )
                fold_.write(folder / model / f"{suite}.parquet")
                if fold_.running is not None:
                    lines = fold_.running.lines()
                    write_csv(lines, positions_folder / model / f"{suite}.csv")


class _Fold:
    """The fold of one model on one suite, run by run of its items (lmcore.folds.runs)."""

    def __init__(self, items: Path, tokens: Path, **settings: Any):
        """`settings` are those of `fold`, without the source."""
        self.items, self.tokens, self.settings = items, tokens, settings
        # the running choice of all items that were folded, in suites of kind choices
        self.running: RunningChoice | None = None

    def write(self, path: Path) -> None:
        """Write the scores table of all items to `path`."""
        found: list[set[str]] = []  # the metrics of each run
        write_tables(self._tables(found), SCORES, path)
        if any(names != found[0] for names in found):
            # what a tokenizer loses shows in some runs only; it is a metric of all items or of none
            names = set.union(*found)
            names -= {name for name in names if _is_per_word(name) and not _in_all(name, found)}
            write_tables(self._tables([], names), SCORES, path)

    def _tables(self, found: list[set[str]], names: set[str] | None = None) -> Iterator[pa.Table]:
        """The scores table of each run, of the metrics `names` if these are given.

        The metrics of each run are added to `found`.
        """
        kind, ties = self.settings["kind"], self.settings["ties"]
        self.running = RunningChoice(ties) if kind == "choices" else None
        for texts in self._texts():
            metrics = _metrics(texts, source=self.tokens, **self.settings)
            found.append(set(metrics))
            if names is not None:
                metrics = _completed(metrics, names, (texts.shape[0], len(texts.gold)))
            if self.running is not None:
                self.running.add(texts)
            yield _scores_table(texts, metrics, self.tokens)

    def _texts(self) -> Iterator[TextStats]:
        """The texts of each run; all in one where a score depends on all items."""
        kind = self.settings["kind"]
        in_one = kind in ("graded", "reading") or (kind == "pairs" and self.settings["classes"])
        has_bow = kind == "reading" and scoring_of(schema_of(self.items)).get("bow")
        columns = [*COLUMNS, *BOW] if has_bow else COLUMNS
        for run in runs_of_items(self.items, self.tokens, columns, in_one=bool(in_one)):
            yield text_stats(run.items, run.tokens, self.tokens, run.whole)


def _is_per_word(name: str) -> bool:
    """Whether the metric is one that a suite has only where no text is lost."""
    return name.removeprefix(PSEUDO) == "surprisal_per_word"


def _in_all(name: str, found: list[set[str]]) -> bool:
    return all(name in names for names in found)


def _completed(metrics: Metrics, names: set[str], shape: tuple[int, int]) -> Metrics:
    """The metrics `names`; what these items do not have is 0.

    shape: draws, items. A run without a metric has lost nothing (`unknown`, `dropped_bytes`), or
    has no byte that was scored, and then its weight is 0, too.
    """
    completed = {name: metrics[name] for name in names if name in metrics}
    for name in sorted(names - set(metrics)):
        weight = np.zeros(shape) if name.endswith("surprisal_per_byte") else np.ones(shape)
        completed[name] = (np.zeros(shape), weight)
    return completed


def window_of(items: pa.Table | pa.Schema, config: dict) -> int:
    """How many tokens of a text the model of this config sees at once in this suite.

    Word-beginning masses take one of them, the special tokens of a masked LM take two.
    """
    scoring = scoring_of(items)
    n_taken = 2 if is_masked(config) else bool(scoring.get("bow"))
    return scoring.get("window", context_length(config)) - n_taken


def refuse_orphans(folder: Path, models: list[str], suites: dict[str, dict]) -> None:
    """Raises InputError where `folder` holds tables of a model or suite that is not asked for.

    A suite may ask for a part of the models alone; those that its entry names must be there.

    DVC would count them, too.
    """
    # files alone: empty folders, which `dvc checkout` leaves, do not count
    files = [path for path in folder.rglob("*") if path.is_file()]
    asked = {model: suites_of_model(suites, model) for model in models}
    for suite, entry in suites.items():
        models_of_suite(suite, entry, models)
    for file in sorted(files):
        model, suite = file.relative_to(folder).parts[:2]
        if Path(suite).stem not in asked.get(model, {}):
            orphan = folder / model / suite if model in models else folder / model
            raise InputError(
                f"{orphan}: params.yaml does not name it (any more); "
                "`dvc checkout` removes what DVC put there, else remove it yourself"
            )


def _of_items(flags: np.ndarray, texts: TextStats) -> tuple[np.ndarray, np.ndarray]:
    """Per item, whether any of its texts is flagged, and the weight 1; flags: (draws, texts)."""
    values = np.any([flags[:, rows].any(-1) for rows in texts.rows.values()], 0).astype(float)
    return values, np.ones_like(values)


def _with_weight_one(values: dict[str, np.ndarray]) -> Metrics:
    """The metrics of which every item counts the same."""
    return {name: (array, np.ones_like(array)) for name, array in values.items()}


def _gold_metrics(texts: TextStats) -> Metrics:
    """The metrics of every kind: means over the tokens and bytes of the gold target."""
    n = texts.of_gold(texts.n_tokens)
    metrics = {
        "logprob": (texts.of_gold(texts.logprob) / n, n),
        "entropy": (texts.of_gold(texts.entropy) / n, n),
        "probability": (texts.of_gold(texts.probability) / n, n),
    }
    return metrics | _per_byte(texts.of_gold(texts.logprob), texts.of_gold(texts.n_bytes))


def _per_byte(logprob: np.ndarray, n_bytes: np.ndarray) -> Metrics:
    """`surprisal_per_byte`; there is no such metric where no byte of any item was scored.

    An item of which no byte was scored has the weight 0.
    """
    if not n_bytes.any():
        return {}
    bits = -logprob / math.log(2)
    surprisal = np.where(n_bytes > 0, bits / np.maximum(n_bytes, 1), 0.0)
    return {"surprisal_per_byte": (surprisal, n_bytes)}


def _lost(texts: TextStats) -> Metrics:
    """What no token represents of the items' texts, where there is anything."""
    metrics = {}
    for metric, name in (("unknown", "unknown_bytes"), ("dropped_bytes", "dropped_bytes")):
        counts = texts.n_lost(name)
        if counts.any():
            of_items = np.sum([counts[:, rows].sum(-1) for rows in texts.rows.values()], 0)
            metrics[metric] = (of_items, np.ones_like(of_items))
    return metrics


def _choice_metrics(texts: TextStats, kind: str, ties: str, vocab_size: int) -> Metrics:
    """The decision between the options, and what it would be by chance."""
    logprob = texts.by_option(texts.logprob)
    accuracy, tied = settle(logprob, texts.gold, ties)
    baseline = random_choice_accuracy(texts.n_after_shared, texts.gold, vocab_size, ties)
    values = {
        "accuracy": accuracy,
        "tie": tied.astype(float),
        "length_baseline": np.broadcast_to(baseline, accuracy.shape),
    }
    if len(logprob) > 1:
        expected = expected_agreement(texts.n_after_shared, vocab_size)
        values["agreement"] = np.broadcast_to(agreement(logprob), accuracy.shape)
        values["expected_agreement"] = np.broadcast_to(expected, accuracy.shape)
    if kind == "choices":
        values |= _other_decisions(texts, logprob, ties)
        odds = np.exp(logprob - logprob.max(-1, keepdims=True))
        probabilities = odds / odds.sum(-1, keepdims=True)
        gold = texts.gold[None, :, None]
        values["normalised_probability"] = np.take_along_axis(probabilities, gold, -1)[..., 0]
    return _with_weight_one(values)


def _other_decisions(texts: TextStats, logprob: np.ndarray, ties: str) -> dict[str, np.ndarray]:
    """{metric: (draws, items)} the decisions by something else than the summed log-prob.

    logprob: (draws, items, options), summed.
    """
    n_chars, n_bytes = _target_lengths(texts)
    criteria = {
        "accuracy_per_token": logprob / texts.by_option(texts.n_tokens),
        "accuracy_median_token": texts.by_option(texts.median),
        "accuracy_worst_token": texts.by_option(texts.worst),
        "accuracy_per_char": logprob / n_chars,
        "accuracy_per_byte": logprob / n_bytes,
    }
    if "ending_alone" in texts.rows:
        criteria["accuracy_pmi"] = logprob - texts.by_option(texts.logprob, "ending_alone")
    return {name: settle(values, texts.gold, ties)[0] for name, values in criteria.items()}


def _target_lengths(texts: TextStats) -> tuple[np.ndarray, np.ndarray]:
    """(items, options) the characters and bytes of each target without its leading space."""
    n_chars, n_bytes = [], []
    for rows in texts.rows[""]:
        targets = texts.table["target"].take(rows).to_pylist()
        targets = [target.removeprefix(" ") for target in targets]
        n_chars.append([len(target) for target in targets])
        n_bytes.append([len(target.encode()) for target in targets])
    return np.array(n_chars), np.array(n_bytes)


def _class_metrics(texts: TextStats, kind: str, classes: list[str], ties: str) -> Metrics:
    """The cells of the confusion matrix."""
    # scikit-learn takes a second to import
    from lmcore.folds.classification import confusion_cells

    return _with_weight_one(confusion_cells(texts, kind, classes, ties))


def _completion_metrics(texts: TextStats, ties: str, top_k: int) -> Metrics:
    """Whether the model completes the context with the target, and how probable the target is."""
    rank, logprob = texts.of_gold(texts.first_rank), texts.of_gold(texts.logprob)
    is_greedy, is_rank_one = texts.of_gold(texts.all_top), texts.of_gold(texts.all_rank_one)
    tied = is_rank_one & ~is_greedy  # another token is as probable as the target's
    values = {
        "accuracy": is_greedy + tied * (0.5 if ties == "half" else 0.0),
        "tie": tied.astype(float),
        "target_logprob": logprob,
        "target_probability": np.exp(logprob),
        "rank": rank.astype(float),
        "reciprocal_rank": 1 / rank,
        f"success_at_{top_k}": (rank <= top_k).astype(float),
    }
    return _with_weight_one(values)


def _text_metrics(texts: TextStats, lengths: dict[str, list[int]]) -> Metrics:
    """Surprisal per byte and per word of running text.

    lengths: [words, bytes] of the texts that were changed for scoring: those of the original.
    """
    items, targets = texts.table["item"].to_pylist(), texts.table["target"].to_pylist()
    words_and_bytes = []  # of each text; 0 bytes where the text was not changed
    for item, target in zip(items, targets, strict=True):
        is_changed = item in lengths
        words_and_bytes.append(lengths[item] if is_changed else [len(re.split(r"\s+", target)), 0])
    n_words, n_original = np.array(words_and_bytes, float).T
    n_bytes = np.where(n_original > 0, n_original - texts.n_unsaid, texts.n_bytes)
    metrics = _per_byte(texts.logprob, np.maximum(n_bytes, 0))
    if not texts.n_unsaid.any():
        bits = -texts.logprob / math.log(2)
        metrics["surprisal_per_word"] = (bits / n_words, np.broadcast_to(n_words, bits.shape))
    return metrics


def _graded_metrics(texts: TextStats, ratios: dict[str, float]) -> Metrics:
    """How far the preference for the first text goes with that of people; `ratios` by item."""
    logprob = texts.by_option(texts.logprob)  # (draws, items, 2)
    # ranked instead of the probability, which is 1 for many items, and so a tie that is none
    log_odds = logprob[..., 0] - logprob[..., 1]
    probability = special.expit(log_odds)
    items = texts.table["item"].take(texts.rows[""][:, 0]).to_pylist()
    of_people = np.array([ratios[item] for item in items])
    values = {
        "spearman": np.stack([spearman_values(of_draw, of_people) for of_draw in log_odds]),
        "first_probability": probability,
        "human_ratio": np.broadcast_to(of_people, probability.shape),
    }
    return _with_weight_one(values)


def _scores_table(texts: TextStats, metrics: Metrics, source: str | Path) -> pa.Table:
    """The checked table, with rows in the order of SCORE_KEY: items and metrics are sorted already.

    Raises InputError, naming `source`, for a value that is not finite.
    """
    names = sorted(metrics)
    # each (items, draws, metrics)
    values = np.stack([metrics[name][0] for name in names], -1).transpose(1, 0, 2)
    weights = np.stack([metrics[name][1] for name in names], -1).transpose(1, 0, 2)
    n_items, n_draws, n_metrics = values.shape
    for number, name in enumerate(names):
        is_finite = np.isfinite(values[..., number])
        if not is_finite.all():
            row = texts.gold_rows[np.argwhere(~is_finite)[0][0]]
            item = texts.table["item"][int(row)]
            raise InputError(f"{source}: {name} of item '{item}' is not finite")
    first = pa.array(np.repeat(texts.rows[""][:, 0], n_draws * n_metrics))
    copied = ["item", "variant", "group", "content_hash"]
    copied += [name for name in OPTIONAL_CLUSTER.names if name in texts.table.column_names]
    columns = {name: texts.table[name].take(first) for name in copied}
    draws = np.repeat(np.arange(n_draws), n_metrics)
    columns["draw"] = pa.array(np.tile(draws, n_items), pa.int16())
    metric = pa.DictionaryArray.from_arrays(
        pa.array(np.tile(np.arange(n_metrics, dtype=np.int32), n_items * n_draws)),
        pa.array(names, pa.string()),
    )
    columns["metric"] = metric.cast(pa.string())
    columns["value"] = pa.array(values.ravel().astype(np.float64))
    columns["weight"] = pa.array(weights.ravel().astype(np.float64))
    schema = pa.schema([*SCORES, *(field for field in OPTIONAL_CLUSTER if field.name in columns)])
    return check(pa.table({name: columns[name] for name in schema.names}, schema), SCORES, source)
