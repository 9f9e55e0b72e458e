"""`lmcore compare`: any models on any texts, which they read or continue.

The result is one folder, which is not overwritten by accident.
"""

import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from lmcore.commands.compare_texts import find_model, named_models, read_texts
from lmcore.commands.main import app
from lmcore.errors import InputError
from lmcore.files import sha256
from lmcore.models.llama import new_llama, save_model
from tests.conftest import SENTENCES
from tests.lmcore.generating.test_generation import SHAPE


@pytest.fixture(scope="module")
def root(tokenizer: Path, tmp_path_factory) -> Path:
    """Two models under data/models, and texts."""
    root = tmp_path_factory.mktemp("compare")
    for seed, name in enumerate(("first", "second")):
        save_model(
            new_llama({**SHAPE, "max_position_embeddings": 64}, tokenizer, seed),
            tokenizer,
            root / "data" / "models" / name,
        )
    (root / "texts.txt").write_text("\n".join([*SENTENCES, "", *SENTENCES[:2]]) + "\n")
    return root


def lmcore(root: Path, *arguments: str):
    return CliRunner().invoke(app, ["compare", *arguments, "--data", str(root / "data")])


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_compare_texts_writes_tables_comparison_and_page(root: Path, monkeypatch) -> None:
    monkeypatch.setenv("LMCORE_WORKERS", "1")
    texts, out = str(root / "texts.txt"), root / "out"
    result = lmcore(
        root,
        "first",
        str(root / "data/models/second"),
        "--names",
        "a,b",
        "--texts",
        texts,
        "--out",
        str(out),
        "--by",
        "token",
    )
    assert result.exit_code == 0, result.output
    compared = json.loads((out / "model_comparison.json").read_text())["texts"]
    assert compared["words"]["n_items"] == 5 and set(compared["words"]["models"]) == {"a", "b"}
    assert compared["tokens"]["a"]["b"]["n_tokens"] > 50
    page = (out / "index.html").read_text()
    assert (
        "Surprise along a passage" in page
        and "From model to model" in page
        and str(root) not in page
    )
    before = sha256(out)
    again = lmcore(root, "first", "second", "--names", "a,b", "--texts", texts, "--out", str(out))
    assert again.exit_code == 1 and sha256(out) == before
    forced = lmcore(
        root, "first", "second", "--names", "a,b", "--texts", texts, "--out", str(out), "--force"
    )
    assert forced.exit_code == 0 and sha256(out) == before


def test_compare_generated_writes_what_the_models_say(root: Path) -> None:
    out = root / "generated"
    arguments = [
        "--prompts",
        str(root / "texts.txt"),
        "--generate",
        "--max-new-tokens",
        "9",
        "--temperature",
        "0.8",
        "--seeds",
        "1,2",
    ]
    result = lmcore(root, "first", "second", *arguments, "--out", str(out))
    assert result.exit_code == 0, result.output
    assert json.loads((out / "generated.json").read_text())["first"]["sampled"]["n_texts"] == 10
    assert json.loads((out / "summaries/second.json").read_text())["texts"]["n_tokens"] > 50
    assert not (out / "model_comparison.json").exists(), "the texts are not the same"


COLUMNS = ["current_token", "next_token", "entropy", "probability_of_next_token"]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_csv_holds_the_tokens_of_each_model_and_text(root: Path, monkeypatch) -> None:
    monkeypatch.setenv("LMCORE_WORKERS", "1")
    texts, csv = root / "punctuation.txt", root / "csv"
    texts.write_text('One, two.\n"Three," she said.\n')
    arguments = ["first", "second", "--names", "a,b", "--texts", str(texts)]
    arguments += ["--out", str(root / "with_csv"), "--csv", str(csv)]
    result = lmcore(root, *arguments)
    assert result.exit_code == 0, result.output
    assert [folder.name for folder in sorted(csv.iterdir())] == ["a", "b"]
    for model in ("a", "b"):
        frames = [pd.read_csv(csv / model / f"text_0000{number}.csv") for number in range(2)]
        assert list(frames[0].columns) == COLUMNS
        assert "".join(frames[0]["next_token"]) == "One, two."
        assert "".join(frames[1]["next_token"]) == '"Three," she said.'
        assert len(pd.read_csv(csv / model / "all.csv")) == len(frames[0]) + len(frames[1])
    before = sha256(csv)
    assert lmcore(root, *arguments).exit_code == 1
    assert lmcore(root, *arguments, "--force").exit_code == 0 and sha256(csv) == before


