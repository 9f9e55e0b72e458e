"""The judges of words in context at work.

A causal LM and items without their last word go in, verdicts on its guesses come out.
"""

from pathlib import Path
from typing import Literal, NamedTuple

import pyarrow as pa
import torch

from lmcore.errors import InputError
from lmcore.files import rounded, write_json
from lmcore.generating.generation import greedy_words
from lmcore.judging.context_validity import JUDGED, VALIDITY, last_sentence, summary, with_verdicts
from lmcore.judging.masked_lm import MaskedLM, pseudo_logprobs
from lmcore.judging.sentence_encoder import SentenceEncoder, word_cosines
from lmcore.machine.memory import keep_freed_memory
from lmcore.params.ranges import Count, Digits, Names, Pieces, Processes, Seed, Share
from lmcore.suites.subset import subset
from lmcore.tables import ITEMS, read, scoring_of, write


class Judges(NamedTuple):
    """Who judges words in context, and how they read."""

    masked_lm: MaskedLM
    encoder: SentenceEncoder
    suffix: str  # what the masked LM reads behind the word
    window: int  # pieces that each judge sees
    batch_size: int


def judge_context(
    model_folder: Path,
    items: Path,
    masked_lm: Path,
    encoder: Path,
    out: Path,
    metrics: Path,
    *,
    models: Names,
    limit: Count | None,
    seed: Seed,
    suffix: str,
    window: Pieces,
    pooling: Literal["mean", "first"],
    accept_quantile: Share,
    batch_size: Count,
    threads: Processes,
    digits: Digits,
) -> None:
    """Write the VALIDITY table of all `models` on the items to `out`, and summaries to `metrics`.

    The models are folders in `model_folder`, `items` is a file, and `metrics` gets one summary for
    each model. `limit` items are drawn by `seed`; None: all. The masked LM reads `suffix` behind
    the word, because it learned from text that goes on. `window` is what each judge sees, in
    pieces. Without models the table is empty.

    Raises InputError where the items are no completions, and for a quantile that is none.
    """
    if not 0 <= accept_quantile <= 1:
        raise InputError(
            f"judge_context: accept_quantile must be between 0 and 1, not {accept_quantile}"
        )
    torch.set_num_threads(threads)
    keep_freed_memory()
    judged: dict[str, list[dict]] = {}
    if models:
        item_rows, bos = _items(items, limit, seed)
        guesses = _guesses(models, model_folder, item_rows, bos)
        judges = Judges(
            MaskedLM(masked_lm),
            SentenceEncoder(encoder, pooling, window),
            suffix,
            window,
            batch_size,
        )
        for model, rows in _judged_rows(item_rows, guesses, judges).items():
            judged[model] = with_verdicts(rows, accept_quantile)
    table_rows: list[dict] = []
    for model in sorted(judged):
        table_rows += [{"model": model, **row} for row in judged[model]]
    write(pa.Table.from_pylist(table_rows, VALIDITY), VALIDITY, out)
    write_json(rounded({model: summary(rows) for model, rows in judged.items()}, digits), metrics)


def _items(path: Path, limit: int | None, seed: int) -> tuple[list[dict], str]:
    """The items to judge, in the table's order, and the suite's BOS policy."""
    table = read(path, ITEMS)
    rows = table.to_pylist()
    if any(row["option"] or row["variant"] for row in rows):
        raise InputError(
            f"{path}: its items have several options; expected a suite of kind completion"
        )
    chosen = subset(rows, path.stem, len(rows) if limit is None else limit, seed)
    return [row for row in rows if row["item"] in chosen], scoring_of(table)["bos"]


def _guesses(
    models: list[str], model_folder: Path, items: list[dict], bos: str
) -> dict[str, list[str]]:
    """The greedy word of each model for each item."""
    contexts = [item["context"] for item in items]
    return {model: greedy_words(model_folder / model, contexts, bos=bos) for model in models}


def _judged_rows(
    items: list[dict], guesses: dict[str, list[str]], judges: Judges
) -> dict[str, list[dict]]:
    """The rows of VALIDITY of each model, but for the verdicts.

    A word that several models guess, or that is the target as well, is judged once.
    """
    contexts = [item["context"] for item in items]
    targets = [item["target"] for item in items]
    swapped = targets[1:] + targets[:1]
    pairs: dict[tuple[str, str], None] = {}
    for words in (targets, swapped, *guesses.values()):
        pairs |= dict.fromkeys(zip(contexts, words, strict=True))
    judgements = dict(zip(pairs, _judge(list(pairs), judges), strict=True))
    rows: dict[str, list[dict]] = {}
    for model, guessed in guesses.items():
        rows[model] = []
        for item, guess, other in zip(items, guessed, swapped, strict=True):
            row = {**item, "prediction": guess, "swapped": other}
            for word in JUDGED:
                for way, value in judgements[item["context"], row[word]].items():
                    row[f"{word}_{way}"] = value
            rows[model].append(row)
    return rows


def _judge(pairs: list[tuple[str, str]], judges: Judges) -> list[dict[str, float]]:
    """{way: value} for each pair of a context and a word behind it."""
    in_passage = _logprobs(pairs, judges)
    in_sentence = _logprobs([(last_sentence(context), word) for context, word in pairs], judges)
    cosines = word_cosines(judges.encoder, pairs, judges.batch_size)
    values = []
    for passage, sentence, cosine in zip(in_passage, in_sentence, cosines, strict=True):
        # both are -inf for an empty word, and their difference would be NaN
        gain = 0.0 if passage == sentence else passage - sentence
        values.append({"logprob": passage, "gain": gain, "cosine": cosine})
    return values


def _logprobs(pairs: list[tuple[str, str]], judges: Judges) -> list[float]:
    """The pseudo-log-likelihood in nats of each word behind its context."""
    places = [(context, word, judges.suffix) for context, word in pairs]
    return pseudo_logprobs(
        judges.masked_lm, places, window=judges.window, batch_size=judges.batch_size
    )
