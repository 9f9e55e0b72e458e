"""Worked examples before the questions of a suite, on files whose texts say who they are."""

import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest

from lmcore.errors import InputError
from lmcore.suites.build import build_suite
from lmcore.suites.shots import draw

QUESTIONS = [
    {"context": f"question {n} is", "options": [f"a{n}", f"b{n}", f"c{n}"], "gold": n % 3}
    for n in range(30)
]
PASSAGES = [{"context": f"passage {n} ends", "target": f"end{n}"} for n in range(9)]


def own(folder: Path, records: list[dict], kind: str = "choices", **entry) -> pa.Table:
    path = folder / "mine.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")
    entry = {"kind": kind, "path": str(path), **entry}
    return build_suite("mine", entry, folder, folder)


def asked(items: pa.Table) -> dict[str, str]:
    """{item: the last part of its context}."""
    rows = items.to_pylist()
    return {row["item"]: row["context"].split("\n\n")[-1] for row in rows}


def examples(items: pa.Table) -> list[str]:
    """The examples, which must be the same before every text."""
    (prompt,) = {tuple(text.split("\n\n")[:-1]) for text in items["context"].to_pylist()}
    return list(prompt)


def test_shots_are_solved_questions_that_are_no_items(tmp_path: Path):
    items = own(tmp_path, QUESTIONS, shots=6)
    solved = examples(items)
    numbers = [int(text.split()[1]) for text in solved]
    assert solved == [f"question {n} is {'abc'[n % 3]}{n}" for n in numbers]
    assert Counter(n % 3 for n in numbers) == {0: 2, 1: 2, 2: 2}
    left = [n for n in range(30) if n not in numbers]
    assert asked(items) == {f"mine/{n:04d}": f"question {n} is" for n in left}


def test_shots_keep_the_ids_and_targets_of_the_items(tmp_path: Path):
    plain = {(row["item"], row["option"]): row for row in own(tmp_path, QUESTIONS).to_pylist()}
    for row in own(tmp_path, QUESTIONS, shots=3).to_pylist():
        alone = plain[row["item"], row["option"]]
        assert (row["target"], row["gold"]) == (alone["target"], alone["gold"])
        assert row["context"].endswith("\n\n" + alone["context"])


def test_shots_of_zero_are_no_shots(tmp_path: Path):
    assert own(tmp_path, QUESTIONS, shots=0).equals(own(tmp_path, QUESTIONS))


def test_shots_that_the_places_cannot_share_equally_differ_by_one(tmp_path: Path):
    for seed in range(9):
        solved = examples(own(tmp_path, QUESTIONS, shots=5, seed=seed))
        counts = Counter(text.split()[-1][0] for text in solved)
        assert sorted(counts.values()) == [1, 2, 2]


def test_shots_are_decided_by_the_seed(tmp_path: Path):
    prompts = [examples(own(tmp_path, QUESTIONS, shots=3, seed=seed)) for seed in (0, 0, 1)]
    assert prompts[0] == prompts[1] != prompts[2]
    last = {
        examples(own(tmp_path, QUESTIONS, shots=3, seed=n))[-1].split()[-1][0] for n in range(9)
    }
    assert last == set("abc")  # no place always stands next to the question


def test_shots_do_not_depend_on_the_limit(tmp_path: Path):
    all_items = own(tmp_path, QUESTIONS, shots=3)
    few = own(tmp_path, QUESTIONS, shots=3, limit=5)
    assert examples(few) == examples(all_items)
    assert len(asked(few)) == 5


def test_shots_of_completions_and_of_contexts_by_option(tmp_path: Path):
    items = own(tmp_path, PASSAGES, kind="completion", shots=2)
    for text in examples(items):
        assert text == f"passage {text.split()[1]} ends end{text.split()[1]}"
    assert len(asked(items)) == 7
    pairs = [
        {"context": [f"Ann {n}", f"Eve {n}"], "options": ["won."] * 2, "gold": n % 2}
        for n in range(4)
    ]
    items = own(tmp_path, pairs, shots=1)
    (text,) = examples(items)
    number = int(text.split()[1])
    assert text == f"{('Ann', 'Eve')[number % 2]} {number} won."
    assert {row["context"].split()[-2] for row in items.to_pylist()} == {"Ann", "Eve"}


def test_shots_take_out_an_item_that_repeats_an_example(tmp_path: Path):
    items = own(tmp_path, QUESTIONS[:3] * 2, shots=1)
    (text,) = examples(items)
    assert len(asked(items)) == 4
    assert text.rpartition(" ")[0] not in asked(items).values()


