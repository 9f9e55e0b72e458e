"""The real pipeline made small: the same dvc.yaml and code, on two little books, somebody's model, and somebody's minimal pairs."""

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
    """What a command in a clone needs: this Python's commands first, and the sources beside the clone."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "LMCORE_DATA": str(folder.parent / "data"), **others}


def dvc(folder: Path, *arguments: str, **others: str) -> subprocess.CompletedProcess:
    settings = environment(folder, **others)
    return subprocess.run(
        ["dvc", *arguments], cwd=folder, capture_output=True, text=True, env=settings, timeout=1800
    )


def ran(result: subprocess.CompletedProcess) -> list[str]:
    """The stages that a `dvc repro` ran."""
    return [
        line.split("'")[1]
        for line in result.stdout.splitlines()
        if line.startswith("Running stage")
    ]


def make_sources(root: Path) -> None:
    """Write `root`/data (of the sources) and `root`/start (what every clone begins with)."""
    books = root / "data" / "books"
    books.mkdir(parents=True)
    for name, step in (("one", 1), ("two", 2)):
        paragraphs = []
        for i in range(90):
            sentences = [SENTENCES[(i * step + j) % 3] for j in range(i % 4 + 2)]
            paragraphs.append(f"{' '.join(sentences)} It was day {i}.")
        (books / f"{name}.txt").write_text("\n\n".join(paragraphs))
    for judge in ("masked_lm", "encoder"):
        (root / "data" / judge).mkdir()
        save_bert(root / "data" / judge)
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for file in listed.stdout.splitlines():
        if (ROOT / file).is_file() and not file.startswith(
            ("tests/", "metrics/", "dvc.lock", "docs/")
        ):
            target = root / "start" / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / file, target)


def small_params(data: Path) -> dict:
    """params.yaml of the repository with small numbers and the sources in `data`."""
    folder = {"provider": "folder", "members": ["*"]}
    params = read_yaml(ROOT / "params.yaml")
    params["models"] = ["babyllama", "dummy", "unigram", "bert"]
    params["suites"] = {
        "heldout": {"limit": 2, "seed": 0},
        "my_pairs": {"kind": "pairs", "path": "data/suites/mine.csv"},
        "my_words": {"kind": "completion", "path": "data/suites/words.csv"},
        "cloze": {"path": "data/suites/cloze.csv", "limit": 3, "seed": 0},
    }
    params["fetch_sources"] = {
        "books": {**folder, "location": "books", "sha256": sha256(data / "books")}
    }
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
    masked = {**folder, "location": "masked_lm", "sha256": sha256(data / "masked_lm")}
    params["import_model"] = {"bert": masked}
    for judge in ("masked_lm", "encoder"):
        params["fetch_judges"][judge] = {
            **folder,
            "location": judge,
            "sha256": sha256(data / judge),
        }
    params["finetune_judge"] |= {
        "steps": 2,
        "batch_size": 2,
        "seq_len": 16,
        "warmup_steps": 1,
        "accept_loss": 100.0,
        "threads": 1,
    }
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
    return params


def make_clone(root: Path, name: str, params: dict) -> Path:
    """`root`/`name`: a git repository of what make_sources wrote, with these params; nothing has run in it."""
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
