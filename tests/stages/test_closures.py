"""The modules that each stage's code can reach.

A stage reruns when code that it reaches changes, so these tests bound what an edit costs.
"""

import functools
import subprocess
import sys
from pathlib import Path

import pytest

from lmcore.history.fingerprint import closure

ROOT = Path(__file__).parents[2]
# what stages/stage.py needs
EVERY = {"cluster", "errors", "files", "machine", "params", "shown", "stage", "text_files"}
FOLDS = {"folds", "models", "statistics", "suites", "tables"}
MODELS = {"corpus", "models", "text"}
TRAINING = {*MODELS, "kept_files", "training"}
ON_CORPUS = {*TRAINING, "babylm_year"}
# {stage: what it reaches besides EVERY}: packages of lmcore, and modules directly in lmcore
ROOMS = {
    "aggregate": FOLDS,
    "analyse_acquisition": {*FOLDS, "analysis", "training"},
    "analyse_completions": {*FOLDS, "analysis", "corpus"},
    "analyse_tokens": {
        *TRAINING,
        "analysis",
        "folds",
        "statistics",
        "tables",
    },
    "build_items": {"corpus", "suites", "tables"},
    "chunk_corpus": {"corpus", "kept_files", "text"},
    "compare_models": {*FOLDS, "comparing"},
    "count_overlap": {"corpus", "tables"},
    "distill_model": ON_CORPUS,
    "explore_generation": {*MODELS, "explorations", "generating", "kept_files", "tables"},
    "explore_suites": {*FOLDS, *MODELS, "explorations", "kept_files"},
    "export_babylm": {*FOLDS, "babylm", "babylm_year", "comparing", "report"},
    "extract_tokens": {*MODELS, "kept_files", "scoring", "tables"},
    "fetch_judges": {"corpus", "kept_files"},
    "fetch_sources": {"corpus", "kept_files"},
    "finetune_classifier": {
        "babylm_year",
        "classifying",
        "kept_files",
        "models",
        "statistics",
        "suites",
        "tables",
        "training",
    },
    "finetune_judge": {*TRAINING, "judging"},
    "finetune_model": {*ON_CORPUS, "suites", "tables"},
    "fingerprint_code": {"history"},
    "fold_scores": FOLDS,
    "generate_tokens": {*MODELS, "generating", "kept_files", "tables"},
    "import_logs": {*FOLDS, "comparing", "logs"},
    "import_model": {*MODELS, "kept_files"},
    "judge_context": {*TRAINING, "generating", "judging", "suites", "tables"},
    "keep_checkpoint": {"training"},
    "make_controls": {*MODELS, "kept_files"},
    "prepare_corpus": {"corpus"},
    "train_model": ON_CORPUS,
    "train_teacher": ON_CORPUS,
    "train_tokenizer": {"corpus", "kept_files", "text"},
    "write_report": {
        *FOLDS,
        "analysis",
        "corpus",
        "figures",
        "items",
        "kept_files",
        "judging",
        "report",
        "text",
    },
}
# {module or package: the only stages that may reach it}, where an edit would make much run again
ALONE = {
    "figures/": {"write_report"},  # it needs vl-convert, which has 50 MB
    "suites/tasks/": {"build_items"},
    "suites/build": {"build_items"},
    "suites/kinds": {"build_items"},
    "suites/shots": {"build_items"},
    "scoring/": {"extract_tokens"},
    "models/load": {
        "distill_model",
        "explore_generation",
        "extract_tokens",
        "finetune_classifier",
        "finetune_judge",
        "finetune_model",
        "generate_tokens",
        "import_model",
        "judge_context",
    },
}


@functools.cache
def modules(stage: str) -> set[str]:
    """The modules of lmcore that a stage reaches, as paths in lmcore without a suffix."""
    files = {path.relative_to(ROOT) for path in closure(ROOT / f"stages/{stage}.py", ROOT)}
    paths = {file.with_suffix("").as_posix() for file in files if file.name != "__init__.py"}
    return {path.removeprefix("lmcore/") for path in paths if path.startswith("lmcore/")}


def test_every_stage_is_bounded():
    scripts = {path.stem for path in (ROOT / "stages").glob("*.py")} - {"__init__", "stage"}
    assert scripts == set(ROOMS)


@pytest.mark.parametrize("stage", ROOMS)
def test_stage_reaches_its_rooms_alone(stage):
    rooms = {module.split("/")[0] for module in modules(stage)}
    assert rooms - EVERY == ROOMS[stage] - EVERY


@pytest.mark.parametrize("place", ALONE)
def test_module_is_reached_by_these_stages_alone(place):
    reaching = set()
    for stage in ROOMS:
        if any(module.startswith(place) for module in modules(stage)):
            reaching.add(stage)
    assert reaching == ALONE[place]


@pytest.mark.parametrize("stage", ["aggregate", "compare_models", "fold_scores", "write_report"])
def test_stage_imports_no_torch(stage):
    code = f"import sys, stages.{stage}; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
