"""The real pipeline made small.

It has the same dvc.yaml and code. Its sources are two little books; a user's own models, minimal
pairs and completions are added.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from lmcore.files import sha256
from tests.conftest import SENTENCES
from tests.lmcore.tiny_bert import save_bert
from tests.lmcore.training.test_loop import SHAPE
from tests.miniature import commit
from tests.yaml_files import read_yaml, write_yaml

ROOT = Path(__file__).parents[1]


def environment(folder: Path, **others: str) -> dict[str, str]:
    """The environment of a command in a clone.

    This Python's commands come first on the path, and LMCORE_DATA is the folder of sources beside
    the clone. `others` are further variables.
    """
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "LMCORE_DATA": str(folder.parent / "data"), **others}


def dvc(folder: Path, *arguments: str, **others: str) -> subprocess.CompletedProcess:
    """Run DVC in a clone; `others` are environment variables."""
    settings = environment(folder, **others)
    return subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env=settings,
        timeout=1800,
    )


def ran(result: subprocess.CompletedProcess) -> list[str]:
    """The stages that a `dvc repro` ran."""
    return stages_named(result.stdout)


def stages_named(printed: str) -> list[str]:
    """The stages that run according to what DVC printed."""
    return [line.split("'")[1] for line in printed.splitlines() if line.startswith("Running stage")]


def make_sources(root: Path) -> None:
    """Write `root`/data, which are the sources, and `root`/start, which every clone begins with."""
    _write_books(root / "data" / "books")
    for judge in ("masked_lm", "encoder"):
        (root / "data" / judge).mkdir()
        save_bert(root / "data" / judge)
    _copy_repository(root / "start")


def _write_books(books: Path) -> None:
    books.mkdir(parents=True)
    for name, step in (("one", 1), ("two", 2)):
        paragraphs = []
        for i in range(90):
            sentences = [SENTENCES[(i * step + j) % 3] for j in range(i % 4 + 2)]
            paragraphs.append(f"{' '.join(sentences)} It was day {i}.")
        (books / f"{name}.txt").write_text("\n\n".join(paragraphs))


def _copy_repository(start: Path) -> None:
    """Copy what git tracks or would track, without tests, documentation and results."""
    left_out = ("tests/", "metrics/", "dvc.lock", "docs/")
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for file in listed.stdout.splitlines():
        is_kept = file.endswith(
            ".gitkeep"
        )  # a folder that a stage reads where others wrote nothing
        if (ROOT / file).is_file() and (is_kept or not file.startswith(left_out)):
            target = start / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / file, target)


def small_params(data: Path) -> dict:
    """The params.yaml of the repository, with small numbers and the sources in `data`."""
    params = read_yaml(ROOT / "params.yaml")
    _set_models_and_suites(params)
    _set_sources(params, data)
    _set_training(params)
    _set_measurements(params)
    return params


def _set_models_and_suites(params: dict) -> None:
    params["models"] = ["babyllama", "dummy", "unigram", "bert"]
    params["suites"] = {
        "heldout": {"limit": 2, "seed": 0},
        "my_pairs": {"kind": "pairs", "path": "data/suites/mine.csv"},
        "my_words": {"kind": "completion", "path": "data/suites/words.csv"},
        "cloze": {"path": "data/suites/cloze.csv", "limit": 3, "seed": 0},
    }


def _set_sources(params: dict, data: Path) -> None:
    """Take the corpus, the imported models and the judges from folders in `data`."""
    params["fetch_sources"] = {"books": _source(data, "books")}
    params["import_model"] = {"bert": _source(data, "masked_lm")}
    for judge in ("masked_lm", "encoder"):
        params["fetch_judges"][judge] = _source(data, judge)


def _source(data: Path, location: str) -> dict:
    """An entry of params.yaml for a source that is a folder in `data`."""
    return {
        "provider": "folder",
        "members": ["*"],
        "location": location,
        "sha256": sha256(data / location),
    }


def _set_training(params: dict) -> None:
    params["prepare_corpus"] |= {
        "sources": ["books"],
        "document_words": 60,
        "dev_share": 0.1,
        "test_share": 0.1,
    }
    params["train_tokenizer"]["vocab_size"] = 300
    params["chunk_corpus"]["seq_len"] = 32
    params["train_model"] |= {
        "shape": {**SHAPE, "max_position_embeddings": 32},
        "epochs": 2,
        "warmup_steps": 5,
        "eval_every": 10,
        "threads": 1,
    }
    params["make_controls"]["dummy_seeds"] = [0, 1]
    params["finetune_judge"] |= {
        "steps": 2,
        "batch_size": 2,
        "seq_len": 16,
        "warmup_steps": 1,
        "accept_loss": 100.0,
        "threads": 1,
    }


def _set_measurements(params: dict) -> None:
    """Keep the work small in the stages that judge, compare, generate and explore."""
    params["judge_context"] |= {
        "models": ["babyllama"],
        "suite": "my_words",
        "limit": 2,
        "window": 32,
        "threads": 1,
    }
    params["compare_models"]["against"] = "dummy"
    params["generate_tokens"]["models"] = ["babyllama"]
    params["analyse_tokens"]["progression"] = ["babyllama"]
    params["explore_suites"]["models"] = ["babyllama"]
    params["explore_generation"] |= {"models": ["babyllama"], "max_new_tokens": 8}


def make_clone(root: Path, name: str, params: dict) -> Path:
    """The folder `root`/`name`: a git repository in which nothing has run yet.

    It holds what make_sources wrote to `root`/start, with these params.
    """
    target = shutil.copytree(root / "start", root / name)
    write_yaml(params, target / "params.yaml")
    rows = ["good,bad,group"]
    for group in "ab":
        rows += [f"He read it.,He reads it it.,{group}", f"She gave him.,She gave he.,{group}"]
    (target / "data/suites/mine.csv").write_text("\n".join(rows) + "\n")
    (target / "data/suites/words.csv").write_text(
        "context,target\nThe old man walked to the,sea\nShe gave him a,letter\n"
    )
    subprocess.run(["git", "init", "-q"], cwd=target, check=True)
    commit(target, "start")
    return target
