"""BabyLM's tasks under `babylm2025`, item by item, against the official rule written out anew.

The rule (sentence_zero_shot of babylm/evaluation-pipeline-2025): the whole text is tokenised once
with the tokenizer's own special tokens. A token counts if it ends behind the beginning of the
completion. Log-probs are float32 log-softmaxes and are summed. The option is torch's `max`, so the
first of equal ones.
"""

import json
from pathlib import Path

import pytest
import torch
from scipy import stats
from transformers import AutoModelForCausalLM, AutoTokenizer

from lmcore.folds.by_text import COLUMNS, text_stats
from lmcore.folds.fold import fold
from lmcore.folds.metrics import suite_metrics
from lmcore.suites.build import build_suite
from tests.lmcore.scored_items import score_items

MODELS = ["adds_nothing", "adds_bos", "prefix_space", "gpt2"]
BOXES = "Box 0 contains the map, Box 1 contains the hat and the shell, Box 2 contains nothing."
RECORDS = {
    "entity_tracking": [
        {
            "numops": number % 2,
            "input_prefix": f"{BOXES} Box {number % 3} contains ",
            "options": ["the map.", "the hat and the shell.", "nothing.", "the map and the hat."],
        }
        for number in range(6)
    ],
    "comps": [
        {
            "prefix_acceptable": f"A {good}",
            "prefix_unacceptable": f"A {bad}",
            "property_phrase": phrase,
        }
        for good, bad, phrase in [
            ("beaver", "gorilla", "has a flat tail."),
            ("ship", "letter", "can sail on the sea."),
            ("ship", "ship", "is the same twice."),
        ]
    ],
    "ewok": [
        {
            "Domain": "agent-properties",
            "Context1": "The captain knows the old man.",
            "Context2": "The captain does not know the old man.",
            "Target1": target,
            "Target2": other,
        }
        for target, other in [
            ("He greets him.", "He asks who he is."),
            ("They are friends.", "They are strangers."),
            ("The same.", "The same."),
        ]
    ],
}


def texts_of(task: str, record: dict) -> list[tuple[str, str]]:
    """(what stands before the completion, the completion) of each option, the right one first."""
    if task == "entity_tracking":
        return [(record["input_prefix"], option) for option in record["options"]]
    if task == "comps":
        prefixes = record["prefix_acceptable"], record["prefix_unacceptable"]
        return [(f"{prefix} ", record["property_phrase"]) for prefix in prefixes]
    targets = record["Target1"], record["Target2"]
    return [(record["Context1"], f" {target}") for target in targets]


@torch.inference_mode()
def official(model, tokenizer, before: str, completion: str) -> float:
    """The log-prob of a completion by the official rule, in nats."""
    encoded = tokenizer(before + completion, return_offsets_mapping=True, return_tensors="pt")
    ids, spans = encoded["input_ids"][0], encoded["offset_mapping"][0]
    logprobs = model(ids[None]).logits[0, :-1].float().log_softmax(-1)
    of_targets = logprobs[torch.arange(len(ids) - 1), ids[1:]]
    return float(of_targets[spans[1:, 1] > len(before)].double().sum())


@pytest.mark.parametrize("task", RECORDS)
@pytest.mark.parametrize("name", MODELS)
def test_predictions_are_those_of_the_official_rule(name, task, model, tmp_path: Path):
    folder, records = model(name), RECORDS[task]
    lines = "\n".join(json.dumps(record) for record in records)
    (tmp_path / f"{'comps_base' if task == 'comps' else 'regular'}.jsonl").write_text(lines)
    entry = {"path": str(tmp_path), "items": len(records), "convention": "babylm2025"}
    items = build_suite(task, entry, tmp_path, tmp_path)
    texts = text_stats(items, score_items(folder, items).select(COLUMNS), "tokens")
    peer = AutoModelForCausalLM.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    by_id = {}
    for number, of_item in enumerate(texts.by_option(texts.logprob)[0]):
        row = int(texts.rows[""][number, 0])
        by_id[items["item"][row].as_py()] = of_item
    ours = [by_id[item] for item in ids_in_order(task, records)]
    for logprobs, record in zip(ours, records, strict=True):
        theirs = [official(peer, tokenizer, *text) for text in texts_of(task, record)]
        assert logprobs.tolist() == pytest.approx(theirs, abs=1e-4)
        assert int(logprobs.argmax()) == int(torch.tensor(theirs).max(0)[1])


@pytest.mark.parametrize("name", ["adds_nothing", "adds_bos", "gpt2"])
def test_wug_score_is_the_official_correlation(name, model, tmp_path: Path):
    folder, ratios = model(name), [0.1, 0.9, 0.5, 0.5, 0.3, 1.0]
    words = ["ship", "letter", "captain", "sea", "chapter", "man"]
    sentences = [(f"The {word} is {word}ity.", f"The {word} is {word}ness.") for word in words]
    lines = []
    for pair, ratio in zip(sentences, ratios):
        lines.append(json.dumps({"sentences": "\t".join(pair), "ratio": ratio}))
    (tmp_path / "wug.jsonl").write_text("\n".join(lines))
    entry = {"path": str(tmp_path), "items": 6, "convention": "babylm2025"}
    items = build_suite("wug_adj", entry, tmp_path, tmp_path)
    texts = text_stats(items, score_items(folder, items).select(COLUMNS), "tokens")
    scores = fold(
        texts, kind="graded", ties="win", top_k=10, vocab_size=400, window=128, source="tokens"
    )
    ours = suite_metrics(scores, 0.95)[0]["spearman"]
    peer = AutoModelForCausalLM.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    probabilities = []
    for pair in sentences:
        sums = [official(peer, tokenizer, "", sentence) for sentence in pair]
        # in float32, as there, the greatest would all be 1
        probabilities.append(float(torch.tensor(sums, dtype=torch.float64).softmax(0)[0]))
    assert ours == pytest.approx(stats.spearmanr(probabilities, ratios)[0], abs=1e-12)


def ids_in_order(task: str, records: list[dict]) -> list[str]:
    """The ids of the items, in the order of the records."""
    groups = {
        "entity_tracking": [f"regular_{record.get('numops')}_ops" for record in records],
        "comps": ["base"] * len(records),
        "ewok": [record.get("Domain") for record in records],
    }[task]
    ids = []
    for number, group in enumerate(groups):
        ids.append(f"{task}/{group}/{groups[:number].count(group):04d}")
    return ids
