"""A repository of a few stages that write a line each.

What is edited after `dvc repro` is what `stale` must name.
"""

import json
import shutil
from pathlib import Path

import pytest

from lmcore.errors import InputError
from lmcore.history.revisions import Revision
from lmcore.history.staleness import feeding, stale
from lmcore.params import yaml_text
from tests.miniature import commit, run

SCRIPT = "from lmcore.task import LIMIT\n\nprint(LIMIT)\n"
PIPELINE = {
    "fingerprint_code": {
        "cmd": "python fingerprint.py",
        "deps": ["constraints.txt", "lmcore", "stages"],
        "outs": [{"code.json": {"cache": False}}],
    },
    "build_items": {
        "cmd": (
            "mkdir -p data/items && cp data/suites/mine.csv data/items/mine.parquet "
            "&& echo 1 > data/items/other.parquet"
        ),
        "deps": ["data/suites"],
        "params": ["suites", {"code.json": ["build_items"]}],
        "outs": ["data/items"],
    },
    "extract_tokens": {
        "matrix": {"model": "${models}", "suite": "${suites}"},
        "cmd": (
            "sh extract.sh data/items/${item.suite}.parquet data/tokens/${item.model}/${item.suite}"
        ),
        "deps": ["data/items/${item.suite}.parquet"],
        "params": ["extract_tokens", {"code.json": ["versions"]}],
        "outs": ["data/tokens/${item.model}/${item.suite}"],
    },
    "fold_scores": {
        "cmd": "mkdir -p data/scores && cat data/tokens/*/*/part > data/scores/all",
        "deps": ["data/items", "data/tokens"],
        "params": ["models", "suites", {"code.json": ["fold_scores"]}],
        "outs": ["data/scores"],
    },
    "aggregate": {
        "cmd": "cp data/scores/all metrics.json",
        "deps": ["data/scores"],
        "outs": ["metrics.json"],
    },
}
PARAMS = {
    "models": ["one", "two"],
    "suites": {"mine": {"limit": 3}, "other": None},
    "extract_tokens": {"dtype": "float32"},
}
FINGERPRINT = """import json, pathlib
from lmcore.history.fingerprint import closure_hash
root = pathlib.Path().resolve()
names = ("build_items", "fold_scores")
found = {name: closure_hash(root / "stages" / f"{name}.py", root) for name in names}
pathlib.Path("code.json").write_text(json.dumps(found | {"versions": "torch==1"}))
"""
FILES = {
    "dvc.yaml": yaml_text.dump({"stages": PIPELINE}),
    "params.yaml": yaml_text.dump(PARAMS),
    "fingerprint.py": FINGERPRINT,
    "extract.sh": "mkdir -p $2 && cp $1 $2/part\n",
    "constraints.txt": "torch==1\n",
    "lmcore/task.py": "LIMIT = 1\n",
    "stages/build_items.py": SCRIPT,
    "stages/fold_scores.py": "print(1)\n",
    "data/suites/mine.csv": "a,b\n",
    ".gitignore": "/data/items\n/data/tokens\n/data/scores\n/metrics.json\n__pycache__/\n",
    ".dvcignore": "__pycache__/\n",
}
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("staleness") / "made"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    run(root, "git", "init", "--quiet")
    run(root, "dvc", "init", "--quiet")
    run(root, "dvc", "config", "core.analytics", "false")
    run(root, "dvc", "repro", "--quiet", PYTHONPATH=str(ROOT))
    commit(root, "made")
    return root


@pytest.fixture
def repository(made, tmp_path) -> Path:
    return shutil.copytree(made, tmp_path / "repository")


def change(folder: Path, name: str, old: str, new: str) -> None:
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new))


EDITS = {
    "param of a suite": (
        "params.yaml",
        "limit: 3",
        "limit: 4",
        ["build_items", "fold_scores"],
        "suites.mine.limit",
    ),
    "param of extraction": (
        "params.yaml",
        "float32",
        "bfloat16",
        ["extract_tokens ×4"],
        "extract_tokens.dtype",
    ),
    "code that a stage imports": ("lmcore/task.py", "1", "2", ["build_items"], "its code"),
    "code of the stage": ("stages/fold_scores.py", "1", "2", ["fold_scores"], "its code"),
    "pins of libraries": ("constraints.txt", "1", "2", ["fingerprint_code"], "constraints.txt"),
    "code.json": (
        "code.json",
        "torch==1",
        "torch==2",
        ["extract_tokens ×4"],
        "the version of a library",
    ),
    "data in git": ("data/suites/mine.csv", "a,b", "a,c", ["build_items"], "data/suites"),
    "command": ("dvc.yaml", "cat data/tokens", "cat  data/tokens", ["fold_scores"], "its command"),
}


@pytest.mark.parametrize("name", EDITS)
def test_stale_names_stage_and_what_changed_in_workspace_and_commit(repository, name):
    assert stale(Revision(repository, None)) == [] == stale(Revision(repository, "HEAD"))
    path, old, new, stages, thing = EDITS[name]
    change(repository, path, old, new)
    expected = []
    for stage in stages:
        verb = "were" if "×" in stage else "was"
        expected.append(f"{stage} {verb} not rerun since {thing} changed; run `dvc repro`")
    assert stale(Revision(repository, None)) == expected
    commit(repository, "not reproduced")
    assert stale(Revision(repository, "HEAD")) == [f"{line}, commit" for line in expected]
    assert stale(Revision(repository, "HEAD~1")) == []


