"""Loading model folders: what is not fully understood is refused with a message of one line."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from lmcore.api import score
from lmcore.commands import main as cli
from lmcore.errors import InputError
from lmcore.models.config import context_length
from lmcore.models.folder import read_config
from lmcore.models.llama import new_llama, save_model
from lmcore.models.load import load_model
from tests.lmcore.training.test_loop import SHAPE

SMALL = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 269060552\n"


@pytest.fixture(scope="module")
def published(tokenizer, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("published") / "model"
    save_model(new_llama(SHAPE, tokenizer, 0), tokenizer, folder)
    return folder


@pytest.fixture
def folder(published, tmp_path) -> Path:
    """A copy of a Llama's folder, which the test may change."""
    return Path(shutil.copytree(published, tmp_path / "model"))


def change_config(folder: Path, **changes) -> None:
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config = {name: value for name, value in {**config, **changes}.items() if value != "absent"}
    (folder / "config.json").write_text(json.dumps(config), "utf-8")


def change_weights(folder: Path, change) -> None:
    file = folder / "model.safetensors"
    save_file(change(load_file(file)), file, metadata={"format": "pt"})


def save_as(tokenizer: Path, folder: Path, config: str, model: str, **values) -> None:
    torch.manual_seed(0)
    made = getattr(transformers, model)(getattr(transformers, config)(vocab_size=300, **values))
    made.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tokenizer / name, folder / name)


def refusal(folder: Path) -> str:
    """The message with which `load_model` refuses the folder.

    Checks that `load_model` and `score` both refuse it, in one line that names the folder.
    """
    with pytest.raises(InputError) as loading:
        load_model(folder)
    with pytest.raises(InputError) as scoring:
        score(folder, ["The old man"])
    for error in (loading, scoring):
        assert len(str(error.value).splitlines()) == 1
        assert str(folder) in str(error.value)
    return str(loading.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "absent"}, "the key 'model_type' is missing"),
        ({"model_type": ["llama"]}, "'model_type'"),
        ({"model_type": "zebra"}, "the model cannot be loaded"),
        ({"model_type": "lmcore_other"}, "unknown model_type 'lmcore_other'"),
        ({"vocab_size": "absent"}, "the key 'vocab_size' is missing"),
        ({"vocab_size": 10**9}, "'vocab_size': .*, not 1000000000"),
        ({"vocab_size": 5_000_000}, "describes .* parameters, the weights hold"),
        ({"vocab_size": 301}, r"has shape \(300, .*\); config.json describes \(301, .*\)"),
        ({"hidden_size": 2.5}, "'hidden_size'"),
        ({"num_hidden_layers": 10**9}, "'num_hidden_layers'"),
        (
            {"num_hidden_layers": 1},
            "holds 'model.layers.1.*which config.json's architecture does not have",
        ),
        ({"num_hidden_layers": 3}, "lacks 'model.layers.2"),
        ({"max_position_embeddings": 10**12}, "'max_position_embeddings'"),
        ({"rms_norm_eps": -1.0}, "'rms_norm_eps'"),
        ({"rope_parameters": {"rope_type": "spiral", "rope_theta": 1e4}}, "'rope_parameters"),
        ({"rope_parameters": [1]}, "'rope_parameters"),
        ({"rope_scaling": {"type": "spiral", "factor": 2.0}}, "'rope_scaling"),
        ({"dtype": "float99"}, "'dtype'"),
        ({"bos_token_id": 10**6}, "'bos_token_id' is 1000000, outside the vocabulary of 300"),
        (
            {"tie_word_embeddings": True},
            "'tie_word_embeddings' is true, but the weights hold a head",
        ),
        ({"quantization_config": {"quant_method": "gptq"}}, "quantised"),
        ({"is_encoder_decoder": True}, "an encoder"),
        ({"vocab_size": "absent", "text_config": {"vocab_size": 300}}, "lie in 'text_config'"),
        ({"attn_implementation": "somebody/kernel"}, "foreign code is never run"),
        ({"architectures": ["LlamaModel"]}, "'LlamaModel' is not a causal or masked language"),
        (
            {"architectures": ["LlamaForSequenceClassification"]},
            "is not a causal or masked language model",
        ),
    ],
)
def test_config_out_of_range_is_refused_in_one_line(folder, changes, message):
    change_config(folder, **changes)
    with pytest.raises(InputError, match=message):
        load_model(folder)
    refusal(folder)


