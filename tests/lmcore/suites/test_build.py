import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lmcore.errors import InputError
from lmcore.suites.build import build_items, build_suite
from lmcore.suites.conventions import CONVENTIONS, convention_of
from lmcore.suites.declare import declared_subset
from lmcore.suites.kinds import identical_options, item_rows
from lmcore.suites.subset import subset
from lmcore.tables import ITEMS, read, scoring_of

PAIRS = [
    {"good": "The cat sleeps.", "bad": "The cat sleep.", "group": "agreement"},
    {"good": "A b.", "bad": "B a.", "group": "order"},
]
CHOICES = [
    {"context": "He", "options": ["runs.", "ran away."], "gold": 1},
    {"context": "She", "options": ["sings.", "sang."], "gold": 0},
]


def jsonl(path: Path, records: list[dict]) -> str:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")
    return str(path)


def own(kind: str, path: str, **more) -> pa.Table:
    return build_suite(
        "mine", {"kind": kind, "path": path, **more}, Path("sources"), Path("corpus")
    )


def test_suite_of_ones_own_is_the_same_from_csv_jsonl_and_parquet(tmp_path: Path):
    path = tmp_path / "mine.csv"
    path.write_text(
        "good,bad,group\nThe cat sleeps.,The cat sleep.,agreement\nA b.,B a.,order\n", "utf-8"
    )
    pq.write_table(pa.Table.from_pylist(PAIRS), tmp_path / "mine.parquet")
    tables = [
        own("pairs", name)
        for name in (
            str(path),
            jsonl(tmp_path / "mine.jsonl", PAIRS),
            str(tmp_path / "mine.parquet"),
        )
    ]
    assert tables[0].equals(tables[1]) and tables[0].equals(tables[2])
    first = tables[0].to_pylist()[0]
    assert (first["item"], first["group"], first["target"], first["gold"]) == (
        "mine/agreement/0000",
        "agreement",
        " The cat sleeps.",
        True,
    )


def test_suite_choices_in_csv_take_their_options_as_json(tmp_path: Path):
    (tmp_path / "c.csv").write_text(
        "context,options,gold\n"
        'He,"[""runs."", ""ran away.""]",1\n'
        'She,"[""sings."", ""sang.""]",0\n',
        "utf-8",
    )
    table = own("choices", str(tmp_path / "c.csv"))
    assert table.equals(own("choices", jsonl(tmp_path / "c.jsonl", CHOICES)))
    assert [row["gold"] for row in table.to_pylist()] == [False, True, True, False]


def test_suite_completion_and_text_keep_ids_and_add_one_space(tmp_path: Path):
    table = own(
        "completion",
        jsonl(
            tmp_path / "c.jsonl",
            [
                {"id": "a", "context": "so", "target": "it"},
                {"id": "b", "context": "so\n", "target": "it"},
            ],
        ),
    )
    assert [(row["item"], row["target"]) for row in table.to_pylist()] == [
        ("mine/a", " it"),
        ("mine/b", "it"),
    ]
    assert (
        own("text", jsonl(tmp_path / "t.jsonl", [{"text": "Once."}])).to_pylist()[0]["target"]
        == "Once."
    )


def test_suite_of_a_folder_takes_each_file_as_a_group_and_columns_by_their_names(tmp_path: Path):
    """The folder is EWoK as its users have it.

    There is a file for each domain. The right target is Target1 after Context1.
    """
    (tmp_path / "ewok").mkdir()
    for domain, n in (("social-relations", 2), ("agent-properties", 1)):
        record = {
            "Context1": "It rains.",
            "Context2": "It is dry.",
            "Target1": "Take a coat.",
            "Target2": "Take a fan.",
            "Domain": domain,
        }
        jsonl(tmp_path / "ewok" / f"{domain}.jsonl", [record] * n)
    columns = {"context": "Context1", "good": "Target1", "bad": "Target2"}
    table = own("pairs", str(tmp_path / "ewok"), columns=columns, convention="babylm2024")
    rows = [row for row in table.to_pylist() if row["gold"]]
    assert [row["item"] for row in rows] == [
        "mine/agent-properties/0000",
        "mine/social-relations/0000",
        "mine/social-relations/0001",
    ]
    assert (rows[0]["context"], rows[0]["target"], scoring_of(table)["bos"]) == (
        "It rains.",
        " Take a coat.",
        "none",
    )
    with pytest.raises(
        InputError,
        match=r"agent-properties\.jsonl: line 1 has no column 'Target3'; columns are Context1",
    ):
        own("pairs", str(tmp_path / "ewok"), columns={**columns, "bad": "Target3"})
    with pytest.raises(InputError, match="no file ending in"):
        own("pairs", str(tmp_path))


