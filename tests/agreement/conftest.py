"""Models whose tokenizers differ in all that has misled a peer; the real models, where they are; the peers, imported when first used."""

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
# name: what its tokenizer is like
TOKENIZERS = {
    "adds_nothing": {},  # has a BOS but does not add it, like BabyLlama's
    "no_bos": {"bos_token": None},  # like GPT-2's: the prefix is EOS
    "adds_bos": {"template": "<s> $A"},
    "prefix_space": {"prefix_space": True, "normalizer": "nfkc"},
    "words": {
        "words": True,
        "template": "<s> $A",
    },  # like SentencePiece: a space before the text, spaces in the tokens
    "added_token": {"added": "<|endoftext|>"},  # of id V, beyond the model's vocabulary
    "appends_eos": {"template": "<s> $A </s>"},
}


def pytest_collection_modifyitems(config, items):
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(
                pytest.mark.filterwarnings("ignore")
            )  # the peers warn of much that is not ours
            if item.get_closest_marker("agreement") and "agreement" not in config.option.markexpr:
                item.add_marker(
                    pytest.mark.skip(reason="whole suites take half an hour: make agreement")
                )


@pytest.fixture(scope="session")
def peers():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tests.agreement import peers
    return peers


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """A function of a name of TOKENIZERS, or `gpt2`, that gives the folder of a small random model."""
    folder, made = tmp_path_factory.mktemp("agreement"), {}

    def of(name: str) -> Path:
        if name not in made:
            made[name] = folder / name
            save_model(made[name], name)
        return made[name]

    return of


@pytest.fixture(scope="session")
def lm(model, peers):
    """lm-eval's model of the same name, each loaded once."""
    loaded = {}

    def of(name: str, **options):
        key = (name, *options.items())
        if key not in loaded:
            loaded[key] = peers.harness(model(name) if isinstance(name, str) else name, **options)
        return loaded[key]

    return of


@pytest.fixture(scope="session")
def trained():
    """A function of a name that gives the folder of one of the pipeline's models; the test is skipped where it has not been made."""

    def of(name: str) -> Path:
        folder = Path(os.environ.get("LMCORE_MODELS", HERE.parents[1] / "data" / "models")) / name
        if not (folder / "tokenizer.json").exists():
            pytest.skip(
                f"needs the model {folder}: run `make repro`, or say in LMCORE_MODELS where models are"
            )
        return folder

    return of


def save_model(folder: Path, name: str, **changes) -> None:
    """A random model of two layers, with logits that spread like a trained one's."""
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    ids = {"vocab_size": V, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    if name == "gpt2":
        module = GPT2LMHeadModel(
            GPT2Config(
                n_embd=32, n_layer=2, n_head=2, n_positions=256, initializer_range=0.3, **ids
            )
        )
    else:
        shape = {
            "hidden_size": 48,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
        }
        module = LlamaForCausalLM(
            LlamaConfig(
                **{
                    **shape,
                    **ids,
                    "max_position_embeddings": 256,
                    "initializer_range": 0.2,
                    **changes,
                }
            )
        )
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
    tokenizer = Tokenizer(models.BPE())
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    if words:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
        tokenizer.decoder = decoders.Metaspace()
        alphabet = sorted({character for text in _texts() for character in text} | {"▁"})
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix_space)
        tokenizer.decoder = decoders.ByteLevel()
    if normalizer:
        tokenizer.normalizer = normalizers.NFKC()
    trainer = trainers.BpeTrainer(
        vocab_size=V, special_tokens=list(SPECIALS), initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(_texts(), trainer)
    steps = [] if words else [processors.ByteLevel(trim_offsets=True)]
    if template:
        steps.append(
            processors.TemplateProcessing(single=template, special_tokens=list(SPECIALS.items()))
        )
    tokenizer.post_processor = processors.Sequence(steps)
    if added:
        tokenizer.add_special_tokens([added])
    assert tokenizer.get_vocab_size() == V + bool(added)
    tokenizer.save(str(folder / "tokenizer.json"))
    names = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": "</s>",
        "pad_token": "<pad>",
    }
    (folder / "tokenizer_config.json").write_text(
        json.dumps(names | ({"bos_token": bos_token} if bos_token else {}))
    )


def _texts() -> list[str]:
    return [
        value
        for suite in SUITES.values()
        for document in suite.documents
        for value in _strings(document)
    ]


def _strings(document: dict) -> list[str]:
    return [
        text
        for value in document.values()
        for text in (value if isinstance(value, list) else [value])
        if isinstance(text, str)
    ]
