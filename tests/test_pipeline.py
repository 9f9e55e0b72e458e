"""The real pipeline on a small input: the same dvc.yaml, in two clones, twice, and after edits that users make."""

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lmcore.files import sha256
from lmcore.models.llama import new_llama, save_model
from tests.conftest import SENTENCES
from tests.lmcore.tiny_bert import save_bert
from tests.lmcore.training.test_loop import SHAPE
from tests.yaml_files import read_yaml, write_yaml

ROOT = Path(__file__).parents[1]


def dvc(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    settings = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "LMCORE_DATA": str(folder.parent / "data"),
        **environment,
    }
    return subprocess.run(["dvc", *arguments], cwd=folder, capture_output=True, text=True, env=settings, timeout=500)


def ran(result: subprocess.CompletedProcess) -> list[str]:
    """The stages that a `dvc repro` ran."""
    return [line.split("'")[1] for line in result.stdout.splitlines() if line.startswith("Running stage")]


def commit(folder: Path, message: str) -> None:
    for command in (["add", "-A"], ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", message]):
        subprocess.run(["git", *command], cwd=folder, check=True)


@pytest.fixture(scope="module")
def clone(tmp_path_factory, tokenizer):
    """A function that makes a clone with small params; its data are two books, somebody's model, and somebody's minimal pairs."""
    root = tmp_path_factory.mktemp("pipeline")
    books = root / "data" / "books"
    books.mkdir(parents=True)
    for name, step in (("one", 1), ("two", 2)):
        paragraphs = [" ".join(SENTENCES[(i * step + j) % 3] for j in range(i % 4 + 2)) + f" It was day {i}." for i in range(90)]
        (books / f"{name}.txt").write_text("\n\n".join(paragraphs))
    save_model(new_llama({**SHAPE, "max_position_embeddings": 32}, tokenizer, 7), tokenizer, root / "data" / "theirs")
    params = read_yaml(ROOT / "params.yaml")
    params["models"] = ["babyllama", "dummy", "unigram", "theirs"]
    params["suites"] = {
        "heldout": {"limit": 2, "seed": 0},
        "my_pairs": {"kind": "pairs", "path": "data/suites/mine.csv"},
        "my_words": {"kind": "completion", "path": "data/suites/words.csv"},
        "cloze": {"path": "data/suites/cloze.csv", "limit": 3, "seed": 0},
    }
    folder = {"provider": "folder", "members": ["*"]}
    params["fetch_sources"] = {"books": {**folder, "location": "books", "sha256": sha256(books)}}
    params["prepare_corpus"] |= {"sources": ["books"], "document_words": 60, "dev_share": 0.1, "test_share": 0.1}
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
    for judge in ("masked_lm", "encoder"):
        (root / "data" / judge).mkdir()
        save_bert(root / "data" / judge)
        params["fetch_judges"][judge] = {**folder, "location": judge, "sha256": sha256(root / "data" / judge)}
    params["finetune_judge"] |= {"steps": 2, "batch_size": 2, "seq_len": 16, "warmup_steps": 1, "accept_loss": 100.0, "threads": 1}
    params["judge_context"] |= {"models": ["babyllama"], "suite": "my_words", "limit": 2, "window": 32, "threads": 1}
    params["compare_models"]["against"] = "dummy"
    params["generate_tokens"]["models"] = params["analyse_tokens"]["progression"] = params["explore_suites"]["models"] = ["babyllama"]
    params["explore_generation"] |= {"models": ["babyllama"], "max_new_tokens": 8}
    params["import_model"] = {"theirs": {**folder, "location": "theirs", "sha256": sha256(root / "data" / "theirs")}}

    start = root / "start"
    tracked = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True)
    for file in tracked.stdout.splitlines():
        if (ROOT / file).is_file() and not file.startswith(("tests/", "metrics/", "dvc.lock", "docs/")):
            (start / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / file, start / file)

    def make(name: str) -> Path:
        target = shutil.copytree(start, root / name)
        write_yaml(params, target / "params.yaml")
        rows = [
            f"{good},{bad},{group}"
            for group in "ab"
            for good, bad in (("He read it.", "He reads it it."), ("She gave him.", "She gave he."))
        ]
        (target / "data/suites/mine.csv").write_text("\n".join(["good,bad,group", *rows]) + "\n")
        (target / "data/suites/words.csv").write_text("context,target\nThe old man walked to the,sea\nShe gave him a,letter\n")
        subprocess.run(["git", "init", "-q"], cwd=target, check=True)
        commit(target, "start")
        return target

    return make


