"""A project of one's own, made from this checkout."""

import pytest
from typer.testing import CliRunner

import lmcore
from lmcore.commands.main import app
from lmcore.models.llama import new_llama, save_model
from tests.lmcore.training.test_loop import SHAPE
from tests.miniature import ROOT, run
from tests.yaml_files import read_yaml

USER = ("AUTHOR_NAME", "AUTHOR_EMAIL", "COMMITTER_NAME", "COMMITTER_EMAIL")


@pytest.fixture(autouse=True)
def user(monkeypatch):
    """A user of git, and no folder of data."""
    for name in USER:
        monkeypatch.setenv(f"GIT_{name}", "t@t")
    monkeypatch.delenv("LMCORE_DATA", raising=False)


@pytest.fixture
def model(tokenizer, tmp_path):
    """A model folder of somebody else's."""
    folder = tmp_path / "theirs" / "My Model"
    save_model(new_llama(SHAPE, tokenizer, 0), tokenizer, folder)
    return folder


def init(*arguments: object):
    return CliRunner().invoke(app, ["init", *map(str, arguments)])


def refusal(*arguments: object) -> str:
    result = init(*arguments)
    assert result.exit_code == 1 and result.stdout == "" and result.stderr.count("\n") == 1
    return result.stderr


def test_init_makes_a_repository_that_dvc_reads_and_runs(model, tmp_path):
    suite = tmp_path / "agreement.csv"
    suite.write_text("good,bad\nHe reads.,He read it it.\nShe sings.,She sing.\n")
    out = tmp_path / "project"
    result = init(out, "--model", model, "--suite", suite)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines()[:2] == [
        f"cd {out}",
        f"export LMCORE_DATA={tmp_path / 'theirs'}",
    ]
    params = read_yaml(out / "params.yaml")
    ours = read_yaml(ROOT / "params.yaml")
    assert params["models"] == [*ours["models"], "my_model"]
    assert params["import_model"]["my_model"] == {
        "provider": "folder",
        "location": "My Model",
        "members": ["*.json", "*.safetensors"],
    }
    assert params["suites"]["agreement"] == {"kind": "pairs", "path": "data/suites/agreement.csv"}
    comment = "  # pairs of each paradigm"
    assert comment in (out / "params.yaml").read_text()
    assert run(out, "git", "rev-list", "--count", "HEAD").stdout == "1\n"
    assert run(out, "git", "status", "--porcelain").stdout == ""
    assert "import_model@my_model" in run(out, "dvc", "dag").stdout
    assert "extract_tokens@my_model" in run(out, "dvc", "status").stdout
    environment = {"LMCORE_DATA": str(tmp_path / "theirs"), "PYTHONPATH": str(ROOT)}
    run(out, "dvc", "repro", "import_model@my_model", **environment)
    assert (out / "data/models/my_model/source.json").exists()
    assert run(out, "lmcore", "unlock", **environment).stdout == ""


def test_init_takes_no_history_and_no_targets_that_need_what_is_not_there(tmp_path):
    assert init(tmp_path / "project").exit_code == 0
    names = {path.name for path in (tmp_path / "project").iterdir()}
    assert not names & {"dvc.lock", "code.json", "metrics", "tests", "bench", "docs", "report"}
    makefile = (tmp_path / "project/Makefile").read_text()
    assert "\nrepro: setup" in makefile and "--editable .\n" in makefile
    for word in ("pytest", "ruff", "bench", "hosts", "torture"):
        assert word not in makefile
    assert run(tmp_path / "project", "make", "--dry-run", "help").returncode == 0


def test_init_does_not_write_into_a_folder_that_holds_anything(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("mine")
    assert "is not empty" in refusal(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").unlink()
    assert "is the current folder, or above it" in refusal(".")


def test_init_from_an_installation_without_the_pipeline_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(lmcore, "__file__", str(tmp_path / "site-packages/lmcore/__init__.py"))
    line = refusal(tmp_path / "project")
    assert "which no wheel holds: clone lmcore's repository" in line
    assert not (tmp_path / "project").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n1,2\n", "columns are a, b; expected good, bad; or context, options, gold; or"),
        ("good,bad\nHe reads.,\n", "empty target"),
    ],
)
def test_init_with_a_file_that_makes_no_suite_is_refused(content, message, tmp_path):
    (tmp_path / "mine.csv").write_text(content)
    assert message in refusal(tmp_path / "project", "--suite", tmp_path / "mine.csv")
    assert not (tmp_path / "project").exists()


def test_init_with_a_name_that_is_taken_or_no_model_is_refused(model, tmp_path):
    taken = model.rename(model.with_name("SmolLM2"))
    assert "params.yaml has 'smollm2' already" in refusal(tmp_path / "p", "--model", taken)
    assert "expected a model folder, or a hub id" in refusal(tmp_path / "p", "--model", "nothing")
    (tmp_path / "empty").mkdir()
    assert "no config.json" in refusal(tmp_path / "p", "--model", tmp_path / "empty")


def test_init_with_a_hub_id_pins_it_where_the_hub_answers(tmp_path, monkeypatch):
    offline = init(tmp_path / "offline", "--model", "lab/Tiny-LM")
    assert offline.exit_code == 0 and offline.stderr.startswith("note: lab/Tiny-LM is not pinned")
    entry = read_yaml(tmp_path / "offline/params.yaml")["import_model"]["tiny_lm"]
    assert entry["location"] == "lab/Tiny-LM" and "revision" not in entry

    class Info:
        sha = "ab" * 20

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", lambda self, repo: Info)
    assert init(tmp_path / "online", "--model", "lab/Tiny-LM").exit_code == 0
    entry = read_yaml(tmp_path / "online/params.yaml")["import_model"]["tiny_lm"]
    assert entry["revision"] == "ab" * 20
