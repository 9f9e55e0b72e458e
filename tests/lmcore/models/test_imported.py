import json
import shutil

import pytest
import torch
from safetensors.torch import save_file
from tokenizers import normalizers, pre_tokenizers

from lmcore.api import score
from lmcore.errors import InputError
from lmcore.files import sha256
from lmcore.models.imported import check_source, import_model
from lmcore.models.imported_folders import changed_folders
from lmcore.models.llama import new_llama, save_model
from lmcore.models.load import load_model, load_tokenizer
from lmcore.text.tokenizer import load_fast
from tests.lmcore.models.tiny_gguf import randomise, write_gguf
from tests.lmcore.training.test_loop import SHAPE

DIGITS = pre_tokenizers.Sequence(
    [
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False),
    ]
)


@pytest.fixture
def published(tokenizer, tmp_path, monkeypatch):
    """A model folder below LMCORE_DATA, as its makers would publish it.

    The second value is a function that imports it.
    """
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
        import_model(
            "theirs", tmp_path / "ours", tmp_path, sha256=sha256(tmp_path / "picked"), **source
        )
        return tmp_path / "ours"

    return folder, run


def test_import_model_folder_scores_as_the_original(published):
    folder, run = published
    ours = run()
    ids = torch.arange(3, 15)[None]
    assert torch.equal(
        load_model(ours)(input_ids=ids).logits, load_model(folder)(input_ids=ids).logits
    )
    assert load_tokenizer(ours)("The sea")["input_ids"] == load_fast(folder).encode("The sea").ids


def test_import_model_without_weights_is_refused(published, tmp_path):
    _, run = published
    with pytest.raises(
        InputError,
        match=r"theirs: the source holds config.json, .*: no \*.safetensors and no \*.gguf",
    ):
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
    with pytest.raises(InputError, match=r"'model.norm.weight' holds NaN or infinity"):
        run()


@pytest.mark.parametrize(
    ("normalizer", "pre_tokenizer", "tokenizer_class"),
    [
        (normalizers.NFKC(), pre_tokenizers.ByteLevel(add_prefix_space=True), "GPT2TokenizerFast"),
        (
            normalizers.Lowercase(),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
            "GPT2Tokenizer",
        ),
        (None, DIGITS, "GPT2TokenizerFast"),
        (None, pre_tokenizers.ByteLevel(add_prefix_space=False), "Qwen2TokenizerFast"),
    ],
)
def test_import_model_tokenizer_is_copied_to_the_byte(
    published, normalizer, pre_tokenizer, tokenizer_class
):
    folder, run = published
    fast = load_fast(folder)
    fast.normalizer, fast.pre_tokenizer = normalizer, pre_tokenizer
    fast.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": tokenizer_class,
        "bos_token": "<s>",
        "eos_token": "</s>",
        "pad_token": "<pad>",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    ours = run()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (ours / name).read_bytes() == (folder / name).read_bytes()
    text = ["The ﬁrst CAFÉ was 1984."]
    assert score(ours, text).equals(score(folder, text))


def test_import_model_gaps_and_other_architectures_are_refused(published, tmp_path):
    folder, run = published
    model = load_model(folder)
    state = model.state_dict()
    del state["lm_head.weight"]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"^theirs/model\.safetensors: lacks 'lm_head\.weight'"):
        run()
    assert not (tmp_path / "ours").exists()


@pytest.fixture
def llama_gguf(tokenizer, tmp_path, monkeypatch):
    """A Llama, and a function that imports it from a GGUF file with the given metadata."""
    monkeypatch.setenv("LMCORE_DATA", str(tmp_path))
    model = new_llama(SHAPE, tokenizer, 0).eval()
    randomise(model)
    fast = load_fast(tokenizer)

    def run(pre="gpt-2", names=("model",), **metadata):
        source = tmp_path / "theirs"
        shutil.rmtree(source, ignore_errors=True)
        source.mkdir()
        for name in names:
            write_gguf(source / f"{name}.gguf", model, fast, pre, **metadata)
        content = sha256(source)
        place = {
            "provider": "folder",
            "location": "theirs",
            "members": ["*.gguf"],
            "sha256": content,
        }
        import_model("theirs", tmp_path / "ours", tmp_path, **place)
        return tmp_path / "ours"

    return model, run


def test_import_model_gguf_gives_the_logits_of_the_model(llama_gguf):
    model, run = llama_gguf
    ids = torch.arange(3, 25)[None]
    torch.testing.assert_close(load_model(run())(input_ids=ids).logits, model(input_ids=ids).logits)


