"""Small models with their tokenizer, in folders, as the engine finds them."""

import json
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from lmcore.models.dummy import DummyConfig, DummyForCausalLM
from lmcore.tables import items_table

TEXTS = [
    "The cats annoy Tim.",
    "The cats annoys Tim.",
    "Who should Derek hug after shocking Richard?",
    "café  naïve\nnew line",
    "One two three four five.",
]


def save_tokenizer(path: Path, trim: bool = True, template: str | None = None) -> Tokenizer:
    """A byte-level BPE of 300 tokens in the folder; <s> is 1, </s> is 2."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<pad>", "<s>", "</s>"],
        initial_alphabet=alphabet,
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    steps = [processors.ByteLevel(trim_offsets=trim)]
    if template:
        steps.append(
            processors.TemplateProcessing(single=template, special_tokens=[("<s>", 1), ("</s>", 2)])
        )
    tokenizer.post_processor = processors.Sequence(steps)
    path.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(path / "tokenizer.json"))
    names = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "pad_token": "<pad>",
    }
    (path / "tokenizer_config.json").write_text(json.dumps(names))
    return tokenizer


def save_llama(path: Path, **changes) -> LlamaForCausalLM:
    """A random Llama of two layers in the folder, with its tokenizer."""
    shape = {
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    }
    special = {"vocab_size": 300, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    others = {"max_position_embeddings": 512, "initializer_range": 0.2}
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**{**shape, **special, **others, **changes})).eval()
    model.save_pretrained(path)
    save_tokenizer(path)
    return model


@pytest.fixture(scope="session")
def llama(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("models") / "llama"
    save_llama(path)
    return path


@pytest.fixture(scope="session")
def gpt2(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("models") / "gpt2"
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=300,
        n_embd=32,
        n_layer=2,
        n_head=2,
        n_positions=128,
        bos_token_id=1,
        eos_token_id=2,
        initializer_range=0.2,
    )
    GPT2LMHeadModel(config).save_pretrained(path)
    save_tokenizer(path)
    return path


@pytest.fixture(scope="session")
def dummy(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("models") / "dummy"
    DummyForCausalLM(DummyConfig(vocab_size=300, seeds=[3, 4])).save_pretrained(path)
    save_tokenizer(path)
    return path


def items(texts: list, scoring: dict | None = None):
    """The items table of texts, or (context, target) pairs, named i/0000 ..."""
    pairs = [("", text) if isinstance(text, str) else text for text in texts]
    rows = [
        {
            "item": f"i/{number:04d}",
            "option": 0,
            "variant": "",
            "group": "g",
            "context": context,
            "target": target,
            "gold": True,
        }
        for number, (context, target) in enumerate(pairs)
    ]
    return items_table(rows, scoring or {"bos": "prefix"})
