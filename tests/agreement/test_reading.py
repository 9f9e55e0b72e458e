"""The reading task under `babylm2025` against the official code, written out anew.

The rule for surprisals (reading/evaluation_functions.py of babylm/evaluation-pipeline-2025):
context and word are tokenised apart; each later piece of the word is decoded, put behind the text
before it, and both are tokenised again. The rule for scores (calculate_results_from_pred.py) is
two formulas of statsmodels.
"""

import csv
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
import torch
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer

from lmcore.folds.by_text import BOW, COLUMNS, text_stats
from lmcore.folds.fold import fold
from lmcore.folds.metrics import suite_metrics
from lmcore.suites.build import build_suite
from tests.lmcore.scored_items import score_items

TIMES = ["RTfirstfix", "RTfirstpass", "RTgopast", "RTrightbound"]
EYE_TRACKING = (
    "Subtlex_log10 + length + context_length + Subtlex_log10:length"
    " + Subtlex_log10:context_length + length:context_length"
)
SELF_PACED = (
    "Subtlex_log10 + length + context_length + prev_length + prev_pred + Subtlex_log10:length"
    " + Subtlex_log10:context_length + Subtlex_log10:prev_length + Subtlex_log10:prev_pred"
    " + length:context_length + length:prev_length + length:prev_pred"
    " + context_length:prev_length + context_length:prev_pred + prev_length:prev_pred"
)
CONTEXTS = [
    ("The captain", "looked"),
    ("The captain looked at the", "sea,"),
    ("None", "of"),
    ("He couldn't", "understand"),
    ("In this chapter the old man", "disbelievingly."),
    ("She said that it was a", "naïve"),
]
HEADER = (
    ",item,word,sent_id,context_length,Subtlex_log10,length,RTfirstfix,RTfirstpass,RTgopast,"
    "RTrightbound,self_paced_reading_time,prev_word,prev_item,prev_length"
)


@torch.inference_mode()
def official_causal(context: str, word: str, model, tokenizer) -> float:
    """get_p2, in nats; a product of float32 probabilities becomes a sum of their logs."""
    total = 0.0
    for number, token in enumerate(tokenizer(word, add_special_tokens=False)["input_ids"]):
        piece = tokenizer.decode(token)
        target = tokenizer(piece, add_special_tokens=False)["input_ids"][0] if number else token
        logits = model(**tokenizer(context, return_tensors="pt")).logits[0, -1]
        total -= math.log(torch.softmax(logits, -1)[target].item())
        context += piece
    return total


@torch.inference_mode()
def official_masked(context: str, word: str, model, tokenizer) -> float:
    """get_p2_mlm with three mask tokens, in nats."""
    total = 0.0
    for number, token in enumerate(tokenizer(word, add_special_tokens=False)["input_ids"]):
        piece = tokenizer.decode(token)
        target = tokenizer(piece, add_special_tokens=False)["input_ids"][0] if number else token
        inputs = tokenizer(context + 3 * tokenizer.mask_token, return_tensors="pt")
        ends_with_mask = inputs.input_ids[0, -1] == tokenizer.mask_token_id
        logits = model(**inputs).logits[0, -3 if ends_with_mask else -4]
        total -= math.log(torch.softmax(logits, -1)[target].item())
        context += piece
    return total


def official_scores(table: pd.DataFrame) -> tuple[list[float], float]:
    """The four scores of eye tracking, and that of self-paced reading."""
    scores = []
    for measure, formula in [(time, EYE_TRACKING) for time in TIMES] + [
        ("self_paced_reading_time", SELF_PACED)
    ]:
        names = {part for term in formula.split(" + ") for part in term.split(":")}
        rows = table[[measure, *sorted(names)]].dropna()
        baseline = smf.ols(f"{measure} ~ {formula}", data=rows).fit().rsquared
        rows = table[[measure, *sorted(names), "pred"]].dropna()
        model = smf.ols(f"{measure} ~ {formula} + pred", data=rows).fit().rsquared
        scores.append(100 * (model - baseline) / (1 - baseline))
    return scores[:4], scores[4]