BAD = {
    "item 'mine/0000' has no 'bad'; kind pairs needs good, bad; columns are good": (
        "pairs",
        [{"good": "x"}],
    ),
    "item 'mine/0001' has 3 options, the items before it have 2": (
        "choices",
        [CHOICES[0], {"context": "x", "options": ["a", "b", "c"], "gold": 0}],
    ),
    "item 'mine/0000': gold must be the number of an option, 0 to 1, not '2'": (
        "choices",
        [{**CHOICES[0], "gold": 2}],
    ),
    "item 'mine/0000' has 1 options": ("choices", [{**CHOICES[0], "options": ["a"]}]),
    "item 'mine/0000' option 0 has an empty target": (
        "completion",
        [{"context": "x", "target": " "}],
    ),
    "item 'mine/a' occurs 2 times; ids must be unique": (
        "text",
        [{"id": "a", "text": "x"}, {"id": "a", "text": "y"}],
    ),
    "options must be a list of strings": ("choices", [{**CHOICES[0], "options": [1, 2]}]),
    "item 'mine/0000' has 3 contexts for 2 options": (
        "choices",
        [{**CHOICES[0], "context": ["a", "b", "c"]}],
    ),
    "no items": ("text", []),
}


@pytest.mark.parametrize("message", BAD)
def test_suite_bad_record_fails_in_one_line_naming_the_item(message, tmp_path: Path):
    kind, records = BAD[message]
    with pytest.raises(InputError) as error:
        own(kind, jsonl(tmp_path / "bad.jsonl", records))
    assert message in str(error.value) and "\n" not in str(error.value)


BAD_ENTRIES = {
    "unknown key 'limits'": {"kind": "pairs", "path": "x.csv", "limits": 3},
    'kind: expected pairs, choices, completion, text, graded or reading, not "triples"': {
        "kind": "triples",
        "path": "x.csv",
    },
    'unknown task "glue"; expected': {"task": "glue"},
    "scoring: unknown key 'bos'": {"kind": "pairs", "path": "x.csv", "scoring": {"bos": "none"}},
    "needs the path": {"kind": "pairs"},
    "no such file": {"kind": "pairs", "path": "nothing.csv"},
    "unknown suffix '.txt'": {"kind": "text", "path": __file__[:-3] + ".txt"},
    "suite 'mine': the key 'n' is missing": {"task": "minimal_pairs", "seed": 0},
    "no file ending in .jsonl or .parquet": {"task": "blimp"},
}


@pytest.mark.parametrize("message", BAD_ENTRIES)
def test_suite_bad_entry_fails_saying_what_was_expected(message, tmp_path: Path):
    entry = BAD_ENTRIES[message]
    if "suffix" in message:
        entry = {**entry, "path": str(tmp_path / "a.txt")}
        (tmp_path / "a.txt").write_text("x")
    with pytest.raises(InputError, match="^[^\n]*" + message.replace(".", r"\.")):
        build_suite("mine", entry, tmp_path, tmp_path)


@pytest.mark.parametrize("content", [b'{"good": "x"', b'["good"]', b"\xff\xfe"])
def test_suite_unreadable_jsonl_fails_naming_the_file(content, tmp_path: Path):
    (tmp_path / "bad.jsonl").write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.jsonl: "):
        own("pairs", str(tmp_path / "bad.jsonl"))