@pytest.mark.parametrize(
    "text", ["", "[]", '{"model_type": NaN}', '{"model_type": "ll\xe4ma"}', "[" * 100_000, LFS]
)
def test_config_that_is_no_object_is_refused_in_one_line(folder, text):
    (folder / "config.json").write_bytes(text.encode("latin-1"))
    assert "config.json" in refusal(folder)


def test_weights_missing_renamed_or_left_over_are_refused(folder):
    change_weights(
        folder, lambda found: {name: found[name] for name in found if "q_proj" not in name}
    )
    assert "lacks 'model.layers.0.self_attn.q_proj.weight'" in refusal(folder)
    change_weights(folder, lambda found: {"_orig_mod." + name: found[name] for name in found})
    with pytest.raises(InputError, match=r"begins with '_orig_mod\.', which torch\.compile"):
        load_model(folder)


def test_weights_left_over_are_refused(folder):
    change_weights(
        folder, lambda found: found | {"model.layers.0.self_attn.q_proj.bias": torch.ones(32)}
    )
    assert "holds 'model.layers.0.self_attn.q_proj.bias'" in refusal(folder)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_weights_that_are_not_finite_are_refused_even_where_nothing_uses_them(folder, value):
    change_weights(
        folder,
        lambda found: (
            found
            | {
                "model.embed_tokens.weight": found["model.embed_tokens.weight"].index_fill(
                    0, torch.tensor(299), value
                )
            }
        ),
    )
    assert "'model.embed_tokens.weight' holds NaN or infinity" in refusal(folder)


@pytest.mark.parametrize(
    "content",
    [
        LFS.encode(),
        b"",
        b"\xff" * 8 + b"{}",
        (10**10).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"[]",
        (5).to_bytes(8, "little") + b"not json",
    ],
)
def test_weights_file_that_is_none_is_refused(folder, content):
    (folder / "model.safetensors").write_bytes(content)
    assert "model.safetensors" in refusal(folder)


def test_weights_cut_short_or_with_more_behind_are_refused(folder):
    file = folder / "model.safetensors"
    whole = file.read_bytes()
    for content in (whole[:-100], whole + b"\0" * 100):
        file.write_bytes(content)
        assert "not a readable safetensors file" in refusal(folder)


def test_weights_two_files_with_the_same_tensors_are_refused(folder):
    shutil.copy(folder / "model.safetensors", folder / "model_1.safetensors")
    assert (
        "model_1.safetensors: holds the tensor 'lm_head.weight', and so does model.safetensors"
        in refusal(folder)
    )


def test_weights_index_decides_and_a_stale_shard_is_not_read(folder, published):
    model = load_model(published)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="40KB")
    shards = sorted(folder.glob("model-*.safetensors"))
    assert len(shards) > 1
    stale = {name: torch.ones_like(tensor) for name, tensor in load_file(shards[0]).items()}
    save_file(stale, folder / "model-00001-of-00099.safetensors", metadata={"format": "pt"})
    text = ["The old man walked"]
    assert score(folder, text).equals(score(published, text))
    shutil.copy(published / "model.safetensors", folder)
    assert "and so does model-0" in refusal(folder)


def test_weights_that_the_index_does_not_tell_of_are_refused(folder, published):
    (folder / "model.safetensors").unlink()
    load_model(published).save_pretrained(folder, max_shard_size="40KB")
    file = folder / "model.safetensors.index.json"
    index = json.loads(file.read_text("utf-8"))
    del index["weight_map"]["lm_head.weight"]
    file.write_text(json.dumps(index), "utf-8")
    assert "'lm_head.weight' of model-0" in refusal(folder)
    file.write_text(json.dumps({"weight_map": {"lm_head.weight": "../model.safetensors"}}), "utf-8")
    assert "'../model.safetensors', which is not in the folder" in refusal(folder)


