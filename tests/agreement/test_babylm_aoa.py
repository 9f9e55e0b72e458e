"""The surprisals of the task aoa, item by item, against the official rule written out anew.

The rule (AoA_word of babylm/evaluation-pipeline-2025): the text is the context, a space and the
word, or the BOS token and the word; the tokenizer adds its own special tokens. A token counts if it
ends behind the beginning of the word.
"""

import json
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from lmcore.folds.by_text import COLUMNS, text_stats
from lmcore.folds.fold import fold
from lmcore.suites.build import build_suite
from tests.agreement.test_babylm import official
from tests.lmcore.scored_items import score_items

WORDS = {
    "letter": ["The captain wrote the", "She did not read his"],
    "sea": ["The ship is on the", "The old man looked at the"],
    "captain": ["He asked the"],
}


def surprisals(folder: Path, entry: dict, source: Path) -> dict[str, float]:
    """{item: nats} of our scores."""
    contexts = {word: [{"context": text} for text in texts] for word, texts in WORDS.items()}
    (source / "cdi_childes.json").write_text(json.dumps(contexts))
    items = build_suite("aoa", {"path": str(source), "items": 5, **entry}, source, source)
    texts = text_stats(items, score_items(folder, items).select(COLUMNS), "tokens")
    scores = fold(
        texts, kind="completion", ties="win", top_k=10, vocab_size=400, window=128, source="tokens"
    )
    rows = [row for row in scores.to_pylist() if row["metric"] == "target_logprob"]
    return {row["item"]: -row["value"] for row in rows}


@pytest.mark.parametrize("name", ["adds_nothing", "adds_bos", "gpt2"])
def test_aoa_surprisals_in_contexts_are_the_official_ones(name, model, tmp_path: Path):
    folder = model(name)
    found = surprisals(folder, {"convention": "babylm2025"}, tmp_path)
    peer = AutoModelForCausalLM.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert len(found) == 5
    for word, contexts in WORDS.items():
        for number, context in enumerate(contexts):
            expected = -official(peer, tokenizer, f"{context} ", word)
            assert found[f"aoa/{word}/{number:04d}"] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("name", ["adds_nothing", "gpt2"])
def test_aoa_surprisals_after_bos_alone_are_the_official_ones(name, model, tmp_path: Path):
    folder = model(name)
    entry = {"contexts": "none", "bos": "prefix", "leading_space": False}
    found = surprisals(folder, entry, tmp_path)
    peer = AutoModelForCausalLM.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for word, contexts in WORDS.items():
        expected = -official(peer, tokenizer, tokenizer.bos_token, word)
        for number in range(len(contexts)):
            assert found[f"aoa/{word}/{number:04d}"] == pytest.approx(expected, abs=1e-4)
