"""Fixtures of the agreement tests.

- `model` and `lm`: random models whose tokenizers differ in everything that has misled a peer;
- `trained`: the pipeline's own models, where they have been made;
- `peers`: the modules of the peers, imported when they are first used.
"""

import json
import os
import warnings
from pathlib import Path

import pytest
import torch
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from tests.agreement.samples import SUITES

HERE = Path(__file__).parent
SPECIALS = {"<pad>": 0, "<s>": 1, "</s>": 2}
V = 400  # entries of each tokenizer, and of each model's vocabulary
# {name: arguments of save_tokenizer}
TOKENIZERS = {
    "adds_nothing": {},  # has a BOS but does not add it, like BabyLlama's
    "no_bos": {"bos_token": None},  # like GPT-2's: the prefix is EOS
    "adds_bos": {"template": "<s> $A"},
    "prefix_space": {"prefix_space": True, "normalizer": "nfkc"},
    # like SentencePiece's: a space before the text, spaces in the tokens
    "words": {"words": True, "template": "<s> $A"},
    "added_token": {"added": "<|endoftext|>"},  # of id V, beyond the model's vocabulary
    "appends_eos": {"template": "<s> $A </s>"},
}


def pytest_collection_modifyitems(config, items):
    """Ignore warnings in these tests, and skip those of whole suites unless they are asked for."""
    skip = pytest.mark.skip(reason="whole suites take half an hour: make agreement")
    for item in items:
        if HERE in item.path.parents:
            # the peers warn of many things that are not ours
            item.add_marker(pytest.mark.filterwarnings("ignore"))
            if item.get_closest_marker("agreement") and "agreement" not in config.option.markexpr:
                item.add_marker(skip)


@pytest.fixture(scope="session")
def peers():
    """The module `peers`, imported without its warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tests.agreement import peers
    return peers


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """A function that gives the folder of a small random model.

    Its argument is a name of TOKENIZERS, or `gpt2`.
    """
    folder, made = tmp_path_factory.mktemp("agreement"), {}

    def of(name: str) -> Path:
        if name not in made:
            made[name] = folder / name
            save_model(made[name], name)
        return made[name]

    return of


@pytest.fixture(scope="session")
def lm(model, peers):
    """A function that gives lm-eval's model of the same name or folder; each is loaded once."""
    loaded = {}

    def of(name: str, **options):
        key = (name, *options.items())
        if key not in loaded:
            loaded[key] = peers.harness(model(name) if isinstance(name, str) else name, **options)
        return loaded[key]

    return of


@pytest.fixture(scope="session")
def trained():
    """A function that gives the folder of one of the pipeline's models by its name.

    The test is skipped where that model has not been made.
    """

    def of(name: str) -> Path:
        folder = Path(os.environ.get("LMCORE_MODELS", HERE.parents[1] / "data" / "models")) / name
        if not (folder / "tokenizer.json").exists():
            pytest.skip(
                f"needs the model {folder}: run `make repro`, "
                "or say in LMCORE_MODELS where models are"
            )
        return folder

    return of


def save_model(folder: Path, name: str, **changes) -> None:
    """Save a random model of two layers, whose logits spread like those of a trained model.

    `name` is `gpt2`, or that of its tokenizer in TOKENIZERS (another name: as `adds_nothing`).
    `changes` are values of a Llama's config.
    """
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    ids = {"vocab_size": V, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    if name == "gpt2":
        shape = {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 256}
        module = GPT2LMHeadModel(GPT2Config(**shape, initializer_range=0.3, **ids))
    else:
        shape = {
            "hidden_size": 48,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "max_position_embeddings": 256,
            "initializer_range": 0.2,
        }
        module = LlamaForCausalLM(LlamaConfig(**{**shape, **ids, **changes}))
    module.save_pretrained(folder)
    save_tokenizer(folder, **TOKENIZERS.get(name, {}))


def save_tokenizer(
    folder: Path,
    *,
    template: str | None = None,
    prefix_space: bool = False,
    normalizer: str | None = None,
    words: bool = False,
    bos_token: str | None = "<s>",
    added: str | None = None,
) -> None:
    """Save a BPE tokenizer of V entries, trained on all texts of SUITES, and its configuration.

    `template` places special tokens around a text. With `prefix_space` a space is put before it.
    `words` makes tokens like SentencePiece's, else they are byte-level. Without `bos_token` the
    configuration names none. `added` is one more special token, beyond the V entries.
    """
    tokenizer = Tokenizer(models.BPE())
    texts = _texts()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    if words:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
        tokenizer.decoder = decoders.Metaspace()
        alphabet = sorted(set("".join(texts)) | {"▁"})
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix_space)
        tokenizer.decoder = decoders.ByteLevel()
    if normalizer:
        tokenizer.normalizer = normalizers.NFKC()
    options = {"special_tokens": list(SPECIALS), "initial_alphabet": alphabet}
    trainer = trainers.BpeTrainer(vocab_size=V, show_progress=False, **options)
    tokenizer.train_from_iterator(texts, trainer)
    steps = [] if words else [processors.ByteLevel(trim_offsets=True)]
    if template:
        special_tokens = list(SPECIALS.items())
        steps.append(processors.TemplateProcessing(single=template, special_tokens=special_tokens))
    tokenizer.post_processor = processors.Sequence(steps)
    if added:
        tokenizer.add_special_tokens([added])
    assert tokenizer.get_vocab_size() == V + bool(added)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": "</s>",
        "pad_token": "<pad>",
    }
    if bos_token:
        config["bos_token"] = bos_token
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def _texts() -> list[str]:
    """Every text in the documents of SUITES."""
    texts = []
    for suite in SUITES.values():
        for document in suite.documents:
            texts += _strings(document)
    return texts


def _strings(document: dict) -> list[str]:
    """The texts among a document's values, and in lists and mappings among them."""
    texts = []
    for value in document.values():
        if isinstance(value, dict):
            texts += _strings(value)
        entries = value if isinstance(value, list) else [value]
        texts += [entry for entry in entries if isinstance(entry, str)]
    return texts
