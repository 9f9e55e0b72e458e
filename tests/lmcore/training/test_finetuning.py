import json

import numpy as np
import pytest

from lmcore.errors import InputError
from lmcore.models.llama import new_llama, save_model
from lmcore.tables import ITEMS, write
from lmcore.tasks.suite import build_suite
from lmcore.tokenizer import load_fast
from lmcore.training.finetuning import examples, training_items
from lmcore.training.loop import IGNORED, evaluate, train
from tests.lmcore.training.test_loop import OPTIONS, SHAPE

RECORDS = [
    {"context": f"The old man {verb} to the sea", "options": ["and looked at the ships.", f"and read it {n}.", "wanted."], "gold": n % 2}
    for n, verb in enumerate(["walked", "looked", "read", "wanted", "knew", "gave", "twice", "sea"])
]


@pytest.fixture
def paths(tmp_path):
    """A file of eight choices; three of them are evaluated as the suite `some`."""
    path = tmp_path / "mine.jsonl"
    path.write_text("\n".join(map(json.dumps, RECORDS)))
    folders = {name: tmp_path / name for name in ("items", "sources", "corpus")}
    entry = {"kind": "choices", "path": str(path)}
    write(build_suite("some", {**entry, "limit": 3}, folders["sources"], folders["corpus"]), ITEMS, folders["items"] / "some.parquet")
    return entry, folders


def test_training_items_are_the_right_options_of_what_is_not_evaluated(paths):
    entry, folders = paths
    table = training_items("tuned", entry, ["some"], **folders)
    evaluated = build_suite("some", {**entry, "limit": 3}, folders["sources"], folders["corpus"])
    assert len(table) == 5 and set(table["gold"].to_pylist()) == {True}
    assert not set(table["content_hash"].to_pylist()) & set(evaluated["content_hash"].to_pylist())
    assert len(training_items("tuned", {**entry, "limit": 2}, ["some"], **folders)) == 2


def test_training_items_all_evaluated_is_an_error(paths):
    entry, folders = paths
    write(build_suite("all", entry, folders["sources"], folders["corpus"]), ITEMS, folders["items"] / "all.parquet")
    with pytest.raises(InputError, match="every item is evaluated"):
        training_items("tuned", entry, ["some", "all"], **folders)


def test_training_items_evaluated_in_another_form_are_an_error(paths):
    entry, folders = paths
    other = build_suite("words", {**entry, "ending_alone": True}, folders["sources"], folders["corpus"])
    write(other, ITEMS, folders["items"] / "words.parquet")
    with pytest.raises(InputError, match="is evaluated as 'words/0000' of suite 'words'"):
        training_items("tuned", entry, ["words"], **folders)


def test_examples_have_the_ending_alone_as_target_and_training_lowers_its_loss(paths, tokenizer, tmp_path):
    entry, folders = paths
    shape = {**SHAPE, "max_position_embeddings": 32}
    save_model(new_llama(shape, tokenizer, 0), tokenizer, tmp_path / "model")
    items = training_items("tuned", entry, ["some"], **folders)
    training, dev = examples(tmp_path / "model", items, 0.2, seed=0)
    assert len(training.ids) == 4 and len(dev.ids) == 1
    known = load_fast(tmp_path / "model")
    endings = set(items["target"].to_pylist())
    for ids, labels in zip(training.ids, training.labels, strict=True):
        assert ids[0] == known.token_to_id("<s>") and (ids[labels != IGNORED] == labels[labels != IGNORED]).all()
        assert known.decode(labels[labels != IGNORED].tolist()) in endings
    model = new_llama(shape, tokenizer, 0)
    before = evaluate(model, training, 2, "fp32")
    train(model, training, dev, tmp_path / "work", **{**OPTIONS, "epochs": 6, "keep": "last"})
    assert evaluate(model, training, 2, "fp32") < before - 0.5


def test_examples_longer_than_the_window_lose_their_beginning(paths, tokenizer, tmp_path):
    entry, folders = paths
    save_model(new_llama({**SHAPE, "max_position_embeddings": 8}, tokenizer, 0), tokenizer, tmp_path / "model")
    training, _ = examples(tmp_path / "model", training_items("tuned", entry, ["some"], **folders), 0.2, seed=0)
    assert training.ids.shape[1] == 8 and (training.labels[:, -1] != IGNORED).all() and np.isin(training.labels, training.ids).sum()