def test_stale_comment_and_what_scores_do_not_come_from_are_nothing(repository):
    change(repository, "lmcore/task.py", "LIMIT = 1", "LIMIT = 1  # a remark")
    change(
        repository,
        "dvc.yaml",
        "cp data/scores/all metrics.json",
        "cat data/scores/all > metrics.json",
    )
    commit(repository, "a remark")
    assert stale(Revision(repository, None)) == [] == stale(Revision(repository, "HEAD"))


def test_stale_new_suite_names_the_stages_that_never_ran(repository):
    change(repository, "params.yaml", "  other:\n", "  other:\n  new: null\n")
    found = stale(Revision(repository, None))
    assert "extract_tokens ×2 have never run, says dvc.lock; run `dvc repro`" in found
    assert "fold_scores was not rerun since suites.new changed; run `dvc repro`" in found


def test_stale_upstream_that_was_reproduced_alone_makes_what_reads_it_stale(repository):
    change(repository, "data/suites/mine.csv", "a,b", "x,y")
    run(repository, "dvc", "repro", "--quiet", "--single-item", "build_items")
    commit(repository, "items alone")
    for revision, remedy in (
        (Revision(repository, None), ""),
        (Revision(repository, "HEAD"), ", commit"),
    ):
        assert stale(revision) == [
            "extract_tokens ×2 were not rerun since data/items/mine.parquet changed; "
            f"run `dvc repro`{remedy}",
            f"fold_scores was not rerun since data/items changed; run `dvc repro`{remedy}",
        ]
    run(repository, "dvc", "repro", "--quiet", "extract_tokens", PYTHONPATH=str(ROOT))
    commit(repository, "tokens, too")
    assert f"fold_scores was not rerun since data/tokens changed; run `dvc repro`{remedy}" in stale(
        Revision(repository, "HEAD")
    )


def test_stale_data_in_the_workspace_that_no_stage_made(repository):
    (repository / "data/tokens/one/mine/part").unlink()
    (repository / "data/tokens/one/mine/part").write_text("by hand\n")
    assert stale(Revision(repository, None)) == [
        "fold_scores was not rerun since data/tokens changed; run `dvc repro`"
    ]
    run(repository, "dvc", "checkout", "--quiet", "--force")
    (repository / "data/scores/all").unlink()
    (repository / "data/scores/all").write_text("by hand\n")
    assert stale(Revision(repository, None)) == [
        "fold_scores made another data/scores than lies there; run `dvc repro`"
    ]
    assert stale(Revision(repository, "HEAD")) == []


def test_stale_in_a_clone_without_data_goes_by_dvc_lock(repository):
    for name in ("items", "tokens"):
        shutil.rmtree(repository / "data" / name)
    assert stale(Revision(repository, None)) == []
    change(repository, "dvc.lock", "dtype: float32", "dtype: float64")
    assert stale(Revision(repository, None)) == [
        "extract_tokens ×4 were not rerun since extract_tokens.dtype changed; run `dvc repro`"
    ]


def test_stale_says_what_cannot_be_said_without_the_cache(repository):
    shutil.rmtree(repository / ".dvc" / "cache")
    (line,) = [
        line
        for line in stale(Revision(repository, "HEAD"))
        if line.startswith("fold_scores may have run on another data/tokens")
    ]
    assert "is in neither the DVC cache nor a remote" in line


def test_stale_broken_files_are_named_in_one_line(repository):
    for name, text, message in (
        ("dvc.yaml", "stages: {x: {command: y}}\n", "dvc.yaml"),
        ("stages/fold_scores.py", "def\n", "its code cannot be read"),
        ("params.yaml", "<<<<<<< HEAD\na: 1\n", ""),
        ("dvc.lock", "<<<<<<< HEAD\nstages: {}\n", "dvc.lock"),
    ):
        before = (repository / name).read_text()
        (repository / name).write_text(text)
        with pytest.raises(InputError, match=f"workspace: .*{message}") as caught:
            stale(Revision(repository, None))
        assert "\n" not in str(caught.value), name
        (repository / name).write_text(before)


def test_feeding_follows_folders_files_and_params(made):
    assert list(feeding(Revision(made, None).pipeline)) == [
        "fingerprint_code",
        "build_items",
        "extract_tokens@one-mine",
        "extract_tokens@one-other",
        "extract_tokens@two-mine",
        "extract_tokens@two-other",
        "fold_scores",
    ]
    assert json.loads((made / "code.json").read_text())["versions"] == "torch==1"


def test_stale_metrics_count_the_stage_that_makes_them(repository):
    assert stale(Revision(repository, None), ["metrics.json"]) == []
    (repository / "metrics.json").unlink()
    (repository / "metrics.json").write_text("by hand\n")
    assert stale(Revision(repository, None)) == []
    assert stale(Revision(repository, None), ["metrics.json"]) == [
        "aggregate made another metrics.json than lies there; run `dvc repro`"
    ]


def test_stale_without_unknown_leaves_out_what_cannot_be_said(repository):
    shutil.rmtree(repository / ".dvc" / "cache")
    assert stale(Revision(repository, "HEAD"), without_unknown=True) == []
