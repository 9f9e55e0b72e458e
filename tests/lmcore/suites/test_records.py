"""Data files that people write.

Every format gives the same rows. For a value that is no text there is an error of one line that
names file, line and column.
"""

import gzip
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lmcore.errors import InputError
from lmcore.suites.build import build_suite
from lmcore.suites.records import Row, read_records

ROWS = [{"good": "The cat sat.", "bad": "The cat sit."}, {"good": "NA", "bad": "null"}]
TEMPLATES = (
    'formats: {plain: {kind: plain, template: "{question}"}}\ntriggers: {code: ["def f():"]}\n'
)
STRATEGIES = (
    'strategies: {ask: {template: "{text}:", labels: {neg: bad, pos: good}}}\n'
    'content_free: ["N/A"]\n'
)


def written(folder: Path, suffix: str, rows: list[dict]) -> Path:
    """The path of a file that holds the rows, in one of the formats that have types."""
    path, buffer = folder / f"mine{suffix}", io.BytesIO()
    if suffix.startswith(".jsonl"):
        content = "".join(json.dumps(row) + "\n" for row in rows).encode()
        path.write_bytes(gzip.compress(content) if suffix.endswith(".gz") else content)
        return path
    table = pa.Table.from_pylist(rows)
    if suffix == ".parquet":
        pq.write_table(table, buffer)
    else:
        with pa.ipc.new_stream(buffer, table.schema) as writer:
            writer.write_table(table)
    path.write_bytes(buffer.getvalue())
    return path


def message(path: Path, entry: dict) -> str:
    """The error for a suite of this file, without the folder that it begins with."""
    with pytest.raises(InputError) as error:
        build_suite("mine", {**entry, "path": str(path)}, path.parent, path.parent)
    assert "\n" not in str(error.value)
    return str(error.value).removeprefix(f"{path.parent}/")


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".parquet", ".arrow"])
def test_records_are_the_same_from_every_format(suffix: str, tmp_path: Path) -> None:
    found = read_records(written(tmp_path, suffix, ROWS))
    assert found == ROWS and found[1]["good"] == "NA"
    assert found[1].where.endswith(": row 2" if suffix in (".parquet", ".arrow") else ": line 2")


@pytest.mark.parametrize(("suffix", "mark"), [(".csv", ","), (".tsv", "\t")])
def test_records_of_text_tables_have_no_types_and_no_mark(
    suffix: str, mark: str, tmp_path: Path
) -> None:
    path = tmp_path / f"mine{suffix}"
    lines = [mark.join(ROWS[0].keys())]
    for row in ROWS:
        lines.append(mark.join(row.values()))
    path.write_bytes(("\ufeff" + "\r\n".join(lines)).encode())
    assert read_records(path) == ROWS and read_records(path)[1].where == f"{path}: line 3"


def test_records_of_jsonl_end_at_newlines_and_begin_behind_the_mark(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_bytes(
        '\ufeff{"text": "a\u2028b\x85"}\r\n\r\n{"text": "c"}\n'.encode()
    )
    found = read_records(tmp_path / "mine.jsonl")
    assert found == [{"text": "a\u2028b\x85"}, {"text": "c"}]
    assert found[1].where.endswith(": line 3")


BAD_LINES = {
    '{"a": NaN}': "is not JSON: NaN is not a JSON value",
    '{"a": [-Infinity]}': "is not JSON: -Infinity is not a JSON value",
    '{"a": 1, "a": 2}': "is not JSON: the key 'a' occurs twice",
    '{"a": "x"': "is not JSON: Expecting ',' delimiter at character 10",
    '["a"]': "must be a JSON object, not a list",
    "12": "must be a JSON object, not the number 12",
    '{"a": ' + "[" * 100_000: "is not JSON: it is nested too deeply",
    '{"a": ' + "1" * 5000 + "}": "is not JSON: a number has 5,000 digits",
}


@pytest.mark.parametrize("line", BAD_LINES, ids=range(len(BAD_LINES)))
def test_jsonl_line_that_is_no_object_is_named(line: str, tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text('{"a": "x"}\n\n' + line + "\n")
    with pytest.raises(InputError) as error:
        read_records(tmp_path / "mine.jsonl")
    assert f"mine.jsonl: line 3 {BAD_LINES[line]}" in str(error.value)
    assert len(str(error.value)) < 300


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    whole = {
        suffix: written(tmp_path, suffix, ROWS).read_bytes()
        for suffix in (".jsonl.gz", ".parquet", ".arrow")
    }
    contents = {
        "empty.csv": (b"", "no items; the file is empty"),
        "empty.jsonl": (b"\n", "no items; the file is empty"),
        "header.csv": (b"good,bad\n", "no items; the file is empty, or has a header alone"),
        "latin.csv": (b"good,bad\na,caf\xe9\n", "line 2: expected UTF-8, the byte 0xe9 is not"),
        "cut.jsonl.gz": (whole[".jsonl.gz"][:-9], "not a readable gzip file"),
        "no.jsonl.gz": (b"{}", "not a readable gzip file"),
        "cut.parquet": (whole[".parquet"][:-9], "not a readable parquet file"),
        "no.parquet": (b"good,bad", "not a readable parquet file"),
        "cut.arrow": (whole[".arrow"][:200], "not a readable arrow file"),
        "mine.xlsx": (
            b"PK",
            "unknown suffix '.xlsx'; expected .csv, .tsv, .jsonl, .jsonl.gz, .parquet or .arrow",
        ),
    }
    for name, (content, expected) in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError) as error:
            read_records(tmp_path / name)
        assert f"{name}: {expected}" in str(error.value) and "\n" not in str(error.value)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match=r"folder\.csv: is a folder; expected \.csv, "):
        read_records(tmp_path / "folder.csv")
    with pytest.raises(InputError, match=r"none\.tsv: no such file; expected \.csv, "):
        read_records(tmp_path / "none.tsv")


