"""The tasks on small files that have the layout of each source.

They run on the real data too, if LMCORE_DATA names the folder of the real data.
"""

import json
import zipfile
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from lmcore.errors import InputError
from lmcore.suites.build import build_suite
from lmcore.suites.builders import BUILDERS
from lmcore.suites.declare import KINDS, TASKS
from lmcore.suites.kinds import OF_KIND
from lmcore.suites.tasks import (
    blimp,
    copa,
    heldout,
    hellaswag,
    lambada,
    piqa,
    swag,
    wikitext,
    winogrande,
)


def arrow(path: Path, records: list[dict]) -> None:
    table = pa.Table.from_pylist(records)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)


def test_every_task_has_a_kind_and_a_builder():
    assert {task.kind for task in TASKS.values()} == set(KINDS) == set(OF_KIND)
    assert list(BUILDERS) == list(TASKS)
    assert all(build.__doc__ for build in BUILDERS.values())


def test_blimp_group_is_the_uid_else_the_file(tmp_path: Path):
    pq.write_table(
        pa.table({"sentence_good": ["a"], "sentence_bad": ["b"], "UID": ["wh_island"]}),
        tmp_path / "x-train-00000-of-00001.parquet",
    )
    (tmp_path / "hypernym.jsonl").write_text('{"sentence_good": "c", "sentence_bad": "d"}\n')
    assert [record["group"] for record in blimp.build(tmp_path)] == ["hypernym", "wh_island"]


def test_lambada_target_is_what_follows_the_last_space(tmp_path: Path):
    (tmp_path / "lambada_test.jsonl").write_text(
        json.dumps({"text": 'He said,\n\n"Go  on,'}) + "\n"
    )
    assert lambada.openai(tmp_path) == [{"context": 'He said,\n\n"Go', "target": "  on,"}]
    (tmp_path / "plain.txt").write_text("`` go on , '' he said\n")
    assert lambada.standard(tmp_path) == [{"context": "`` go on , '' he", "target": " said"}]


def test_swag_reads_the_authors_csv(tmp_path: Path):
    (tmp_path / "val.csv").write_text(
        "startphrase,ending0,ending1,ending2,ending3,label\nHe,a,b,c,d,2\n"
    )
    assert swag.build(tmp_path) == [{"context": "He", "options": ["a", "b", "c", "d"], "gold": "2"}]


def test_hellaswag_takes_activitynet_alone(tmp_path: Path):
    record = {
        "ctx_a": "A man sits.",
        "ctx_b": "he",
        "endings": ["a", "b", "c", "d"],
        "label": "3",
        "source_id": "activitynet~v_1",
    }
    arrow(tmp_path / "data.arrow", [record, {**record, "source_id": "wikihow~1"}])
    assert hellaswag.activitynet(tmp_path, convention="lmcore") == [
        {"context": "A man sits. He", "options": ["a", "b", "c", "d"], "gold": "3"}
    ]


def test_copa_piqa_and_winogrande_are_worded_as_in_lm_eval(tmp_path: Path):
    for name in ("copa", "piqa", "winogrande"):
        (tmp_path / name).mkdir()
    arrow(
        tmp_path / "copa" / "a.arrow",
        [
            {
                "premise": "It rained.",
                "choice1": "I got wet.",
                "choice2": "I Sang.",
                "question": "effect",
                "label": 0,
            }
        ],
    )
    assert copa.build(tmp_path / "copa", convention="lmcore") == [
        {"context": "It rained therefore", "options": ["i got wet.", "i Sang."], "gold": 0}
    ]
    arrow(
        tmp_path / "piqa" / "a.arrow",
        [{"goal": "open it", "sol1": "push", "sol2": "pull", "label": 1}],
    )
    assert piqa.build(tmp_path / "piqa")[0]["context"] == "Question: open it\nAnswer:"
    arrow(
        tmp_path / "winogrande" / "a.arrow",
        [{"sentence": "Ann beat Eve so _ won.", "option1": "Ann", "option2": "Eve", "answer": "1"}],
    )
    expected = {
        "context": ["Ann beat Eve so Ann", "Ann beat Eve so Eve"],
        "options": ["won.", "won."],
        "gold": 0,
    }
    assert winogrande.build(tmp_path / "winogrande") == [expected]


def test_copa_and_hellaswag_follow_lm_eval_to_the_letter_under_its_conventions(tmp_path: Path):
    arrow(
        tmp_path / "a.arrow",
        [
            {
                "premise": "It rained.",
                "choice1": "I got wet.",
                "choice2": "I sang.",
                "question": "effect",
                "label": 0,
            }
        ],
    )
    assert copa.build(tmp_path, convention="babylm2024")[0]["options"][0] == " i got wet."
    record = {
        "ctx_a": "He  sits.",
        "ctx_b": "he",
        "endings": ["a [title] b", "b"],
        "label": "1",
        "activity_label": "Rest",
    }
    arrow(tmp_path / "a.arrow", [{**record, "source_id": "activitynet~v_1"}])
    expected = {"context": "Rest: He sits. He", "options": ["a. b", "b"], "gold": "1"}
    assert hellaswag.activitynet(tmp_path, convention="lm_eval") == [expected]


def test_heldout_items_are_the_test_documents(tmp_path: Path):
    pq.write_table(
        pa.table({"document": ["emma/1"], "group": ["emma"], "text": ["She had."]}),
        tmp_path / "test.parquet",
    )
    assert heldout.build(tmp_path) == [{"id": "emma/1", "group": "emma", "text": "She had."}]


