"""The tasks of questions with several answers, on a few rows that have the layout of the source."""

import copy
from pathlib import Path

import pytest

from lmcore.errors import InputError
from lmcore.suites.build import build_suite
from lmcore.suites.builders import BUILDERS
from tests.lmcore.suites.test_declare import arrow

KEYED = {
    "choices": {"text": ["sun", "moon", "sea", "sand"], "label": ["1", "2", "3", "4"]},
    "answerKey": "3",
}
LISTED = "\nA. sun\nB. moon\nC. sea\nD. sand\nAnswer:"
ROWS = {
    "arc_easy": {"question": "What is wet?", **KEYED},
    "boolq": {"passage": "Rain falls.", "question": "is it wet", "answer": True},
    "commonsense_qa": {"question": " What is wet? ", **KEYED},
    "copa": {
        "premise": "It rained.",
        "choice1": "I got wet.",
        "choice2": "I sang.",
        "question": "effect",
        "label": 0,
    },
    "openbookqa": {"question_stem": "Wet is the", **KEYED},
    "piqa": {"goal": "open it", "sol1": "push", "sol2": "pull", "label": 1},
    "sciq": {
        "support": " Seas are wet.",
        "question": "What is wet?",
        "distractor1": "sun",
        "distractor2": "moon",
        "distractor3": "sand",
        "correct_answer": "sea",
    },
    "social_iqa": {
        "context": "Ann fell.",
        "question": "Why?",
        "answerA": "ice",
        "answerB": "joy",
        "answerC": "sun",
        "label": "1",
    },
    "winogrande": {
        "sentence": "Ann beat Eve so _ won.",
        "option1": "Ann",
        "option2": "Eve",
        "answer": "1",
    },
}
ANSWERS = {
    "arc_easy": ("Question: What is wet?\nAnswer:", "sea"),
    "boolq": ("Rain falls.\nQuestion: is it wet?\nAnswer:", "yes"),
    "commonsense_qa": ("Question: What is wet?\nAnswer:", "sea"),
    "copa": ("It rained therefore", "i got wet."),
    "openbookqa": ("Wet is the", "sea"),
    "piqa": ("Question: open it\nAnswer:", "pull"),
    "sciq": ("Seas are wet.\nQuestion: What is wet?\nAnswer:", "sea"),
    "social_iqa": ("Q: Ann fell. Why?\nA:", "ice"),
    "winogrande": (["Ann beat Eve so Ann", "Ann beat Eve so Eve"], "won."),
}
LETTERS = {
    "arc_easy": (f"Question: What is wet?{LISTED}", "C"),
    "boolq": ("Rain falls.\nQuestion: is it wet?\nA. no\nB. yes\nAnswer:", "B"),
    "commonsense_qa": (f"Question: What is wet?{LISTED}", "C"),
    "copa": ("It rained therefore\nA. i got wet.\nB. i sang.\nAnswer:", "A"),
    "openbookqa": (f"Question: Wet is the{LISTED}", "C"),
    "piqa": ("Question: open it\nA. push\nB. pull\nAnswer:", "B"),
    "sciq": (f"Seas are wet.\nQuestion: What is wet?{LISTED}", "C"),
    "social_iqa": ("Question: Ann fell. Why?\nA. ice\nB. joy\nC. sun\nAnswer:", "A"),
    "winogrande": ("Fill in the blank: Ann beat Eve so _ won.\nA. Ann\nB. Eve\nAnswer:", "A"),
}


def built(task: str, rows: list[dict], folder: Path, **options) -> list[dict]:
    arrow(folder / "data.arrow", rows)
    return list(BUILDERS[task](folder, **options))


@pytest.mark.parametrize("task", ROWS)
@pytest.mark.parametrize("formulation", ["answers", "letters"])
def test_question_is_worded_as_its_formulation_says(task, formulation, tmp_path: Path):
    (record,) = built(task, [ROWS[task]], tmp_path, formulation=formulation)
    expected = {"answers": ANSWERS, "letters": LETTERS}[formulation][task]
    assert (record["context"], record["options"][int(record["gold"])]) == expected