def test_parquet_columns_must_have_one_name_each_and_be_utf8(tmp_path: Path) -> None:
    pq.write_table(
        pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], ["text", "text"]),
        tmp_path / "twice.parquet",
    )
    with pytest.raises(InputError, match=r"twice\.parquet: two columns are called 'text'"):
        read_records(tmp_path / "twice.parquet")
    broken = pa.array([b"a", b"b\xff"]).view(pa.string())
    pq.write_table(pa.table({"text": broken}), tmp_path / "bytes.parquet")
    with pytest.raises(
        InputError, match=r"bytes\.parquet: row 2: column 'text': .* the byte 0xff is not"
    ):
        read_records(tmp_path / "bytes.parquet")


KINDS = {
    "pairs": {"context": "x", "good": "a", "bad": "b"},
    "choices": {"context": "x", "options": ["a", "b"], "gold": 0},
    "completion": {"context": "x", "target": "a"},
    "text": {"text": "a"},
}
TASKS = {
    "cloze": {"prompt": "x", "correct": "a", "incorrect": "b", "incorrect_2": "c"},
    "formats": {"question": "x", "answer": "a", "incorrect": "b"},
    "memorisation": {"exact": "x", "paraphrase": "y", "target": "a", "target_2": "b"},
    "prompting": {"text": "x"},
}
NO_TEXTS = [0, 42, 1.5, True, False, ["a"], "half \ud83d"]
CASES = {}
for kind, row in KINDS.items():
    for column in row:
        if column not in ("options", "gold"):
            CASES[f"{kind}-{column}"] = ({"kind": kind}, row, column)
for task, row in TASKS.items():
    for column in row:
        CASES[f"{task}-{column}"] = ({"task": task}, row, column)


@pytest.mark.parametrize(("entry", "row", "column"), list(CASES.values()), ids=list(CASES))
def test_value_that_is_no_text_is_refused_with_line_and_column(
    entry: dict, row: dict, column: str, tmp_path: Path
) -> None:
    (tmp_path / "t.yaml").write_text(TEMPLATES)
    (tmp_path / "p.yaml").write_text(STRATEGIES)
    settings = {"formats": {"templates": str(tmp_path / "t.yaml")}}
    settings["prompting"] = {
        "prompts": str(tmp_path / "p.yaml"),
        "classes": ["neg", "pos"],
        "shots": 0,
        "seed": 0,
    }
    label = {"label": "pos"} if "task" in entry and entry["task"] == "prompting" else {}
    entry = {**entry, **settings.get(entry.get("task", ""), {})}
    may_be_a_list = entry == {"kind": "choices"}  # one context for each option
    for value in NO_TEXTS:
        if may_be_a_list and isinstance(value, list):
            continue
        path = written(tmp_path, ".jsonl", [{**row, **label}, {**row, **label, column: value}])
        found = message(path, entry)
        assert found.startswith("mine.jsonl: line 2: ") and f"column '{column}'" in found
        if not isinstance(value, str):
            found = message(written(tmp_path, ".parquet", [{**row, **label, column: value}]), entry)
            assert found.startswith("mine.parquet: row 1: ") and f"column '{column}'" in found