def test_build_suite_wrong_number_of_items_names_both(tmp_path: Path):
    (tmp_path / "blimp").mkdir()
    jsonl(
        tmp_path / "blimp" / "one.jsonl",
        [{"sentence_good": "a", "sentence_bad": "b", "UID": "one"}],
    )
    with pytest.raises(InputError, match="found 1 items, expected 67,000 as published"):
        build_suite("blimp", {}, tmp_path, tmp_path)


def blimp_of(folder: Path, n: int) -> Path:
    (folder / "blimp").mkdir()
    pairs = [{"sentence_good": f"a {i}", "sentence_bad": "b", "UID": "one"} for i in range(n)]
    jsonl(folder / "blimp" / "one.jsonl", pairs)
    return folder


def test_build_suite_takes_a_subset_that_its_entry_declares(tmp_path: Path):
    items = build_suite("blimp", {"items": 3}, blimp_of(tmp_path, 3), tmp_path)
    assert scoring_of(items)["subset_of"] == 67_000
    assert len(items) == 6


def test_build_suite_checks_the_size_of_a_declared_subset(tmp_path: Path):
    folder = blimp_of(tmp_path, 3)
    with pytest.raises(InputError, match=r"found 3 items, expected 4 as `items` says$"):
        build_suite("blimp", {"items": 4}, folder, tmp_path)
    with pytest.raises(
        InputError, match=r"expected 67,000 as published; .*; for a subset, say `items: 3`"
    ):
        build_suite("blimp", {}, folder, tmp_path)


@pytest.mark.parametrize(
    ("suite", "entry", "message"),
    [
        ("blimp", {"items": 67_001}, "items: published are 67,000, not 67,001"),
        ("heldout", {"items": 3}, "items is for a task with a published number of items"),
        ("mine", {"items": 3, "kind": "text", "path": "x"}, "items is for a task with a published"),
    ],
)
def test_build_suite_items_where_no_such_number_is_published_is_refused(
    suite, entry, message, tmp_path: Path
):
    with pytest.raises(InputError, match=message):
        build_suite(suite, entry, tmp_path, tmp_path)


def test_subset_is_called_one_by_what_is_left_of_it():
    assert declared_subset("blimp", {"items": 600}) == "subset: 600 of 67,000 items"
    assert declared_subset("blimp", {"items": 600, "limit": 9}) == "subset: 9 of 67,000 items"
    assert declared_subset("blimp", {"limit": 9}) == ""
    assert declared_subset("blimp", {"items": 67_000}) == ""
    assert declared_subset("mine", {"task": "copa", "items": 3}) == "subset: 3 of 100 items"


@pytest.mark.parametrize("task", ["lambada_standard", "lambada_openai"])
@pytest.mark.parametrize("is_file", [True, False])
def test_build_suite_lambada_of_plain_text_has_a_passage_a_line(task, is_file, tmp_path: Path):
    (tmp_path / "mine").mkdir()
    path = tmp_path / "mine/passages.txt"
    path.write_text("he saw the sea\n\nshe read the letter .\n")
    entry = {"task": task, "path": str(path if is_file else path.parent), "items": 2}
    rows = build_suite("mine", entry, tmp_path, tmp_path).to_pylist()
    assert [(row["context"], row["target"]) for row in rows] == [
        ("he saw the", " sea"),
        ("she read the letter", " ."),
    ]


def test_build_suite_foreign_files_fail_naming_the_missing_column(tmp_path: Path):
    (tmp_path / "swag").mkdir()
    jsonl(tmp_path / "swag" / "val.jsonl", [{"text": "a"}])
    with pytest.raises(
        InputError, match="a record has no 'startphrase'; these are not the files of task swag"
    ):
        build_suite("swag", {}, tmp_path, tmp_path)