def test_shots_of_a_file_of_their_own_leave_all_items(tmp_path: Path):
    path = tmp_path / "train.jsonl"
    train = [{**record, "context": f"train {n}"} for n, record in enumerate(QUESTIONS[:4])]
    path.write_text("".join(json.dumps(record) + "\n" for record in [*train, *QUESTIONS[4:]]))
    items = own(tmp_path, QUESTIONS, shots=3, shots_path=str(path))
    assert len(asked(items)) == 30
    assert all(text.startswith("train ") for text in examples(items))
    with pytest.raises(
        InputError,
        match=r"train\.jsonl: option 1 is the right one of 1 items, too few for 2 of 6 shots",
    ):
        own(tmp_path, QUESTIONS, shots=6, shots_path=str(path))


def test_shots_stand_before_variants_worded_alike(tmp_path: Path):
    path = tmp_path / "facts.csv"
    lines = [f"is it {n}?,yes{n},no{n}" for n in range(6)]
    path.write_text("\n".join(["question,answer,incorrect", *lines]))
    templates = tmp_path / "formats.yaml"
    templates.write_text(
        "formats:\n"
        "  plain: {kind: plain, template: 'Q: {question} A:'}\n"
        "  shouted: {kind: unnatural, template: '{question:uppercase} SAY:'}\n"
        "triggers:\n"
        "  own: ['Now.']\n"
    )
    entry = {"task": "formats", "path": str(path), "templates": str(templates), "shots": 1}
    rows = build_suite("mine", entry, tmp_path, tmp_path).to_pylist()
    prompts = {row["variant"]: row["context"].split("\n\n")[0] for row in rows}
    n = prompts[""].split("yes")[1]
    shouted = next(name for name in prompts if "shouted" in name)
    assert prompts[""] == f"Q: is it {n}? A: yes{n}"
    assert prompts[shouted] == f"IS IT {n}? SAY: yes{n}"


def test_shots_leave_an_ending_alone_without_context(tmp_path: Path):
    rows = own(tmp_path, QUESTIONS, shots=3, ending_alone=True).to_pylist()
    assert {row["context"] for row in rows if row["variant"]} == {""}


BAD = {
    "'mine'.shots: expected a whole number from 0 to 1,000,000,000, not -1": {"shots": -1},
    "'mine'.shots: expected a whole number from 0 to 1,000,000,000, not true": {"shots": True},
    "'mine'.shots: expected a whole number from 0 to 1,000,000,000, not 2.0": {"shots": 2.0},
    "mine.jsonl: option 0 is the right one of 10 items, too few for 11 of 33 shots": {"shots": 33},
    "mine.jsonl: 30 shots leave no item to score": {"shots": 30},
    "suite 'mine': shots_path needs a number of shots above 0": {"shots_path": "x.csv"},
    "no such file": {"shots": 3, "shots_path": "nothing.csv"},
}


@pytest.mark.parametrize("message", BAD)
def test_shots_that_cannot_be_given_fail_in_one_line(message, tmp_path: Path):
    with pytest.raises(InputError) as error:
        own(tmp_path, QUESTIONS, **BAD[message])
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_shots_need_a_kind_with_answers(tmp_path: Path):
    for kind in ("pairs", "text"):
        message = f"suite 'mine': shots need kind choices or completion, not {kind}"
        with pytest.raises(InputError, match=message):
            own(tmp_path, [{"text": "x"}], kind=kind, shots=1)


def test_shots_of_a_broken_record_name_its_line(tmp_path: Path):
    records = [*QUESTIONS, {"context": "x", "options": ["a", "b"], "gold": 0}]
    with pytest.raises(InputError, match=r"mine\.jsonl: line 31: item 'mine/0030' has 2 options"):
        own(tmp_path, records, shots=3)


def test_draw_takes_each_number_once():
    assert sorted(draw([0, 1] * 10, 20, 0, "x")) == list(range(20))


def test_draw_takes_one_more_only_of_values_that_have_it():
    for seed in range(9):
        drawn = draw([0, 1, 1, 2, 2], 4, seed, "x")
        assert len(set(drawn)) == 4
        assert 0 in drawn
    with pytest.raises(InputError, match="x: option 0 is the right one of 1 items, too few for 2"):
        draw([0, 1, 1], 4, 0, "x")
    with pytest.raises(InputError, match="x: there is nothing to draw 2 shots from"):
        draw([], 2, 0, "x")
