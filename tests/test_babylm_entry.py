"""From a corpus to an entry for BabyLM, by the real pipeline on a small input.

A Llama is trained for 200 steps with a checkpoint after a million words, and a model of GPT-2's
shape for 20. Both are scored on every task of the year in small sets of our own, a classifier is
fine-tuned on a toy of one GLUE task, and the files are read back as the official collation does.
"""

import json
from pathlib import Path

import pytest

from lmcore.files import write_json
from tests.lmcore.babylm.entries import FILES
from tests.lmcore.classifying.toy import N_VALID, write_splits
from tests.lmcore.suites.test_build import jsonl
from tests.small_pipeline import dvc, make_clone, make_sources, ran, small_params
from tests.test_pipeline import typed

pytestmark = pytest.mark.pipeline
MODELS = ("babyllama", "gpt2")
GPT2 = {"model_type": "gpt2", "n_layer": 1, "n_embd": 16, "n_head": 2, "n_positions": 32}
OF_2026 = (
    "blimp_filtered",
    "blimp_supplement",
    "ewok_contexts",
    "entity_tracking",
    "comps",
    "blimp_fast",
    "supplement_fast",
    "ewok_contexts_fast",
    "entity_tracking_fast",
)
CONTEXTS = {"dog": ["I saw a", "There is the"], "ball": ["Look at my"]}


def entry_params(data: Path) -> dict:
    """The params of small_pipeline, with all that an entry needs."""
    params = small_params(data)
    checkpoints = {"babyllama_chck_1m": {"model": "babyllama", "words": 1_000_000}}
    gpt2 = {"seed": 0, "shape": GPT2, "steps": 20, "eval_every": 20}
    params["trained"] = {"babyllama": {"seed": 0}, "gpt2": gpt2}
    params["train_model"] |= {"epochs": None, "steps": 200, "batch_size": 750, "eval_every": 100}
    params["keep_checkpoint"] = checkpoints
    params["models"] = [*MODELS, *checkpoints]
    params["suites"] = {"heldout": {"limit": 2, "seed": 0}}
    for suite in OF_2026:
        n_items = sum(map(len, FILES[suite].values()))
        path = f"data/suites/evaluation_data/{suite}"
        entry = {"path": path, "items": n_items, "convention": "babylm2025"}
        params["suites"][suite] = entry if suite.endswith("fast") else entry | {"models": [*MODELS]}
    words = {"path": "data/suites/evaluation_data/aoa.json", "items": 3, "convention": "babylm2025"}
    params["suites"]["aoa"] = words
    params["finetune_classifier"] |= {"models": ["babyllama"], "tasks": ["rte"]}
    recipe = {"data": "data/suites/evaluation_data/glue", "lr": 0.003, "epochs": 4, "threads": 1}
    params["finetune_classifier"]["recipe"] |= recipe
    params["finetune_classifier"]["by_task"]["rte"] = {"batch_size": 8, "items": N_VALID}
    entry = {"year": 2026, "track": "strict_small", "models": [*MODELS], "words": 1_000_000}
    params["export_babylm"] = {"mine": entry}
    return params


def write_evaluation(folder: Path) -> None:
    """The small sets, in the published formats."""
    for suite in OF_2026:
        (folder / suite).mkdir(parents=True)
        for name, records in FILES[suite].items():
            jsonl(folder / suite / f"{name}.jsonl", records)
    contexts = {word: [{"context": text} for text in texts] for word, texts in CONTEXTS.items()}
    write_json(contexts, folder / "aoa.json")
    write_splits(folder / "glue")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, list[str]]:
    """The clone with the entry, and the stages that ran."""
    root = tmp_path_factory.mktemp("entry")
    make_sources(root)
    lines = [f"On day {number} the ship came home with letters." for number in range(300)]
    # with it, 200 steps read a million words
    (root / "data/books/log.txt").write_text("\n\n".join(lines))
    clone = make_clone(root, "clone", entry_params(root / "data"))
    write_evaluation(clone / "data/suites/evaluation_data")
    result = dvc(clone, "repro", "export_babylm")
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    return clone, ran(result)


def test_one_repro_goes_from_the_corpus_to_the_files(made):
    clone, stages = made
    for model in MODELS:
        assert f"train_model@{model}" in stages
        results = clone / "data/babylm/mine/results" / model
        content = json.loads((results / "all_full_preds_and_fast_scores_causal.json").read_text())
        has_classifier = model == "babyllama"
        assert ("rte" in (content["glue"] or {})) == has_classifier
        assert (f"finetune_classifier@{model}-rte" in stages) == has_classifier
        assert content["comps"] is not None
    checkpoint = clone / "data/babylm/mine/results/babyllama/chck_1M/zero_shot/causal"
    assert (checkpoint / "blimp/blimp_fast/predictions.json").is_file()
    assert stages[-1] == "export_babylm@mine"
    assert "<html" in (clone / "data/babylm/mine/leaderboard.html").read_text()


def test_the_files_are_read_back_and_what_is_missing_is_named(made):
    clone, _ = made
    validation = json.loads((clone / "data/babylm/mine/validation.json").read_text())
    for model in MODELS:
        assert validation[model]["wrong"] == []
        missing = " ".join(validation[model]["missing"])
        assert "reading" in missing and "boolq" in missing
        assert ("rte" in missing) == (model == "gpt2")
        said = typed(clone, f"lmcore check-babylm data/babylm/mine/results/{model}", status=1)
        assert "comps" in said


def test_the_models_were_scored_on_the_suites_that_name_them(made):
    clone, _ = made
    full, fast = clone / "data/tokens/babyllama", clone / "data/tokens/babyllama_chck_1m"
    assert (full / "comps").is_dir() and not (fast / "comps").exists()
    assert (full / "blimp_fast").is_dir() and (fast / "blimp_fast").is_dir()


def test_a_second_repro_runs_nothing(made):
    clone, _ = made
    assert ran(dvc(clone, "repro", "export_babylm")) == []