def test_wikitext_articles_are_cut_at_first_level_headings_and_detokenised(tmp_path: Path):
    (tmp_path / "wiki.test.raw").write_text(
        " \n = One = \n \n It 's 2 @,@ 000 ( or so ) . \n = = Part = = \n x \n = Two = \n \n y \n"
    )
    first, second = wikitext.build(tmp_path)
    assert first["text"] == " = One =\n\nIt's 2,000 (or so).\n== Part ==\nx "
    assert first["words"] == 21  # lm-eval counts the empty strings at both ends
    assert second["text"].split()[:3] == ["=", "Two", "="]


def test_wikitext_reads_all_raw_files_and_refuses_one_without_a_title(tmp_path: Path):
    for name in ("a", "b"):
        (tmp_path / f"wiki.{name}.raw").write_text(f" \n = {name} = \n \n x \n")
    found = wikitext.build(tmp_path)
    assert [record["text"].split()[1] for record in found] == ["a", "b"]
    assert found[1].where == f"{tmp_path / 'wiki.b.raw'}: article 1"
    (tmp_path / "wiki.b.raw").write_text("no title\n")
    with pytest.raises(InputError, match=r"wiki\.b\.raw: no line ` = Title = `"):
        wikitext.build(tmp_path)


def test_tasks_read_texts_as_they_stand_without_the_mark_of_windows(tmp_path: Path):
    (tmp_path / "plain.txt").write_bytes("\ufeffhe\u2028said so\r\nshe sat down\n".encode())
    found = lambada.standard(tmp_path)
    assert [record["context"] + record["target"] for record in found] == [
        "he\u2028said so",
        "she sat down",
    ]
    assert found[1].where == f"{tmp_path / 'plain.txt'}: line 2"
    (tmp_path / "val.csv").write_text(
        ",startphrase,ending0,ending1,ending2,ending3,label\n0,He,a,b,c,d,2\n"
    )
    assert swag.build(tmp_path)[0]["context"] == "He"


def test_tasks_name_the_row_and_column_that_they_cannot_use(tmp_path: Path):
    copa_row = {
        "premise": "It rained.",
        "choice1": "I got wet.",
        "choice2": "",
        "question": "why",
        "label": 0,
    }
    rows = {
        "copa": (copa_row, "row 1: column 'question' must be one of cause, effect, not 'why'"),
        "piqa": (
            {"goal": "open it", "sol1": 5, "sol2": 6, "label": 1},
            "row 1: column 'sol1' must be text, not the number 5",
        ),
        "winogrande": (
            {"sentence": "a _ b", "option1": "x", "option2": "y", "answer": ""},
            "row 1: column 'answer' must be a whole number from 1 to 2, not ''",
        ),
        "sst2": (
            {"sentence": "a film", "label": -1},
            "row 1: column 'label' must be a whole number from 0 to 1, not the number -1",
        ),
    }
    for task, (row, message) in rows.items():
        (tmp_path / task).mkdir()
        arrow(tmp_path / task / "a.arrow", [row] * 872)
        with pytest.raises(InputError) as error:
            build_suite(task, {}, tmp_path, tmp_path)
        assert str(error.value) == f"{tmp_path / task / 'a.arrow'}: {message}"


FOLDERS = {
    "blimp_fast": "babylm_eval/fast_eval/blimp_fast",
    "supplement_fast": "babylm_eval/fast_eval/supplement_fast",
    "blimp_supplement": "blimp_supplement_filtered",
    "swag_partial": "swag",
    "lambada_openai": "lambada",
    "lambada_standard": "lambada",
}


@pytest.mark.parametrize(
    "suite",
    [
        "blimp",
        "blimp_filtered",
        "blimp_supplement",
        "blimp_fast",
        "supplement_fast",
        "lambada_openai",
        "lambada_standard",
        "swag_partial",
        "wikitext2",
    ],
)
def test_build_suite_real_data_has_the_published_sizes(suite, data: Path, tmp_path: Path):
    (tmp_path / suite).symlink_to(data / FOLDERS.get(suite, suite))
    items = build_suite(suite, {}, tmp_path, tmp_path)
    task = TASKS[suite]
    assert len(pc.unique(items["item"])) == task.n_items
    assert len(pc.unique(items["group"])) == (task.n_groups or 1)


@pytest.mark.parametrize("suite", ["entity_tracking", "entity_tracking_fast"])
def test_entity_tracking_has_the_published_sizes(suite, data: Path, tmp_path: Path):
    published = data / "babylm_eval/entity-tracking/entity_tracking.zip"
    part = "full_eval/entity_tracking/" if suite == "entity_tracking" else "fast_eval/"
    with zipfile.ZipFile(published) as archive:
        names = [name for name in archive.namelist() if name.startswith(part)]
        for name in names:
            content = archive.read(name, pwd=b"iamnotaLM")
            (tmp_path / Path(name).name).write_bytes(content)
    items = build_suite(suite, {"path": str(tmp_path)}, tmp_path, tmp_path)
    table = items.filter(pc.equal(items["option"], 0))
    sizes = Counter(table["group"].to_pylist())
    assert [sizes[f"regular_{n}_ops"] for n in range(6)] == [606, 607, 606, 606, 568, 159]
    if suite == "entity_tracking":
        assert [sizes[f"ambiref_{n}_ops"] for n in range(6)] == [607, 607, 604, 604, 615, 187]
        assert [sizes[f"move_contents_{n}_ops"] for n in range(6)] == [605, 606, 605, 606, 529, 156]


def test_blimp_seven_identical_pairs_are_flagged(data: Path, tmp_path: Path, capsys):
    (tmp_path / "blimp").symlink_to(data / "blimp")
    build_suite("blimp", {}, tmp_path, tmp_path)
    line = capsys.readouterr().out
    assert "7 items" in line
    assert "passive_1/0324, blimp/passive_1/0810, blimp/principle_A_case_2/0105" in line
