import json

import pytest
import torch

from lmcore.errors import InputError
from lmcore.files import sha256
from lmcore.models.shapes import SHAPES, new_model, resolve, window


def parameters(name: str, vocab_size: int) -> int:
    """The number of parameters of a shape, counted without making its weights."""
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

    values = {
        key: value for key, value in SHAPES[name].items() if key not in ("model_type", "rope_theta")
    }
    with torch.device("meta"):
        if SHAPES[name].get("model_type") == "gpt2":
            return GPT2LMHeadModel(GPT2Config(**values, vocab_size=vocab_size)).num_parameters()
        return LlamaForCausalLM(LlamaConfig(**values, vocab_size=vocab_size)).num_parameters()


def test_babyllama_58m_has_exactly_the_published_number_of_parameters():
    assert parameters("babyllama_58m", 16_000) == 58_343_936


@pytest.mark.parametrize(
    ("name", "millions"), [("llama_16m", 16.6), ("llama_360m", 360), ("gpt2_705m", 705)]
)
def test_shapes_have_about_the_size_of_their_name(name, millions):
    assert parameters(name, 16_000) / 1e6 == pytest.approx(millions, rel=0.01)


def test_resolve_from_config_takes_the_shape_and_leaves_the_vocabulary(
    tokenizer, tmp_path, monkeypatch
):
    config = {
        "model_type": "llama",
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "config.json").write_text(
        json.dumps(
            {**config, "max_position_embeddings": 64, "vocab_size": 999, "rope_scaling": None}
        )
    )
    monkeypatch.setenv("LMCORE_DATA", str(tmp_path))
    source = {
        "provider": "folder",
        "location": "theirs",
        "members": ["config.json"],
        "sha256": sha256(folder),
    }
    shape = resolve("theirs", {"theirs": source}, tmp_path)
    model = new_model(shape, tokenizer, 0)
    assert (
        window(shape) == 64
        and model.config.vocab_size == 300
        and model.config.num_hidden_layers == 2
    )


@pytest.mark.parametrize(
    "name",
    ["tiny", {"model_type": "gpt2", "n_layer": 1, "n_embd": 8, "n_head": 2, "n_positions": 12}],
)
def test_new_model_repeats_by_its_seed(tokenizer, tmp_path, name):
    shape = resolve(name, {}, tmp_path)
    one, two, other = (
        new_model(shape, tokenizer, seed).get_output_embeddings().weight for seed in (0, 0, 1)
    )
    assert torch.equal(one, two) and not torch.equal(one, other)


def test_resolve_unknown_name_lists_the_known_ones(tmp_path):
    with pytest.raises(InputError, match=r"unknown name 'huge'; expected .*babyllama_58m"):
        resolve("huge", {}, tmp_path)


def test_new_model_unknown_key_of_a_gpt2_is_named(tokenizer):
    with pytest.raises(
        InputError, match="shape: unknown key 'n_layers'; expected model_type, n_layer"
    ):
        new_model({"model_type": "gpt2", "n_layers": 2}, tokenizer, 0)
