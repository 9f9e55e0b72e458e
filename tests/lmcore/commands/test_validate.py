from pathlib import Path

import pytest
from typer.testing import CliRunner

from lmcore.commands.main import app
from lmcore.commands.validate import validate
from lmcore.errors import InputError
from lmcore.tables import ITEMS, items_table, write
from tests.lmcore.scoring.conftest import save_llama
from tests.lmcore.token_tables import items_of

ITEM = {
    "i/0": [("The cats", " annoy Tim."), ("The cats", " annoys\nTim.")],
    "i/1": [("The ca", "ts annoy Tim."), ("One", " two")],
    "i/2": [("", " same"), ("", " same")],
}


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("validate") / "models" / "small"
    save_llama(folder, max_position_embeddings=8)
    return folder


def test_validate_renders_token_boundaries_and_where_the_target_begins(model: Path):
    page = validate(items_of(ITEM), model, None)
    assert "⟨<s>⟩The|·cats‖·annoy|·Tim|." in page
    assert "  1       ⟨<s>⟩The|·cats‖·annoy|s|⏎|" in page.replace("gold ", "     ")


def test_validate_counts_what_may_surprise(model: Path):
    lines = validate(items_of(ITEM), model, None).splitlines()
    assert any(line.startswith("scored by: packed ") for line in lines)
    assert lines[:2] == ["3 items, 1 group, 2 options each, 6 texts", "bos prefix"]
    assert "texts with a token that spans the end of the context: 1: i/1 option 0" in lines
    assert "items with two identical options: 1: i/2" in lines
    longer = next(line for line in lines if line.startswith("texts longer than the 8 tokens"))
    assert longer.endswith("scored in windows: 0")


def test_validate_calls_a_subset_one(model: Path):
    items = items_of(ITEM, scoring={"subset_of": 67_000})
    assert validate(items, model, None).splitlines()[1] == "subset: 3 of 67,000 items"


def test_validate_counts_clusters(model: Path):
    rows = items_of(ITEM).drop(["content_hash"]).to_pylist()
    for row in rows:
        row["cluster"] = "cat" if row["item"] != "i/2" else "i/2"
    page = validate(items_table(rows, {"bos": "prefix"}), model, None)
    assert page.startswith("3 items, 1 group, 2 clusters, 2 options each, 6 texts")


def test_validate_names_what_is_longer_than_the_window(model: Path):
    items = items_of(
        {"i/0": [("", " The cats annoy Tim." * 4)], "i/1": [("The cats annoy Tim. " * 3, "Tim.")]}
    )
    page = validate(items, model, None)
    assert "scored in windows: 2: i/0 option 0, i/1 option 0" in page
    assert "of these, targets that are longer themselves: 1: i/0 option 0" in page


def test_validate_tokenizer_without_a_model_knows_no_window(model: Path, tmp_path: Path):
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((model / name).read_bytes())
    page = validate(items_of(ITEM), tmp_path, None)
    assert "windows: unknown without a model" in page and "vocabulary of 300" in page


def test_validate_without_a_prefix_says_which_first_tokens_go_unscored(model: Path):
    rows = (
        items_of({"i/0": [("", "The cats")], "i/1": [("The", " cats")]})
        .drop_columns(["content_hash"])
        .to_pylist()
    )
    page = validate(items_table(rows, {"bos": "none"}), model, None)
    assert "for nothing precedes it: 1: i/0 option 0" in page


def test_validate_counts_items_of_the_training_text(model: Path, corpus: Path):
    items = items_of(
        {
            "i/0": [("The old man walked", " to the sea and looked at the ships.")],
            "i/1": [("", " Who should Derek hug?")],
        }
    )
    assert "items whose right text stands in the training text: 1: i/0" in validate(
        items, model, corpus
    )


def test_validate_long_contexts_and_groups_are_shortened(model: Path):
    items = items_of({f"g{n}/0": [("The cats annoy Tim. " * 40, "Tim.")] for n in range(20)})
    page = validate(items, model, None, n_shown=2)
    assert (
        "⟨<s>⟩…|" in page
        and "groups of 1 to 1 items: g0 1, g1 1, " in page
        and "and 12 more" in page
    )
    assert page.count("\n\n") == 2 and max(map(len, page.splitlines())) < 400


def test_validate_token_beyond_the_vocabulary_fails_naming_the_item(tmp_path: Path):
    save_llama(tmp_path / "m", vocab_size=280)
    with pytest.raises(
        InputError,
        match=r"item 'i/0' option 0: token 2\d\d .* is not in the model's vocabulary; "
        "its ids are below 280",
    ):
        validate(items_of(ITEM), tmp_path / "m", None)


def test_validate_command_prints_the_page_and_an_unknown_suite_in_one_line(model: Path):
    data = model.parents[1]
    write(items_of(ITEM), ITEMS, data / "items" / "mine.parquet")
    result = CliRunner().invoke(app, ["validate", "mine", "--model", "small", "--data", str(data)])
    assert result.exit_code == 0 and result.output.startswith("mine: 3 items")
    failed = CliRunner().invoke(app, ["validate", "yours", "--data", str(data)])
    assert (
        failed.exit_code == 1
        and failed.output.count("\n") == 1
        and "no such suite" in failed.output
        and "built are: mine" in failed.output
    )
