import shutil

import pytest
import torch

from lmcore.errors import InputError
from lmcore.files import sha256
from lmcore.models.imported import import_model
from lmcore.models.llama import new_llama, save_model
from lmcore.models.load import load_model, load_tokenizer
from lmcore.tokenizer import load_fast
from tests.lmcore.training.test_loop import SHAPE


@pytest.fixture
def published(tokenizer, tmp_path, monkeypatch):
    """A model folder below LMCORE_DATA, as its makers would publish it, and a function that imports it."""
    monkeypatch.setenv("LMCORE_DATA", str(tmp_path))
    folder = tmp_path / "theirs"
    save_model(new_llama(SHAPE, tokenizer, 0), tokenizer, folder)

    def run(members=("*",)):
        source = {"provider": "folder", "location": "theirs", "members": list(members)}
        shutil.rmtree(tmp_path / "picked", ignore_errors=True)
        (tmp_path / "picked").mkdir()
        for pattern in members:
            for path in folder.glob(pattern):
                shutil.copy(path, tmp_path / "picked")
        import_model("theirs", tmp_path / "ours", tmp_path, sha256=sha256(tmp_path / "picked"), **source)
        return tmp_path / "ours"

    return folder, run


def test_import_model_folder_scores_as_the_original(published):
    folder, run = published
    ours = run()
    ids = torch.arange(3, 15)[None]
    assert torch.equal(load_model(ours)(input_ids=ids).logits, load_model(folder)(input_ids=ids).logits)
    assert load_tokenizer(ours)("The sea")["input_ids"] == load_fast(folder).encode("The sea").ids


def test_import_model_without_weights_is_refused(published, tmp_path):
    _, run = published
    with pytest.raises(InputError, match=r"theirs: the source holds config.json, .*: no \*.safetensors and no \*.gguf"):
        run(members=("*.json",))
    assert not (tmp_path / "ours").exists()


def test_import_model_tokenizer_beyond_the_vocabulary_is_refused(published, tmp_path):
    folder, run = published
    fast = load_fast(folder)
    fast.add_special_tokens(["<|endoftext|>"])
    fast.save(str(folder / "tokenizer.json"))
    with pytest.raises(InputError, match="id 300, beyond the model's vocabulary of 300"):
        run()
    assert not (tmp_path / "ours").exists()


def test_import_model_nan_weights_are_refused(published, tmp_path):
    folder, run = published
    model = load_model(folder)
    model.model.norm.weight.data[0] = torch.inf
    model.save_pretrained(folder)
    with pytest.raises(InputError, match=r"'model.norm.weight' hold NaN or infinity"):
        run()
