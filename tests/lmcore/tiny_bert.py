"""A tiny BERT over a vocabulary of whole words and two pieces, for tests of the judges."""

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForMaskedLM

SENTENCE = "the old man walked to sea and looked at ships she gave him a letter he read it twice nobody knew what captain wanted chapter"
WORDS = SENTENCE.split(" ")
VOCABULARY = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    ".",
    ",",
    "sail",
    "##or",
    "##s",
    *WORDS,
    *"0123456789",
    *[f"##{n}" for n in range(10)],
]


def save_tokenizer(folder: Path, **named: str) -> None:
    tokenizer = Tokenizer(
        models.WordPiece({word: n for n, word in enumerate(VOCABULARY)}, unk_token="[UNK]")
    )
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.enable_truncation(
        8
    )  # as published tokenizers have it: what is judged must not be cut by it
    tokenizer.enable_padding()
    tokenizer.save(str(folder / "tokenizer.json"))
    names = {
        "mask_token": "[MASK]",
        "pad_token": "[PAD]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "unk_token": "[UNK]",
        **named,
    }
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **{name: token for name, token in names.items() if token},
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def save_bert(
    folder: Path, seed: int = 0, bias: dict[str, float] | None = None, **named: str
) -> Path:
    """A BertForMaskedLM with random weights; with `bias` one whose logits are that number for each word named, 0 for others, everywhere."""
    torch.manual_seed(seed)
    shape = {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 64,
    }
    model = BertForMaskedLM(BertConfig(vocab_size=len(VOCABULARY), initializer_range=0.3, **shape))
    if bias is not None:
        with torch.no_grad():
            model.bert.embeddings.word_embeddings.weight.zero_()  # the head's own weights: they are tied
            for word, value in bias.items():
                model.cls.predictions.bias[VOCABULARY.index(word)] = value
    model.save_pretrained(folder)
    save_tokenizer(folder, **named)
    return folder
