"""What docs/statistics.md says about the real benchmarks, recomputed from those in LMCORE_DATA."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from lmcore.folds.ties import settle
from lmcore.statistics.stats import random_choice_accuracy
from lmcore.text.tokenizer import load_fast

PAGE = Path(__file__).parents[3] / "docs" / "statistics.md"
VOCAB_SIZE = 16_000  # of BabyLlama's tokenizer


@pytest.fixture(scope="module")
def data() -> Path:
    folder = Path(os.environ.get("LMCORE_DATA", "nowhere"))
    if not (folder / "tokenizers" / "babyllama-16k").is_dir():
        pytest.skip("needs LMCORE_DATA, the folder of the real benchmarks and tokenizers")
    return folder


@pytest.fixture(scope="module")
def tokenizer(data: Path) -> Tokenizer:
    found = load_fast(data / "tokenizers" / "babyllama-16k")
    found.no_padding()
    found.no_truncation()
    return found


def encoded(tokenizer: Tokenizer, texts: list[str]) -> list[list[int]]:
    encodings = tokenizer.encode_batch(texts, add_special_tokens=False)
    return [encoding.ids for encoding in encodings]


def n_shared(a: list[int], b: list[int]) -> int:
    """The length of the common beginning."""
    n = 0
    while n < min(len(a), len(b)) and a[n] == b[n]:
        n += 1
    return n


def by_group(folder: Path, tokenizer: Tokenizer) -> dict[str, tuple[float, float]]:
    """{group: (accuracy of constant logits where ties win, length baseline)}, both in percent.

    There is a space before each sentence.
    """
    found = {}
    for path in sorted(folder.glob("*.jsonl")):
        rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        good = encoded(tokenizer, [f" {row['sentence_good']}" for row in rows])
        bad = encoded(tokenizer, [f" {row['sentence_bad']}" for row in rows])
        lengths = np.array([(len(a), len(b)) for a, b in zip(good, bad)])
        shared = [n_shared(a, b) for a, b in zip(good, bad)]
        gold = np.zeros(len(rows), np.int64)
        constant, _ = settle(-lengths[None].astype(float), gold, "win")  # every token costs log V
        baseline = random_choice_accuracy(
            lengths - np.array(shared)[:, None], gold, VOCAB_SIZE, "half"
        )
        found[path.stem] = (100 * float(constant.mean()), 100 * float(baseline.mean()))
    return found


def test_constant_logits_and_length_baseline_of_filtered_blimp(data, tokenizer):
    found = by_group(data / "blimp_filtered", tokenizer)
    assert len(found) == 67
    constant, length = np.mean(list(found.values()), 0)
    assert constant == pytest.approx(92.968, abs=1e-3) and length == pytest.approx(50.97, abs=5e-3)
    assert "score 93.0 on BabyLM's filtered BLiMP" in PAGE.read_text("utf-8")


def test_length_baseline_of_the_supplement_by_paradigm(data, tokenizer):
    found = by_group(data / "blimp_supplement_filtered", tokenizer)
    assert found["qa_congruence_tricky"][1] == pytest.approx(35.8, abs=0.05)
    assert found["subject_aux_inversion"][1] == pytest.approx(60.4, abs=0.05)
    assert "60.4 for *subject-auxiliary inversion*" in PAGE.read_text("utf-8")