def scored(folder: Path, path: Path, entry: dict):
    """The items, and {metric: values} and {metric: weights} in the order of the file."""
    items = build_suite("reading", {"path": str(path), **entry}, path.parent, path.parent)
    tokens = score_items(folder, items)
    columns = [*COLUMNS, *(name for name in BOW if name in tokens.column_names)]
    texts = text_stats(items, tokens.select(columns), "tokens")
    scores = fold(
        texts, kind="reading", ties="win", top_k=5, vocab_size=400, window=128, source="tokens"
    )
    by_metric: dict[str, list] = {}
    for row in scores.select(["metric", "value", "weight"]).to_pylist():
        by_metric.setdefault(row["metric"], []).append((row["value"], row["weight"]))
    values = {name: np.array(pairs) for name, pairs in by_metric.items()}
    return values, suite_metrics(scores, 0.95)


@pytest.fixture(scope="module")
def file_of_words(tmp_path_factory) -> Path:
    """A file like the official one: the words of CONTEXTS, and 114 repetitions of them."""
    path = tmp_path_factory.mktemp("reading") / "reading_data.csv"
    random = np.random.default_rng(0)
    with path.open("w", newline="") as file:
        file.write(HEADER + "\n")
        for number in range(120):
            context, word = CONTEXTS[number % len(CONTEXTS)]
            before, _, previous = context.rpartition(" ")
            times = random.gamma(9, 25, 5).round(3)
            row = [number, "" if context == "None" else context, word, number // 6, 1 + number % 9]
            row += [round(random.gamma(5, 2), 3), random.integers(1, 12), *times]
            row += [previous, before, len(previous)] if before else ["", "", -1]
            csv.writer(file).writerow(row)
    return path


@pytest.mark.parametrize(
    "name", ["adds_nothing", "adds_bos", "prefix_space", "words", "appends_eos", "gpt2"]
)
def test_surprisals_are_those_of_the_official_code(name, model, file_of_words):
    folder = model(name)
    values, _ = scored(folder, file_of_words, {"items": 120, "convention": "babylm2025"})
    peer = AutoModelForCausalLM.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for number, (context, word) in enumerate(CONTEXTS):
        theirs = official_causal(context, word, peer, tokenizer)
        assert values["surprisal"][number, 0] == pytest.approx(theirs, abs=1e-4), (context, word)
        before, _, previous = context.rpartition(" ")
        assert bool(values["previous_surprisal"][number, 1]) == bool(before)
        if before:
            theirs = official_causal(before, previous, peer, tokenizer)
            assert values["previous_surprisal"][number, 0] == pytest.approx(theirs, abs=1e-4)


@pytest.mark.parametrize("name", ["gpt2-a", "opt", "llama", "bert", "roberta"])
def test_trained_models_have_the_official_surprisals_and_scores(name, data):
    folder = data / "tiny_models" / name
    path = data / "babylm_eval" / "fast_eval" / "reading" / "reading_data.csv"
    values, (metrics, intervals) = scored(folder, path, {"convention": "babylm2025"})
    is_masked = name in ("bert", "roberta")
    opened = (AutoModelForMaskedLM if is_masked else AutoModelForCausalLM).from_pretrained(folder)
    tokenizer, official = AutoTokenizer.from_pretrained(folder), official_causal
    if is_masked:
        official = official_masked
    table = pd.read_csv(path, dtype={"item": str})
    table["item"] = table["item"].fillna("None")
    for number in [*range(0, len(table), 40), 320]:
        row = table.iloc[number]
        theirs = official(row["item"], row["word"], opened.eval(), tokenizer)
        assert values["surprisal"][number, 0] == pytest.approx(theirs, abs=1e-4)
        has_previous = isinstance(row["prev_item"], str)
        assert bool(values["previous_surprisal"][number, 1]) == has_previous
        if has_previous:
            theirs = official(row["prev_item"], row["prev_word"], opened, tokenizer)
            assert values["previous_surprisal"][number, 0] == pytest.approx(theirs, abs=1e-4)
    table["pred"] = values["surprisal"][:, 0]
    previous, has_previous = values["previous_surprisal"].T
    table["prev_pred"] = np.where(has_previous > 0, previous, np.nan)
    assert (table["prev_pred"].isna() == table["prev_item"].isna()).all()
    of_times, of_self_paced = official_scores(table)
    ours = ["first_fixation", "first_pass", "go_past", "right_bounded"]
    assert [metrics[measure] for measure in ours] == pytest.approx(of_times, abs=1e-6)
    assert metrics["eye_tracking"] == pytest.approx(np.mean(of_times), abs=1e-6)
    assert metrics["self_paced"] == pytest.approx(of_self_paced, abs=1e-6)
    assert intervals["eye_tracking"]["n"] == 1696
    assert intervals["eye_tracking"]["n_clusters"] == 205
