"""The CSV files of `lmcore compare --csv`, read back with pandas as a user would."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lmcore.commands.token_files import HEADER, NAMES, refuse_csv_folder, write_token_files
from lmcore.errors import InputError
from lmcore.tables import GENERATED, TOKENS, write
from tests.lmcore.token_tables import items_of, tokens_of

EXACT = {"keep_default_na": False, "dtype": {"current_token": str, "next_token": str}}
# texts of ids 0, 1, …, as a careless tokenizer might name them
ODD = ["<s>", ",", '"', "a\nb", " NA", '","', "\r\n", "1"]
ITEMS = {"text/00000": [("", "w0 w1 w2 w3")], "text/00001": [("", "w4 w5 w6")]}


def table(tmp_path: Path, draws: int = 1) -> tuple[Path, list[str]]:
    """The path of a tokens table of ITEMS and the ids of these items.

    Word n has the id n + 1, and the first word follows id 0.
    """
    items = items_of(ITEMS)
    tokens = tokens_of(items, lambda draw, before, word: -1.0 - draw, draws=draws)
    write(tokens, TOKENS, tmp_path / "tokens.parquet")
    return tmp_path / "tokens.parquet", items["item"].to_pylist()


def test_each_text_has_a_file_and_all_have_one(tmp_path: Path):
    path, items = table(tmp_path)
    write_token_files(path, ODD, items, tmp_path / "csv" / "model")
    folder = tmp_path / "csv" / "model"
    assert sorted(file.name for file in folder.iterdir()) == [
        "all.csv",
        "text_00000.csv",
        "text_00001.csv",
    ]
    first = pd.read_csv(folder / "text_00000.csv")
    assert list(first.columns) == NAMES
    assert first["current_token"].tolist() == ["<s>", ",", '"', "a\nb"]
    assert first["next_token"].tolist() == [",", '"', "a\nb", " NA"]
    assert first["probability_of_next_token"].tolist() == pytest.approx([0.36788] * 4, abs=1e-5)
    second = pd.read_csv(folder / "text_00001.csv", **EXACT)
    assert second["next_token"].tolist() == ['","', "\r\n", "1"]
    together = pd.concat([pd.read_csv(folder / "text_00000.csv", **EXACT), second])
    pd.testing.assert_frame_equal(
        pd.read_csv(folder / "all.csv", **EXACT), together.reset_index(drop=True)
    )


def test_each_draw_has_a_file_and_a_text_without_a_token_has_an_empty_one(tmp_path: Path):
    path, items = table(tmp_path, draws=2)
    write_token_files(path, ODD, [*items, "text/00002"], tmp_path / "csv")
    names = {file.stem for file in (tmp_path / "csv").iterdir()}
    numbers = [f"text_{item:05d}_draw_{draw}" for item in range(3) for draw in range(2)]
    assert names == {"all", *numbers}
    means = []
    for draw in range(2):
        frame = pd.read_csv(tmp_path / "csv" / f"text_00001_draw_{draw}.csv")
        means.append(frame["probability_of_next_token"].mean())
    assert means == pytest.approx([0.36788, 0.13534], abs=1e-5)
    assert pd.read_csv(tmp_path / "csv" / "text_00002_draw_0.csv").empty
    assert len(pd.read_csv(tmp_path / "csv" / "all.csv")) == 14
    header = (tmp_path / "csv" / "text_00000_draw_0.csv").read_text().split("\n")[0]
    assert header == HEADER == (tmp_path / "csv" / "text_00002_draw_0.csv").read_text().strip()


def test_each_sample_has_a_file(tmp_path: Path):
    """The samples of one prompt differ in `sample` alone."""
    table_of_one = tokens_of(items_of(ITEMS), lambda draw, before, word: -1.0)
    table_of_one = table_of_one.filter(pa.compute.equal(table_of_one["item"], "text/00000"))
    samples = []
    for sample in range(2):
        numbers = pa.array([sample] * len(table_of_one), pa.int16())
        entropies = pa.array([0.0] * len(table_of_one), pa.float32())
        samples.append(
            table_of_one.append_column("sample", numbers).append_column(
                "sampling_entropy", entropies
            )
        )
    path = tmp_path / "tokens.parquet"
    write(pa.concat_tables(samples), GENERATED, path)
    write_token_files(path, ODD, ["text/00000"], tmp_path / "csv")
    for sample in range(2):
        assert len(pd.read_csv(tmp_path / "csv" / f"text_00000_sample_{sample}.csv")) == 4
    assert len(pd.read_csv(tmp_path / "csv" / "all.csv")) == 8


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(texts=st.lists(st.text(), min_size=8, max_size=8))
def test_pandas_reads_back_any_token(texts: list[str], tmp_path: Path, tmp_path_factory):
    path, items = table(tmp_path)
    folder = tmp_path_factory.mktemp("csv") / "model"
    write_token_files(path, texts, items, folder)
    frame = pd.read_csv(folder / "all.csv", **EXACT)
    assert frame["next_token"].tolist() == texts[1:]


def test_a_folder_that_something_else_wrote_is_not_overwritten(tmp_path: Path):
    csv, out = tmp_path / "csv", tmp_path / "out"
    refuse_csv_folder(csv, out, False)
    path, items = table(tmp_path)
    write_token_files(path, ODD, items, csv / "model")
    with pytest.raises(InputError, match="exists already; use --force"):
        refuse_csv_folder(csv, out, False)
    refuse_csv_folder(csv, out, True)
    (csv / "model" / "mine.csv").write_text("year,count\n")
    with pytest.raises(InputError, match="is no folder that this command wrote"):
        refuse_csv_folder(csv, out, True)
    (csv / "model" / "mine.csv").unlink()
    (tmp_path / "link").symlink_to(csv, target_is_directory=True)
    with pytest.raises(InputError, match="is no folder that this command wrote"):
        refuse_csv_folder(tmp_path / "link", out, True)


@pytest.mark.parametrize("csv", ["out", "out/csv", ".", "a/../out/csv"])
def test_the_folder_must_lie_beside_that_of_the_comparison(csv: str, tmp_path: Path):
    with pytest.raises(InputError, match="must lie side by side"):
        refuse_csv_folder(tmp_path / csv, tmp_path / "out", True)
