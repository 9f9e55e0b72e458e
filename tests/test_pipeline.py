"""The real pipeline on a small input.

The same dvc.yaml runs in a clone, again there, and after edits that users make. `lmcore verify`
runs it in another clone, with other numbers of threads and processes.
"""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from lmcore.files import sha256
from lmcore.history.revisions import METRICS, SCORES, Revision
from tests.miniature import commit
from tests.small_pipeline import (
    ROOT,
    dvc,
    environment,
    make_clone,
    make_sources,
    ran,
    small_params,
    stages_named,
)
from tests.yaml_files import read_yaml, write_yaml

pytestmark = pytest.mark.pipeline
USER = ("NAME", "EMAIL")  # that git wants to know of who commits
OF_THE_SHAPE = {  # the stages that run after a change of the trained model's shape
    "train_model@babyllama",
    "make_controls",
    "extract_tokens@babyllama",
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


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A function that makes a clone with small params, in which nothing has run."""
    root = tmp_path_factory.mktemp("pipeline")
    make_sources(root)
    params = small_params(root / "data")
    return lambda name: make_clone(root, name, params)


def threads(number: int) -> dict[str, str]:
    """The environment in which this many threads compute, and this many processes score."""
    names = (
        "LMCORE_WORKERS",
        "OMP_NUM_THREADS",
        "MKL_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "RAYON_NUM_THREADS",
    )
    return dict.fromkeys(names, str(number))


@pytest.fixture(scope="module")
def first(clone) -> Path:
    """A clone in which the pipeline has run on one thread."""
    folder = clone("first")
    result = dvc(folder, "repro", **threads(1))
    assert result.returncode == 0, result.stderr[-2000:]
    commit(folder, "results")
    return folder


def test_repro_gives_metrics_of_every_model_and_a_report(first):
    metrics = {
        path.stem: json.loads(path.read_text()) for path in (first / "metrics/models").iterdir()
    }
    assert set(metrics) == {"babyllama", "dummy", "unigram", "bert"}
    for suites in metrics.values():
        assert set(suites) == {"heldout", "my_pairs", "my_words", "cloze"}
    trained, random = metrics["babyllama"]["heldout"], metrics["dummy"]["heldout"]
    assert trained["perplexity"] < random["perplexity"]
    assert "<html" in (first / "report/index.html").read_text()


def test_repro_calls_what_a_masked_model_says_by_names_of_its_own(first):
    suites = json.loads((first / "metrics/models/bert.json").read_text())
    assert "pseudo_bits_per_byte" in suites["heldout"]
    assert "accuracy" in suites["my_pairs"]
    assert "accuracy" in suites["cloze"]
    for metrics in suites.values():
        assert not {"perplexity", "bits_per_byte", "target_logprob"} & set(metrics)
    compared = json.loads((first / "metrics/comparisons.json").read_text())["bert_vs_dummy"]
    assert "my_pairs" in compared
    assert "heldout" not in compared
    assert "pseudo-bits per byte" in (first / "report/index.html").read_text()


def test_repro_again_runs_nothing(first):
    assert ran(dvc(first, "repro")) == []


@pytest.fixture
def own(first, request) -> Path:
    """A copy of the first clone that one test may change."""
    return shutil.copytree(first, first.with_name(request.node.name), symlinks=True)


def test_repro_after_a_comment_runs_fingerprint_code_alone(own):
    path = own / "lmcore/training/loop.py"
    path.write_text(path.read_text() + "\n# a remark\n")
    assert ran(dvc(own, "repro")) == ["fingerprint_code"]


def test_extract_scores_all_models_as_repro_does(own):
    models = read_yaml(own / "params.yaml")["models"]
    assert typed(own, "lmcore extract").splitlines()[-1] == "all models were scored before"
    lock = (own / "dvc.lock").read_bytes()
    shutil.rmtree(own / "data/tokens")
    shutil.rmtree(own / "work")
    (own / "data/tokens").mkdir()
    said = typed(own, "lmcore extract --jobs 2")
    assert said.splitlines()[-1].startswith(f"{len(models)} scored: extract_tokens@")
    assert (own / "dvc.lock").read_bytes() == lock
    assert ran(dvc(own, "repro")) == []


def test_repro_with_bad_params_says_so_in_one_line_and_keeps_the_outputs(own):
    params = (own / "params.yaml").read_text()
    before = sha256(own / "data/corpus")
    (own / "params.yaml").write_text(params.replace("document_words", "document_wrds"))
    result = dvc(own, "repro")
    (own / "params.yaml").write_text(params)
    assert result.returncode != 0
    assert "error: params.yaml: prepare_corpus: unknown key 'document_wrds'" in result.stderr
    assert dvc(own, "checkout").returncode == 0
    assert sha256(own / "data/corpus") == before


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
    assert not (own / "metrics/models/unigram.json").exists()
    assert not (own / "data/tokens/unigram").exists()
    suites_of_dummy = json.loads((own / "metrics/models/dummy.json").read_text())
    assert set(suites_of_dummy) == {"heldout", "my_words", "cloze"}
    assert (own / "work/leftovers/data/tokens/unigram").exists()
    subprocess.run(["git", "checkout", "-q", "params.yaml"], cwd=own, check=True)
    assert dvc(own, "repro").returncode == 0
    assert subprocess.run(["git", "diff", "--quiet"], cwd=own).returncode == 0


def of_another_processor(folder: Path) -> None:
    """Commit the results as if another processor had made them: other last digits, other hashes."""
    before = Revision(folder, None)
    made = before.dvc_hash(METRICS)
    for path in (folder / METRICS).iterdir():
        metrics = json.loads(path.read_text())
        for values in metrics.values():
            for name in values.keys() & {"bits_per_byte", "pseudo_bits_per_byte"}:
                values[name] = round(values[name] + 1e-5, 5)
        path.write_text(json.dumps(metrics, indent=2, sort_keys=True) + "\n")
    lock = (folder / "dvc.lock").read_text()
    scores = next(
        out["md5"] for out in before.stages["fold_scores"]["outs"] if out["path"] == SCORES
    )
    lock = lock.replace(scores, scores.removesuffix(".dir")[::-1] + ".dir")
    lock = lock.replace(made, Revision(folder, None).dvc_hash(METRICS))
    (folder / "dvc.lock").write_text(lock)
    commit(folder, "results of another processor")


def typed(folder: Path, command: str, status: int = 0, **others: str) -> str:
    """What a line of a shell prints in a clone; its exit status must be `status`.

    `others` are environment variables.
    """
    user = {f"GIT_{role}_{what}": "t@t" for role in ("AUTHOR", "COMMITTER") for what in USER}
    done = subprocess.run(
        command,
        shell=True,
        cwd=folder,
        capture_output=True,
        text=True,
        env=environment(folder, **user, **others),
        timeout=1800,
    )
    assert done.returncode == status, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


def test_readme_change_something_runs_as_typed_in_a_fresh_clone(first):
    root = first.parent
    typed(root, f"git clone --quiet {first.name} origin")
    typed(root / "origin", "git branch --move main")
    of_another_processor(root / "origin")
    typed(root, "git clone --quiet origin fresh_as_typed")
    fresh = root / "fresh_as_typed"
    # What the run cache gives back need not run again; the tables of HEAD are not in there
    shutil.copytree(first / ".dvc" / "cache", fresh / ".dvc" / "cache", symlinks=True)
    typed(fresh, "dvc repro", **threads(1))

    text = typed(fresh, "lmcore diff HEAD --fail-on worse")
    assert "note   unpaired, so less sharp: the tables (data/scores) of A are not here" in text
    assert re.search(r"^babyllama +heldout +bits_per_byte .* no evidence", text, re.M)
    assert len(re.findall("^note ", text, re.M)) == 1

    section = (ROOT / "README.md").read_text().partition("## Change something")[2]
    printed = {}
    for line in section.split("```")[1].strip().splitlines():
        number = 2 if "lmcore verify" in line else 1
        printed[line] = typed(fresh, line, **threads(number))
    (text,) = (out for line, out in printed.items() if line.startswith("dvc exp run"))
    assert set(stages_named(text)) == OF_THE_SHAPE
    (text,) = (out for line, out in printed.items() if line.startswith("dvc metrics diff main"))
    assert "metrics/headline/babyllama.json" in text
    assert "unigram" not in text and "bert" not in text
    (text,) = (out for line, out in printed.items() if line.startswith("lmcore diff main"))
    assert "unpaired" not in text
    assert "param  train_model.shape.hidden_size: 16 → 192" in text
    assert re.search(r"^babyllama +heldout +bits_per_byte .*(better|worse|no evidence)", text, re.M)
    (text,) = (out for line, out in printed.items() if "lmcore verify" in line)
    assert re.search(r"(\d+) of \1 outputs are byte-identical", text)
