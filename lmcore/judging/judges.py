"""The judges of words in context at work: a causal LM and items without their last word go in, verdicts on its guesses come out."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

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
    """Write the VALIDITY table of all `models` (folders in `model_folder`) on the items file to `out`, and {model: summary} to `metrics`.

    `limit` items are drawn by `seed`, or all; the masked LM reads `suffix` behind the word, for it learned from text that goes on. `window`
    is what each judge sees, in pieces. Without models the table is empty. Raises InputError where the items are no completions, or a
    quantile is none.
    """
    if not 0 <= accept_quantile <= 1:
        raise InputError(
            f"judge_context: accept_quantile must be between 0 and 1, not {accept_quantile}"
        )
    torch.set_num_threads(threads)
    keep_freed_memory()
    judged: dict[str, list[dict]] = {}
    if models:
        rows, bos = _items(items, limit, seed)
        contexts = [row["context"] for row in rows]
        guesses = {model: greedy_words(model_folder / model, contexts, bos=bos) for model in models}
        words = [
            [row["target"] for row in rows],
            [row["target"] for row in rows[1:] + rows[:1]],
            *guesses.values(),
        ]
        pairs = list(
            dict.fromkeys(pair for column in words for pair in zip(contexts, column, strict=True))
        )
        judge, sentences = MaskedLM(masked_lm), SentenceEncoder(encoder, pooling, window)
        said = dict(
            zip(pairs, _judge(pairs, judge, sentences, suffix, window, batch_size), strict=True)
        )
        for model, guessed in guesses.items():
            judged[model] = with_verdicts(
                list(_rows(rows, guessed, words[1], said)), accept_quantile
            )
    table = pa.Table.from_pylist(
        [{"model": model, **row} for model in sorted(judged) for row in judged[model]], VALIDITY
    )
    write(table, VALIDITY, out)
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


def _rows(
    items: list[dict],
    guesses: list[str],
    swapped: list[str],
    said: dict[tuple[str, str], dict[str, float]],
) -> Iterator[dict]:
    """The rows of VALIDITY but for the verdicts."""
    for item, guess, other in zip(items, guesses, swapped, strict=True):
        words = {"target": item["target"], "prediction": guess, "swapped": other}
        yield {**item, **words} | {
            f"{name}_{way}": value
            for name in JUDGED
            for way, value in said[item["context"], words[name]].items()
        }


def _judge(
    pairs: list[tuple[str, str]],
    judge: MaskedLM,
    sentences: SentenceEncoder,
    suffix: str,
    window: int,
    batch_size: int,
) -> list[dict[str, float]]:
    """{way: value} for each pair of a context and a word behind it."""
    in_passage, in_sentence = (
        pseudo_logprobs(
            judge,
            [(left(context), word, suffix) for context, word in pairs],
            window=window,
            batch_size=batch_size,
        )
        for left in (str, last_sentence)
    )
    cosines = word_cosines(sentences, pairs, batch_size)
    return [
        {
            "logprob": passage,
            "gain": 0.0 if passage == sentence else passage - sentence,
            "cosine": cosine,
        }
        for passage, sentence, cosine in zip(in_passage, in_sentence, cosines, strict=True)
    ]