@pytest.mark.parametrize("task", ROWS)
def test_question_without_a_formulation_is_worded_as_in_lm_eval(task, tmp_path: Path):
    default = "letters" if task == "commonsense_qa" else "answers"
    rows = [ROWS[task]]
    assert built(task, rows, tmp_path) == built(task, rows, tmp_path, formulation=default)


def test_sciq_letters_of_the_right_answers_are_spread(tmp_path: Path):
    rows = [{**ROWS["sciq"], "question": f"What is {n}?"} for n in range(400)]
    found = built("sciq", rows, tmp_path, formulation="letters")
    for record in found:
        letter = record["options"][record["gold"]]
        assert f"\n{letter}. sea\n" in record["context"]
    counts = [sum(record["gold"] == place for record in found) for place in range(4)]
    assert min(counts) > 70  # 100 are expected


def test_arc_items_with_other_than_four_answers_are_left_out(tmp_path: Path):
    three = {"choices": {"text": ["a", "b", "c"], "label": ["A", "B", "C"]}, "answerKey": "A"}
    rows = [{"question": "x", **three}, ROWS["arc_easy"]]
    assert [record["gold"] for record in built("arc_easy", rows, tmp_path)] == [2]


def changed(task: str, **changes) -> dict:
    return {**copy.deepcopy(ROWS[task]), **changes}


BAD = {
    "row 2: column 'answerKey' must be one of the labels 1, 2, 3, 4, not 'E'": (
        "arc_easy",
        changed("arc_easy", answerKey="E"),
    ),
    "row 2: column 'answerKey' must be one of the labels 1, 2, 3, 4, not ''": (
        "openbookqa",
        changed("openbookqa", answerKey=""),
    ),
    "row 2: column 'choices' has 2 texts and 1 labels; expected a label for each text": (
        "commonsense_qa",
        changed("commonsense_qa", choices={"text": ["a", "b"], "label": ["A"]}),
    ),
    "row 2: column 'choices' must be a mapping, not null": (
        "arc_easy",
        changed("arc_easy", choices=None),
    ),
    "row 2: column 'answer' must be true or false, not null": (
        "boolq",
        changed("boolq", answer=None),
    ),
    "row 2: column 'support' must be text, not null": ("sciq", changed("sciq", support=None)),
    "row 2: column 'label' must be a whole number from 1 to 3, not '0'": (
        "social_iqa",
        changed("social_iqa", label="0"),
    ),
    "row 2: column 'sentence' has no blank, _, for the names": (
        "winogrande",
        changed("winogrande", sentence="Ann won."),
    ),
}


@pytest.mark.parametrize("message", BAD)
def test_question_that_cannot_be_read_fails_naming_row_and_column(message, tmp_path: Path):
    task, row = BAD[message]
    with pytest.raises(InputError) as error:
        built(task, [ROWS[task], row], tmp_path)
    assert str(error.value) == f"{tmp_path / 'data.arrow'}: {message}"


def test_question_tasks_check_the_published_number_and_the_formulation(tmp_path: Path):
    (tmp_path / "boolq").mkdir()
    arrow(tmp_path / "boolq" / "data.arrow", [ROWS["boolq"]])
    with pytest.raises(InputError, match="task boolq found 1 items, expected 3,270 as published"):
        build_suite("boolq", {}, tmp_path, tmp_path)
    message = "suite 'boolq'.formulation: expected answers or letters, not \"abc\""
    with pytest.raises(InputError, match=message):
        build_suite("boolq", {"formulation": "abc"}, tmp_path, tmp_path)
    with pytest.raises(InputError, match="unknown key 'formulation'"):
        build_suite("swag", {"formulation": "letters"}, tmp_path, tmp_path)