def test_null_where_text_is_expected_is_refused_by_line(tmp_path: Path) -> None:
    for kind, row in KINDS.items():
        for column in set(row) - ({"context"} if kind == "pairs" else set()):
            path = written(tmp_path, ".jsonl", [row, {**row, column: None}])
            assert message(path, {"kind": kind}).startswith("mine.jsonl: line 2: ")


@pytest.mark.parametrize(
    "options", [["a", 1], ["a", None], ["a", "\ud83d"], "a", '["a", NaN]', '{"a": "b"}', 3]
)
def test_options_must_be_a_list_of_texts(options: object, tmp_path: Path) -> None:
    row = {"context": "x", "options": options, "gold": 0}
    assert message(written(tmp_path, ".jsonl", [row]), {"kind": "choices"}).startswith(
        "mine.jsonl: line 1: item 'mine/0000': options"
    )


@pytest.mark.parametrize("gold", [True, -1, 2, 0.5, "", "00", "one", [0], None])
def test_gold_must_be_the_number_of_an_option(gold: object, tmp_path: Path) -> None:
    found = message(
        written(tmp_path, ".jsonl", [{"context": "x", "options": ["a", "b"], "gold": gold}]),
        {"kind": "choices"},
    )
    assert found.startswith("mine.jsonl: line 1: item 'mine/0000'") and "gold" in found


def test_zero_is_a_group_and_an_id_and_null_is_none(tmp_path: Path) -> None:
    rows = [
        {"id": 0, "group": 0, "text": "a"},
        {"id": "", "group": None, "text": "b"},
        {"group": 0, "text": "c"},
    ]
    found = build_suite(
        "mine", {"kind": "text", "path": str(written(tmp_path, ".jsonl", rows))}, tmp_path, tmp_path
    ).to_pylist()
    assert {(row["item"], row["group"]) for row in found} == {
        ("mine/0", "0"),
        ("mine/0000", "all"),
        ("mine/0/0001", "0"),
    }
    for column in ("id", "group"):
        for value in (1.5, True, ["a"], {"a": 1}):
            path = written(tmp_path, ".jsonl", [{"text": "a", column: value}])
            assert message(path, {"kind": "text"}).startswith(
                f"mine.jsonl: line 1: column '{column}' must be text"
            )


def test_cloze_loses_no_wrong_answer(tmp_path: Path) -> None:
    row = {
        "prompt": "2-1 =",
        "correct": "1",
        "incorrect": "0",
        "incorrect_2": "2",
        "incorrect_3": None,
    }
    found = build_suite(
        "mine",
        {"task": "cloze", "path": str(written(tmp_path, ".jsonl", [row]))},
        tmp_path,
        tmp_path,
    )
    assert found["target"].to_pylist() == [" 1", " 0", " 2"]
    path = written(tmp_path, ".jsonl", [row, {**row, "incorrect": 0}])
    assert (
        message(path, {"task": "cloze"})
        == "mine.jsonl: line 2: column 'incorrect' must be text, not the number 0"
    )


def test_ones_own_columns_are_not_taken_for_a_tasks(tmp_path: Path) -> None:
    plain = [{"text": "a b"}]
    more = [{"text": "a b", "words": "many", "bytes": 7, "variants": {"x": {"text": 5}}}]
    tables = []
    for rows in (plain, more):
        path = written(tmp_path, ".jsonl", rows)
        tables.append(build_suite("mine", {"kind": "text", "path": str(path)}, tmp_path, tmp_path))
    assert tables[0].equals(tables[1], check_metadata=True)


def test_row_gives_text_or_says_where_there_is_none() -> None:
    row = Row(
        {"a": "x", "n": 3, "none": None, "list": ["p", "q"], "map": {"b": 1}}, "mine.csv: line 7"
    )
    assert (row["a"], row.optional("none"), row.optional("nowhere")) == ("x", "", "")
    assert (row.texts("list"), row.number("n", 1, 3)) == (["p", "q"], 3)
    for ask, expected in (
        (lambda: row["n"], "mine.csv: line 7: column 'n' must be text, not the number 3"),
        (lambda: row["b"], "mine.csv: line 7: a record has no 'b'"),
        (
            lambda: row.number("n", 0, 1),
            "mine.csv: line 7: column 'n' must be a whole number from 0 to 1, not the number 3",
        ),
        (
            lambda: row.label("list"),
            "mine.csv: line 7: column 'list' must be the number or name of a class, not a list",
        ),
        (
            lambda: row.nested("map")["b"],
            "mine.csv: line 7: column 'map': column 'b' must be text, not the number 1",
        ),
        (lambda: row.nested("a"), "mine.csv: line 7: column 'a' must be a mapping, not 'x'"),
    ):
        with pytest.raises(InputError) as error:
            ask()
        assert str(error.value) == expected
