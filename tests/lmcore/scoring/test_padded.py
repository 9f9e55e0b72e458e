import numpy as np
import pytest
import torch

from lmcore.models.folder import read_config
from lmcore.models.load import load_model
from lmcore.models.unigram import UnigramConfig, UnigramForCausalLM
from lmcore.scoring.padded import MAX_PADDING, SMALL, Control, batches, pad
from lmcore.scoring.plan import Window, passes
from tests.lmcore.scoring.conftest import save_tokenizer


@pytest.fixture
def unigram(tmp_path):
    UnigramForCausalLM.from_counts(np.arange(300), UnigramConfig(vocab_size=300)).save_pretrained(
        tmp_path
    )
    save_tokenizer(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["dummy", "unigram"])
def test_controls_say_what_their_model_classes_say(name, request):
    """Their logits are the same with and without transformers, for every draw."""
    path = request.getfixturevalue(name)
    model, config = load_model(path), read_config(path)
    own = Control(path, config, "cpu")
    texts = [np.array([8, 9, 10, 11]), np.array([5, 6, 7]), np.array([8, 9, 4])]
    windows = [Window(ids[:-1], 0, ids[1:], row) for row, ids in zip((0, 3, 5), texts)]
    (one_pass,) = passes(windows, 100)
    ids, mask = pad([text[:-1] for text in texts], "cpu")
    for draw in range(len(config.get("seeds", [0]))):
        model.draw = draw
        with torch.inference_mode():
            expected = model(input_ids=ids, attention_mask=mask).logits[mask.bool()]
            logits = own.head(own.hidden(one_pass, draw))
        nodes = one_pass.pair_nodes[one_pass.row_pairs][np.argsort(one_pass.rows)]
        assert torch.equal(logits[torch.from_numpy(nodes)], expected)


def test_batches_keep_the_budget_with_padding_and_every_path():
    paths = [np.arange(length) + 1000 * length for length in [3, 9, 40, 1, 40, 12, 12]]
    made = list(batches(paths, 32))
    assert all(len(batch) == 1 or len(batch) * len(batch[-1]) <= 32 for batch in made)
    ends = [path[-1] for batch in made for path in batch]
    assert sorted(ends) == sorted({path[-1] for path in paths})


def test_batches_have_little_padding_unless_they_are_small():
    paths = [np.arange(length) + 1000 * length for length in range(1, 200)]
    for batch in batches(paths, 2000):
        padded = len(batch) * len(batch[-1])
        padding = padded - sum(len(path) for path in batch)
        assert padded <= SMALL or padding <= MAX_PADDING * padded


def test_batches_of_one_length_have_no_padding():
    paths = [np.arange(length) + 100 * length for length in [5, 3, 5, 3]]
    paths[2] = paths[2] + 50
    lengths = [[len(path) for path in batch] for batch in batches(paths, 100, True)]
    assert lengths == [[3], [5, 5]]