def test_import_model_gguf_linear_scaling_of_angles_is_kept(llama_gguf):
    model, run = llama_gguf
    ours = load_model(run(rope__scaling__type="linear", rope__scaling__factor=4.0))
    rope = {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0}
    config = type(model.config).from_dict({**model.config.to_dict(), "rope_parameters": rope})
    scaled = type(model)(config).eval()
    scaled.load_state_dict(model.state_dict())
    ids = torch.arange(3, 25)[None]
    torch.testing.assert_close(ours(input_ids=ids).logits, scaled(input_ids=ids).logits)
    assert not torch.allclose(ours(input_ids=ids).logits, model(input_ids=ids).logits)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"rope__scaling__type": "yarn", "rope__scaling__factor": 4.0}, "only linear is supported"),
        ({"logit_scale": 0.5}, "the key 'llama.logit_scale' is not supported"),
        ({"pre": "brand-new"}, "'tokenizer.ggml.pre' is 'brand-new'"),
        ({"pre": None}, "'tokenizer.ggml.pre' is None"),
        ({"names": ("a-Q4", "b-Q8")}, r"match 2 GGUF files \(a-Q4.gguf, b-Q8.gguf\)"),
    ],
)
def test_import_model_gguf_what_is_not_known_is_refused(llama_gguf, metadata, message):
    with pytest.raises(InputError, match=message):
        llama_gguf[1](**metadata)


@pytest.mark.parametrize(("pre", "expected"), [("smollm", ["1", "2", "²"]), ("gpt-2", ["12²"])])
def test_import_model_gguf_splits_text_as_the_file_says(llama_gguf, pre, expected):
    fast = load_fast(llama_gguf[1](pre=pre))
    pieces = [text.removeprefix("Ġ") for text, _ in fast.pre_tokenizer.pre_tokenize_str("x 12²")]
    decoded = [fast.decoder.decode([piece]) for piece in pieces]
    assert [piece for piece in decoded if piece not in ("x", "")] == expected


def test_import_model_gguf_that_is_none_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("LMCORE_DATA", str(tmp_path))
    (tmp_path / "theirs").mkdir()
    for content in (
        b"",
        b"GGUF",
        b"GGUF" + b"\xff" * 64,
        b"version https://git-lfs.github.com/spec/v1\n",
    ):
        (tmp_path / "theirs" / "model.gguf").write_bytes(content)
        place = {"provider": "folder", "location": "theirs", "members": ["*.gguf"]}
        with pytest.raises(InputError, match=r"model\.gguf: "):
            import_model(
                "theirs", tmp_path / "ours", tmp_path, sha256=sha256(tmp_path / "theirs"), **place
            )


def import_theirs(tmp_path, **source) -> None:
    values = {"provider": "folder", "location": "theirs", "members": ["*"]} | source
    import_model("theirs", tmp_path / "models/theirs", tmp_path, **values)


def test_import_model_of_a_folder_needs_no_sha256_and_records_it(published, tmp_path):
    folder, _ = published
    import_theirs(tmp_path)
    record = json.loads((tmp_path / "models/theirs/source.json").read_text())
    assert record == {
        "provider": "folder",
        "location": "theirs",
        "members": ["*"],
        "sha256": sha256(folder),
    }
    load_model(tmp_path / "models/theirs")


def test_import_model_with_a_sha256_records_nothing_besides(published):
    _, run = published
    assert not (run() / "source.json").exists()


def test_changed_folder_without_a_sha256_is_noticed(published, tmp_path, monkeypatch):
    folder, _ = published
    imports = {"theirs": {"provider": "folder", "location": "theirs", "members": ["*"]}}
    assert changed_folders(imports, tmp_path / "models") == []  # it was not imported yet
    import_theirs(tmp_path)
    assert changed_folders(imports, tmp_path / "models") == []
    (folder / "generation_config.json").write_text("{}")
    assert changed_folders(imports, tmp_path / "models") == ["theirs"]
    import_theirs(tmp_path)
    assert changed_folders(imports, tmp_path / "models") == []
    (folder / "added.txt").write_text("one more")
    assert changed_folders(imports, tmp_path / "models") == ["theirs"]
    pinned = {"theirs": imports["theirs"] | {"sha256": "0" * 64}}
    assert changed_folders(pinned, tmp_path / "models") == []  # its stage checks it
    monkeypatch.delenv("LMCORE_DATA")
    assert changed_folders(imports, tmp_path / "models") == []


def test_import_model_of_a_hub_branch_names_the_commit_to_pin(tmp_path, monkeypatch):
    class Info:
        sha = "ab" * 20

    asked = []
    monkeypatch.setattr(
        "huggingface_hub.HfApi.model_info", lambda self, repo: asked.append(repo) or Info
    )
    with pytest.raises(InputError) as error:
        import_theirs(tmp_path, provider="hub", location="lab/tiny")
    assert str(error.value) == (
        "import_model.theirs: lab/tiny needs a revision, since a branch of the hub may move; "
        f"to pin what main is now, add to it: `revision: {'ab' * 20}`"
    )
    assert asked == ["lab/tiny"] and not (tmp_path / "models").exists()


def test_import_model_of_a_hub_branch_offline_says_that_it_cannot_name_one(tmp_path):
    with pytest.raises(InputError, match=r"which commit main is now the hub does not say: "):
        import_theirs(tmp_path, provider="hub", location="lab/tiny")


def test_import_model_of_a_wheel_needs_a_sha256():
    with pytest.raises(ValueError, match="needs a sha256"):
        check_source(provider="pypi", location="wheel==1.0")