@pytest.fixture(scope="module")
def both(clone):
    """Two clones in which the pipeline has run at the same time, on one thread with one scoring process, and on two with two."""
    folders = [clone("first"), clone("second")]

    def repro(number: int) -> subprocess.CompletedProcess:
        names = ("LMCORE_WORKERS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")
        return dvc(folders[number - 1], "repro", **dict.fromkeys(names, str(number)))

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(repro, (1, 2)))
    assert all(result.returncode == 0 for result in results), results[0].stderr[-2000:] + results[1].stderr[-2000:]
    commit(folders[0], "results")
    return folders


@pytest.fixture(scope="module")
def first(both):
    return both[0]


def test_repro_gives_metrics_of_every_model_and_a_report(first):
    found = {path.stem: json.loads(path.read_text()) for path in (first / "metrics/models").iterdir()}
    assert set(found) == {"babyllama", "dummy", "unigram", "theirs"}
    assert all(set(suites) == {"heldout", "my_pairs", "my_words", "cloze"} for suites in found.values())
    assert found["babyllama"]["heldout"]["perplexity"] < found["theirs"]["heldout"]["perplexity"]
    assert "<html" in (first / "report/index.html").read_text()


def test_repro_again_runs_nothing(first):
    assert ran(dvc(first, "repro")) == []


def test_repro_in_two_clones_gives_the_same_lock(both):
    first, second = both
    assert (second / "dvc.lock").read_bytes() == (first / "dvc.lock").read_bytes()


@pytest.fixture
def own(first, request) -> Path:
    """A copy of it that one test may change."""
    return shutil.copytree(first, first.with_name(request.node.name), symlinks=True)


def test_repro_after_a_comment_runs_fingerprint_code_alone(own):
    path = own / "lmcore/training/loop.py"
    path.write_text(path.read_text() + "\n# a remark\n")
    assert ran(dvc(own, "repro")) == ["fingerprint_code"]


def test_repro_after_a_training_parameter_runs_what_depends_on_it(own):
    params = read_yaml(own / "params.yaml")
    params["train_model"]["lr"] = 0.003
    write_yaml(params, own / "params.yaml")
    assert set(ran(dvc(own, "repro"))) == {
        "train_model@babyllama",
        "extract_tokens@babyllama-cloze",
        "extract_tokens@babyllama-heldout",
        "extract_tokens@babyllama-my_pairs",
        "extract_tokens@babyllama-my_words",
        "fold_scores",
        "aggregate",
        "analyse_completions",
        "judge_context",
        "compare_models",
        "analyse_tokens",
        "generate_tokens@babyllama",
        "explore_suites",
        "explore_generation",
        "write_report",
    }
    shown = dvc(own, "metrics", "diff", "--md").stdout
    assert "babyllama.json" in shown and "heldout.perplexity" in shown and "unigram" not in shown and "theirs" not in shown


def test_repro_with_bad_params_says_so_in_one_line_and_keeps_the_outputs(own):
    params = (own / "params.yaml").read_text()
    before = sha256(own / "data/corpus")
    (own / "params.yaml").write_text(params.replace("document_words", "document_wrds"))
    result = dvc(own, "repro")
    (own / "params.yaml").write_text(params)
    assert result.returncode != 0 and "error: params.yaml: prepare_corpus: unknown key 'document_wrds'" in result.stderr
    assert dvc(own, "checkout").returncode == 0 and sha256(own / "data/corpus") == before


def without(folder: Path, model: str, suite: str) -> None:
    """Take a model and a suite out of params.yaml."""
    params = read_yaml(folder / "params.yaml")
    params["models"].remove(model)
    del params["suites"][suite]
    write_yaml(params, folder / "params.yaml")


def test_repro_after_a_model_and_a_suite_left_params_is_that_of_a_fresh_clone(own):
    fresh = own.with_name("fresh")
    subprocess.run(["git", "clone", "-q", own, fresh], check=True)
    shutil.copytree(own / ".dvc" / "cache", fresh / ".dvc" / "cache")
    for folder in (own, fresh):
        without(folder, "unigram", "my_pairs")
        result = dvc(folder, "repro")
        assert result.returncode == 0, result.stderr[-2000:]
    assert (own / "dvc.lock").read_bytes() == (fresh / "dvc.lock").read_bytes()
    assert not (own / "metrics/models/unigram.json").exists() and not (own / "data/tokens/unigram").exists()
    assert set(json.loads((own / "metrics/models/dummy.json").read_text())) == {"heldout", "my_words", "cloze"}
    assert (own / "work/leftovers/data/tokens/dummy/my_pairs").exists()
    subprocess.run(["git", "checkout", "-q", "params.yaml"], cwd=own, check=True)
    assert dvc(own, "repro").returncode == 0
    assert subprocess.run(["git", "diff", "--quiet"], cwd=own).returncode == 0
