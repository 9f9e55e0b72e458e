import pytest

from lmcore.classifying.tasks import TASKS, read_splits
from lmcore.errors import InputError
from tests.lmcore.classifying.toy import N_VALID, rows, write_rows, write_splits

# of each task a line and the two texts that the official pipeline makes of it
LINES = {
    "boolq": ({"question": "is it", "passage": "It is."}, ("is it", "It is.")),
    "mnli": ({"premise": "A {} b", "hypothesis": "C"}, ("A {} b", "C")),
    "mrpc": ({"sentence1": "A", "sentence2": "B"}, ("A", "B")),
    "multirc": (
        {"paragraph": "P", "question": "Q?", "answer": "A."},
        ("Question: Q? Answer: A.", "P"),
    ),
    "qqp": ({"question1": "A?", "question2": "B?"}, ("A?", "B?")),
    "rte": ({"sentence1": "A", "sentence2": "B"}, ("A", "B")),
    "wsc": (
        {"text": "Mark told Pete.", "span1_text": "Mark", "span2_text": "He"},
        ('Does "He" refer to "Mark" in this passage?', "Mark told Pete."),
    ),
}


@pytest.mark.parametrize("task", TASKS)
def test_texts_of_every_task_are_those_of_the_official_pipeline(task, tmp_path):
    values, texts = LINES[task]
    for split in ("train", "valid"):
        write_rows(tmp_path / f"{task}.{split}.jsonl", [{**values, "label": 1, "idx": 0}])
    training, valid = read_splits(tmp_path, task, items=1)
    assert training.texts == valid.texts == [texts]
    assert valid.labels.tolist() == [1]


@pytest.mark.parametrize("task", ["mnli", "mrpc", "qqp", "rte", "wsc"])
def test_published_splits_have_the_published_sizes_and_labels(task, data):
    folder = data / "babylm_eval/full_eval/glue_filtered"
    training, valid = read_splits(folder, task)
    assert len(valid.texts) == TASKS[task].n_valid
    for pairs in (training, valid):
        assert set(pairs.labels.tolist()) == set(range(TASKS[task].n_labels))


def test_missing_split_is_named_in_one_line(data):
    folder = data / "babylm_eval/full_eval/glue_filtered"
    with pytest.raises(InputError, match=r"boolq\.train\.jsonl: no such file; the task boolq is"):
        read_splits(folder, "boolq")


def test_valid_of_another_size_is_refused_unless_items_says_so(tmp_path):
    write_splits(tmp_path)
    with pytest.raises(InputError, match=r"has 20 examples; expected the 139 published .* `items`"):
        read_splits(tmp_path, "rte")
    with pytest.raises(InputError, match="has 20 examples; expected the 21 that `items` says"):
        read_splits(tmp_path, "rte", items=21)
    assert len(read_splits(tmp_path, "rte", items=N_VALID)[1].texts) == N_VALID


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": 2}, "line 2: column 'label' must be a whole number from 0 to 1, not the number"),
        ({"label": None}, "line 2: column 'label' must be the number or name of a class, not null"),
        ({"sentence2": 3}, "line 2: column 'sentence2' must be text, not the number 3"),
        ({"sentence1": None}, "line 2: column 'sentence1' must be text, not null"),
    ],
)
def test_bad_lines_are_named(change, message, tmp_path):
    write_splits(tmp_path)
    examples = rows(3, 0)
    examples[1] |= change
    write_rows(tmp_path / "rte.train.jsonl", examples)
    with pytest.raises(InputError, match=rf"rte\.train\.jsonl: {message}"):
        read_splits(tmp_path, "rte", items=N_VALID)


def test_line_without_a_key_is_named(tmp_path):
    write_splits(tmp_path)
    write_rows(tmp_path / "rte.valid.jsonl", [{"sentence1": "A", "label": 0}])
    with pytest.raises(InputError, match=r"rte\.valid\.jsonl: line 1: a record has no 'sentence2'"):
        read_splits(tmp_path, "rte", items=1)