def test_csv_of_what_models_write_has_a_file_for_each_sample(root: Path) -> None:
    csv = root / "csv_generated"
    arguments = ["--prompts", str(root / "texts.txt"), "--generate", "--max-new-tokens", "3"]
    arguments += ["--temperature", "0.8", "--seeds", "1,2", "--csv", str(csv)]
    result = lmcore(root, "first", *arguments, "--out", str(root / "generated_csv"))
    assert result.exit_code == 0, result.output
    names = [f"prompt_{item:04d}_sample_{sample}.csv" for item in range(5) for sample in range(2)]
    assert sorted(path.name for path in (csv / "first").iterdir()) == ["all.csv", *names]
    frames = [pd.read_csv(csv / "first" / name) for name in names]
    table = pd.read_parquet(root / "generated_csv/generated/first/tokens.parquet")
    assert [len(frame) for frame in frames] == table.groupby(
        ["item", "sample"], observed=True
    ).size().tolist()
    entropy = pd.concat(frames)["entropy"].astype("float32")
    assert entropy.tolist() == table["entropy"].tolist()


def test_csv_is_not_written_where_the_comparison_fails(root: Path, monkeypatch) -> None:
    monkeypatch.setenv("LMCORE_WORKERS", "1")

    def fail(*_, **__) -> None:
        raise InputError("no more")

    monkeypatch.setattr("lmcore.commands.compare_texts.statistics", fail)
    arguments = ["--prompts", str(root / "texts.txt"), "--generate", "--max-new-tokens", "3"]
    paths = ["--out", str(root / "failed"), "--csv", str(root / "failed_csv")]
    assert lmcore(root, "first", *arguments, *paths).exit_code == 1
    assert not (root / "failed").exists() and not (root / "failed_csv").exists()


@pytest.mark.parametrize(
    "arguments", [[], ["--texts", "a", "--prompts", "b"], ["--texts", "a", "--generate"]]
)
def test_compare_without_a_clear_source_is_refused(root: Path, arguments: list[str]) -> None:
    assert lmcore(root, "first", *arguments, "--out", str(root / "x")).exit_code == 1


def test_force_removes_only_what_the_command_wrote(root: Path) -> None:
    (root / "mine").mkdir()
    (root / "mine" / "thesis.tex").write_text("years of work")
    result = lmcore(
        root, "first", "--texts", str(root / "texts.txt"), "--out", str(root / "mine"), "--force"
    )
    assert result.exit_code == 1 and (root / "mine" / "thesis.tex").exists()


def test_models_are_names_folders_or_named_in_the_error(root: Path) -> None:
    models = root / "data" / "models"
    assert (
        find_model("first", models)
        == find_model(str(models / "first"), models)
        == (models / "first").resolve()
    )
    with pytest.raises(
        InputError, match=r"third: no such model; expected a name \(first, second\)"
    ):
        find_model("third", models)
    with pytest.raises(InputError, match="org/none: no such folder, and the hub does not give it"):
        find_model("org/none", models)
    with pytest.raises(InputError, match="two models are called 'first'"):
        named_models(["first", "first"], [], models)
    with pytest.raises(InputError, match="1 names for 2 models"):
        named_models(["first", "second"], ["a"], models)


def test_texts_are_lines_or_a_column(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"text": "one"}\n{"text": " "}\n{"text": "two\\nlines"}\n')
    (tmp_path / "t.txt").write_text("one\n\ntwo\n")
    (tmp_path / "t.csv").write_text("words\none\n")
    assert read_texts(tmp_path / "t.jsonl") == ["one", "two\nlines"] and read_texts(
        tmp_path / "t.txt"
    ) == ["one", "two"]
    with pytest.raises(InputError, match="no column 'text'; columns are words"):
        read_texts(tmp_path / "t.csv")


def test_texts_are_cut_at_newlines_alone_and_must_be_text(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_bytes(
        "\ufeffThe cat\u2028sat.\r\nA dog\x85ran.\n\x0c\nOne\fTwo".encode()
    )
    assert read_texts(tmp_path / "t.txt") == ["The cat\u2028sat.", "A dog\x85ran.", "One\fTwo"]
    (tmp_path / "t.jsonl").write_text('{"text": "one"}\n{"text": 2}\n')
    with pytest.raises(
        InputError, match=r"t\.jsonl: line 2: column 'text' must be text, not the number 2"
    ):
        read_texts(tmp_path / "t.jsonl")
    (tmp_path / "t.jsonl").write_text('{"text": "one"}\n{"txt": "two"}\n')
    with pytest.raises(InputError, match=r"t\.jsonl: line 2: no column 'text'; columns are txt"):
        read_texts(tmp_path / "t.jsonl")
    (tmp_path / "t.csv").write_text("text\nHello, world\n")
    with pytest.raises(InputError, match=r"t\.csv: line 2: 2 fields, but the header has 1"):
        read_texts(tmp_path / "t.csv")