def test_build_items_writes_all_suites_or_none(tmp_path: Path):
    suites = {
        "one": {"kind": "pairs", "path": jsonl(tmp_path / "p.jsonl", PAIRS)},
        "two": {"kind": "text", "path": jsonl(tmp_path / "t.jsonl", [{"text": "x"}])},
    }
    build_items(suites, tmp_path, tmp_path, tmp_path / "items")
    before = {path.name: path.read_bytes() for path in (tmp_path / "items").iterdir()}
    assert sorted(before) == ["one.parquet", "two.parquet"]
    with pytest.raises(InputError):
        build_items({**suites, "three": {"task": "glue"}}, tmp_path, tmp_path, tmp_path / "items")
    build_items(suites, tmp_path, tmp_path, tmp_path / "items")
    assert {path.name: path.read_bytes() for path in (tmp_path / "items").iterdir()} == before
    assert scoring_of(read(tmp_path / "items" / "one.parquet", ITEMS)) == {"bos": "prefix"}


def test_subset_takes_each_group_in_proportion_and_grows_by_adding():
    rows = []
    for group, n in (("a", 60), ("b", 30), ("c", 2)):
        rows += [{"item": f"s/{group}/{i}", "group": group} for i in range(n)]
    chosen = subset(rows, "s", 23, 0)
    assert Counter(item.split("/")[1] for item in chosen) == {"a": 15, "b": 7, "c": 1}
    assert chosen == subset(rows[::-1], "s", 23, 0) and chosen < subset(rows, "s", 40, 0)
    assert chosen != subset(rows, "s", 23, 1) and len(subset(rows, "s", 1000, 0)) == 92


@pytest.mark.parametrize("limit", [0, -1, 2.5, True, "all"])
def test_subset_limit_that_is_no_count_fails(limit):
    with pytest.raises(InputError, match="limit must be a whole number above 0"):
        subset([{"item": "a", "group": "a"}], "s", limit, 0)


def test_identical_options_finds_the_pairs_no_model_can_tell_apart():
    rows = item_rows(
        "pairs",
        [*PAIRS, {"good": "a", "bad": "a"}],
        suite="s",
        leading_space=True,
        ending_alone=False,
        source="x",
    )
    assert identical_options(rows) == ["s/0000"]


def test_ending_alone_adds_a_variant_without_context(tmp_path: Path):
    table = own("choices", jsonl(tmp_path / "c.jsonl", CHOICES), ending_alone=True)
    rows = [(row["variant"], row["context"], row["target"]) for row in table.to_pylist()[:2]]
    assert rows == [("", "He", " runs."), ("ending_alone", "", " runs.")]
    with pytest.raises(InputError, match="ending_alone needs kind choices and bos: prefix"):
        own("choices", str(tmp_path / "c.jsonl"), ending_alone=True, convention="lm_eval")


def test_convention_babylm2025_leaves_the_sentence_as_it_is(tmp_path: Path):
    table = own("pairs", jsonl(tmp_path / "p.jsonl", PAIRS), convention="babylm2025")
    assert table["target"][0].as_py() == "The cat sleeps." and scoring_of(table) == {
        "bos": "tokenizer"
    }


@pytest.mark.parametrize(
    ("convention", "expected"),
    [
        ("lmcore", [("so\n", "it."), ("so", " it.")]),
        ("lm_eval", [("so", "\n it."), ("so", "  it.")]),
    ],
)
def test_convention_lm_eval_adds_its_space_always_and_moves_whitespace_to_the_target(
    convention, expected, tmp_path: Path
):
    records = [
        {"context": "so\n", "options": ["it.", "x"], "gold": 0},
        {"context": "so", "options": [" it.", "x"], "gold": 0},
    ]
    table = own("choices", jsonl(tmp_path / "c.jsonl", records), convention=convention)
    assert [(row["context"], row["target"]) for row in table.to_pylist() if row["gold"]] == expected


def test_convention_ours_and_lm_eval_differ_in_ties_alone_so_that_nothing_is_scored_anew(
    tmp_path: Path,
):
    path = jsonl(tmp_path / "p.jsonl", PAIRS)
    ours, theirs = (own("pairs", path, convention=name) for name in ("lmcore", "lm_eval"))
    assert ours.equals(theirs, check_metadata=True)


