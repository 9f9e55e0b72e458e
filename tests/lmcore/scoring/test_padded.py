import numpy as np
import pytest
import torch

from lmcore.models.folder import read_config
from lmcore.models.load import load_model
from lmcore.models.unigram import UnigramConfig, UnigramForCausalLM
from lmcore.scoring.padded import Control
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
    ids = torch.tensor([[5, 6, 7, 0], [8, 9, 10, 11]])
    mask = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]])
    for draw in range(len(config.get("seeds", [0]))):
        model.draw = draw
        with torch.inference_mode():
            expected = model(input_ids=ids, attention_mask=mask).logits[mask.bool()]
            assert torch.equal(own.logits(ids, mask, draw)[mask.bool()], expected)
