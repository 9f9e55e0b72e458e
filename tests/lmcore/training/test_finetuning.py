import json
from pathlib import Path

import numpy as np
import pytest

from lmcore.errors import InputError
from lmcore.models.llama import new_llama, save_model
from lmcore.suites.build import build_suite
from lmcore.text.tokenizer import load_fast
from lmcore.training.batches import IGNORED
from lmcore.training.finetuning import examples, training_items
from lmcore.training.loop import evaluate, train
from lmcore.training.settings import Settings
from tests.lmcore.training.test_loop import OPTIONS, SHAPE

RECORDS = [
    {
        "context": f"The old man {verb} to the sea",
        "options": ["and looked at the ships.", f"and read it {n}.", "wanted."],
        "gold": n % 2,
    }
    for n, verb in enumerate(["walked", "looked", "read", "wanted", "knew", "gave", "twice", "sea"])
]


@pytest.fixture
def suite(tmp_path):
    """The entry of a file of eight choices, its items, and three of them as the suite `some`."""
    path = tmp_path / "mine.jsonl"
    path.write_text("\n".join(map(json.dumps, RECORDS)))
    entry = {"kind": "choices", "path": str(path)}
    return entry, built("tuned", entry), {"some": built("some", {**entry, "limit": 3})}


def built(name, entry):
    return build_suite(name, entry, Path("sources"), Path("corpus"))


def test_training_items_are_the_right_options_of_what_is_not_evaluated(suite):
    entry, table, evaluated = suite
    chosen = training_items("tuned", entry, table, evaluated)
    hashes = set(evaluated["some"]["content_hash"].to_pylist())
    assert len(chosen) == 5 and set(chosen["gold"].to_pylist()) == {True}
    assert not set(chosen["content_hash"].to_pylist()) & hashes
    assert len(training_items("tuned", {**entry, "limit": 2}, table, evaluated)) == 2


def test_training_items_all_evaluated_is_an_error(suite):
    entry, table, evaluated = suite
    with pytest.raises(InputError, match="every item is evaluated"):
        training_items("tuned", entry, table, {**evaluated, "all": built("all", entry)})


def test_training_items_evaluated_in_another_form_are_an_error(suite):
    entry, table, _ = suite
    words = built("words", {**entry, "ending_alone": True})
    with pytest.raises(
        InputError,
        match="is evaluated as item 'words/0000' of suite 'words'; expected different texts",
    ):
        training_items("tuned", entry, table, {"words": words})


def test_examples_have_the_ending_alone_as_target_and_training_lowers_its_loss(
    suite, tokenizer, tmp_path
):
    entry, table, evaluated = suite
    shape = {**SHAPE, "max_position_embeddings": 32}
    save_model(new_llama(shape, tokenizer, 0), tokenizer, tmp_path / "model")
    items = training_items("tuned", entry, table, evaluated)
    splits = examples(tmp_path / "model", items, 0.2, seed=0)
    training = splits.training
    assert len(training.ids) == 4 and len(splits.dev.ids) == 1
    known = load_fast(tmp_path / "model")
    endings = set(items["target"].to_pylist())
    for ids, labels in zip(training.ids, training.labels, strict=True):
        is_target = labels != IGNORED
        assert ids[0] == known.token_to_id("<s>")
        assert (ids[is_target] == labels[is_target]).all()
        assert known.decode(labels[is_target].tolist()) in endings
    for optimizer in ("adamw", "muon"):
        model = new_llama(shape, tokenizer, 0)
        before = evaluate(model, training, 2, "fp32")
        settings = Settings(**{**OPTIONS, "epochs": 6, "keep": "last", "optimizer": optimizer})
        train(model, splits, tmp_path / optimizer, settings)
        assert evaluate(model, training, 2, "fp32") < before - 0.5


def test_examples_longer_than_the_window_lose_their_beginning(suite, tokenizer, tmp_path):
    entry, table, evaluated = suite
    save_model(
        new_llama({**SHAPE, "max_position_embeddings": 8}, tokenizer, 0),
        tokenizer,
        tmp_path / "model",
    )
    training, _ = examples(
        tmp_path / "model", training_items("tuned", entry, table, evaluated), 0.2, seed=0
    )
    assert (
        training.ids.shape[1] == 8
        and (training.labels[:, -1] != IGNORED).all()
        and np.isin(training.labels, training.ids).sum()
    )