def test_weights_pickled_or_of_an_adapter_are_refused(folder):
    (folder / "adapter_config.json").write_text("{}")
    assert "merge it into the model" in refusal(folder)
    (folder / "adapter_config.json").unlink()
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert "pickled weights (pytorch_model.bin) are never loaded" in refusal(folder)


@pytest.mark.parametrize(
    ("config", "model"),
    [
        ("BertConfig", "BertForMaskedLM"),
        ("BertConfig", "BertLMHeadModel"),
        ("ElectraConfig", "ElectraForCausalLM"),
        ("RobertaConfig", "RobertaForCausalLM"),
    ],
)
def test_models_that_see_what_follows_are_refused(tokenizer, tmp_path, config, model):
    save_as(tokenizer, tmp_path, config, model, **SMALL, max_position_embeddings=64)
    with pytest.raises(
        InputError,
        match=r"not a causal language model|is a masked LM, which predicts a token from both sides",
    ):
        load_model(tmp_path)


def test_bert_that_is_a_decoder_is_causal(tokenizer, tmp_path):
    save_as(
        tokenizer,
        tmp_path,
        "BertConfig",
        "BertLMHeadModel",
        **SMALL,
        max_position_embeddings=64,
        is_decoder=True,
    )
    assert len(score(tmp_path, ["The old man"]))


def test_model_without_head_is_refused_unless_it_is_tied(tokenizer, tmp_path):
    save_as(
        tokenizer,
        tmp_path / "a",
        "GPTNeoXConfig",
        "GPTNeoXModel",
        **SMALL,
        max_position_embeddings=64,
    )
    change_config(tmp_path / "a", architectures=["GPTNeoXForCausalLM"])
    with pytest.raises(InputError, match=r"lacks '(embed_out|lm_head)\.weight'"):
        load_model(tmp_path / "a")
    save_as(
        tokenizer,
        tmp_path / "b",
        "GPT2Config",
        "GPT2LMHeadModel",
        n_embd=16,
        n_layer=1,
        n_head=2,
        bos_token_id=1,
        eos_token_id=2,
    )
    model = load_model(tmp_path / "b")
    assert model.lm_head.weight is model.transformer.wte.weight


def test_code_in_a_folder_is_never_run(folder, tmp_path):
    mark = tmp_path / "ran"
    (folder / "evil.py").write_text(f"open({str(mark)!r}, 'w')\nclass Evil: pass\n")
    change_config(
        folder,
        model_type="evil",
        auto_map={"AutoConfig": "evil.Evil", "AutoModelForCausalLM": "evil.Evil"},
    )
    result = CliRunner().invoke(cli.app, ["next", str(folder), "The"], input="y\ny\ny\n")
    assert result.exit_code == 1
    assert not mark.exists()
    assert len(result.output.strip().splitlines()) == 1


def test_context_length_is_what_the_architecture_reads():
    assert (
        context_length({"model_type": "llama", "max_position_embeddings": 32, "n_positions": 8})
        == 32
    )
    assert context_length({"model_type": "gpt2", "n_positions": 8, "n_ctx": 16}) == 8
    assert context_length({"model_type": "roberta", "max_position_embeddings": 514}) == 512
    assert context_length({"model_type": "mamba"}) == 2048


def test_rotary_angles_scaled_by_old_names_are_those_of_transformers(folder):
    change_config(
        folder, rope_parameters="absent", rope_scaling={"rope_type": "default", "rope_theta": 500.0}
    )
    expected = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    ids = torch.tensor([[1, 80, 81, 82, 83]])
    assert torch.equal(load_model(folder)(input_ids=ids).logits, expected(input_ids=ids).logits)
    assert read_config(folder)["rope_scaling"]["rope_theta"] == 500.0
    found = score(folder, ["The old man walked to the sea"])["surprisal"]
    change_config(
        folder, rope_scaling="absent", rope_parameters={"rope_type": "default", "rope_theta": 500.0}
    )
    torch.testing.assert_close(
        torch.tensor(found),
        torch.tensor(score(folder, ["The old man walked to the sea"])["surprisal"]),
        atol=1e-5,
        rtol=0,
    )