def test_convention_after_a_context_follows_the_peer():
    expected = {
        "lmcore": "prefix",
        "lm_eval": "tokenizer",
        "babylm2024": "none",
        "babylm2025": "tokenizer",
    }
    assert {
        name: convention_of("s", {"convention": name})["bos_after_context"] for name in CONVENTIONS
    } == expected
    assert (
        convention_of("s", {"convention": "lm_eval", "ties": "half", "bos": "prefix"})["name"]
        == "lm_eval bos=prefix ties=half"
    )
    for entry in (
        {"convention": "helm"},
        {"ties": "draw"},
        {"bos": "eos"},
        {"leading_space": "no"},
    ):
        with pytest.raises(InputError, match="suite 's'"):
            convention_of("s", entry)


def test_convention_bos_is_decided_by_whether_items_have_a_context(tmp_path: Path):
    """EWoK consists of pairs with a context.

    Under lm-eval's conventions they are scored as texts that follow a context.
    """
    with_context = [{"context": "It rains.", "good": "Take a coat.", "bad": "Take a fan."}]
    for convention, alone, after in (
        ("lm_eval", "prefix", "tokenizer"),
        ("babylm2024", "prefix", "none"),
        ("lmcore", "prefix", "prefix"),
    ):
        path = jsonl(tmp_path / "p.jsonl", PAIRS)
        assert scoring_of(own("pairs", path, convention=convention)) == {"bos": alone}
        assert scoring_of(
            own("pairs", jsonl(tmp_path / "c.jsonl", with_context), convention=convention)
        ) == {"bos": after}
    mixed = jsonl(tmp_path / "m.jsonl", [*with_context, PAIRS[1]])
    with pytest.raises(
        InputError,
        match=r"items without: 'mine/0000' \(tokenizer\) "
        r"and 'mine/order/0000' \(prefix\)",
    ):
        own("pairs", mixed, convention="lm_eval")
    assert scoring_of(own("pairs", mixed, convention="lm_eval", bos="prefix")) == {"bos": "prefix"}


def test_suite_with_clusters_has_a_column_and_without_keeps_its_bytes(tmp_path: Path):
    plain = own("pairs", jsonl(tmp_path / "plain.jsonl", PAIRS))
    assert plain.column_names == ITEMS.names
    stories = [{**record, "story": number} for number, record in zip((0, None), PAIRS)]
    path = jsonl(tmp_path / "mine.jsonl", stories)
    table = own("pairs", path, columns={"cluster": "story"})
    assert table["cluster"].to_pylist() == ["0", "0", *["mine/order/0000"] * 2], (
        "a record without a story is a cluster of its own"
    )
    assert table["content_hash"].equals(plain["content_hash"]), "its text is the same"
    assert own("pairs", path).column_names == ITEMS.names, "no column is called cluster"
    empty = jsonl(tmp_path / "empty.jsonl", [{**record, "cluster": None} for record in PAIRS])
    assert own("pairs", empty).equals(plain)
    bad = jsonl(tmp_path / "bad.jsonl", [{**record, "cluster": [1]} for record in PAIRS])
    with pytest.raises(InputError, match=r"bad\.jsonl: line 1: column 'cluster' must be text"):
        own("pairs", bad)


def test_clusters_are_written_and_read(tmp_path: Path):
    records = [{**record, "cluster": "one"} for record in PAIRS]
    suites = {"mine": {"kind": "pairs", "path": jsonl(tmp_path / "mine.jsonl", records)}}
    build_items(suites, tmp_path, tmp_path, tmp_path / "items")
    path = tmp_path / "items/mine.parquet"
    assert read(path, ITEMS)["cluster"].to_pylist() == ["one"] * 4
    assert read(path, ITEMS, ["item", "cluster"]).column_names == ["item", "cluster"]
    assert read(path, ITEMS, ["item"]).column_names == ["item"]
