"""Reading times and learned words of a real tokenizer enter a BabyLM entry as they were scored."""

import csv
import json
import math
import shutil
from pathlib import Path

import pytest

from lmcore.babylm.board import scores_of
from lmcore.babylm.check import check_submission
from lmcore.babylm.collate import write_submission
from lmcore.babylm.evaluations import evaluation
from lmcore.babylm.export import subsets_by_task
from lmcore.babylm.tree import Project
from lmcore.folds.by_text import COLUMNS, text_stats
from lmcore.folds.fold import fold
from lmcore.suites.build import build_suite
from lmcore.suites.declare import TASKS
from lmcore.tables import ITEMS, SCORES, TOKENS, write
from tests.lmcore.scored_items import score_items

WORDS = {"dog": ["I saw a", "A big"], "cat": ["The"]}
KINDS = {"reading": "reading", "aoa": "completion"}


@pytest.fixture
def project(model, data: Path, tmp_path: Path) -> Project:
    """A model and its only checkpoint, which are the same."""
    for task in KINDS:
        if task not in TASKS:
            pytest.skip(f"needs the task {task}")
    folder, words = tmp_path / "data", tmp_path / "words.json"
    contexts = {word: [{"context": text} for text in texts] for word, texts in WORDS.items()}
    words.write_text(json.dumps(contexts))
    suites: dict[str, dict] = {
        "reading": {"path": str(data / "babylm_eval/full_eval/reading")},
        "aoa": {"path": str(words), "items": 3},
    }
    for name in ("mine", "chck"):
        shutil.copytree(model("gpt2"), folder / "models" / name)
    for suite, entry in suites.items():
        entry["convention"] = "babylm2025"
        items = build_suite(suite, entry, tmp_path, tmp_path)
        write(items, ITEMS, folder / "items" / f"{suite}.parquet")
        tokens = score_items(folder / "models/mine", items)
        texts = text_stats(items, tokens.select(COLUMNS), "tokens")
        scores = fold(
            texts,
            kind=KINDS[suite],
            ties="win",
            top_k=10,
            vocab_size=400,
            window=128,
            source="tokens",
        )
        for name in ("mine", "chck"):
            write(tokens, TOKENS, folder / "tokens" / name / suite / "part-00000.parquet")
            write(scores, SCORES, folder / "scores" / name / f"{suite}.parquet")
    return Project(folder, suites)


def test_reading_times_and_words_are_read_back_whole(project, data, tmp_path):
    out, chosen = tmp_path / "results", evaluation(2026)
    write_submission(project, chosen, "mine", {1_000_000: "chck"}, [1_000_000], out, aoa=0.2)
    report = check_submission(out / "mine", chosen, [1_000_000], subsets_by_task(project))
    assert report.wrong == []
    assert "main/reading: 1,726 predictions of words" in report.present
    subset = "3 predictions of 1 checkpoints; subset: 3 of 8,005 items"
    assert report.subsets == [f"main/AoA_word: {subset}"]
    content = json.loads((out / "mine/all_full_preds_and_fast_scores_causal.json").read_text())
    path = data / "babylm_eval/full_eval/reading/reading_data.csv"
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    predictions = content["reading"]["reading"]["predictions"]
    # as pandas reads the file, an empty field and the word None are missing values
    has_previous = [row["prev_item"] not in ("", "None") for row in rows]
    assert [not math.isnan(entry["prev_pred"]) for entry in predictions] == has_previous
    assert all(math.isfinite(entry["pred"]) for entry in predictions)
    ours = scores_of(project, chosen, "mine", 0, 0.95, None)
    fast = content["fast_eval_results"]["reading"][0]
    assert 100 * fast["rt"] == pytest.approx(ours["reading_eye_tracking"].official)
    assert 100 * fast["spr"] == pytest.approx(ours["reading_self_paced"].official)
    contexts = [
        (row["target_word"], row["context"]) for row in content["aoa_surprisals"]["results"]
    ]
    assert sorted(contexts) == sorted((word, text) for word in WORDS for text in WORDS[word])
