"""A tiny BERT for tests of the judges; its vocabulary has whole words and a few word pieces."""

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForMaskedLM

SENTENCE = (
    "the old man walked to sea and looked at ships she gave him a letter he read it twice "
    "nobody knew what captain wanted chapter"
)
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
    """Save a WordPiece tokenizer over VOCABULARY in a folder.

    `named` replaces names of special tokens, such as `mask_token`; an empty one is left out.
    """
    ids = {word: number for number, word in enumerate(VOCABULARY)}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    # published tokenizers truncate and pad; the judges must not let them cut what is judged
    tokenizer.enable_truncation(8)
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
    given = {name: token for name, token in names.items() if token}
    config = {"tokenizer_class": "PreTrainedTokenizerFast", **given}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def save_bert(
    folder: Path, seed: int = 0, bias: dict[str, float] | None = None, **named: str
) -> Path:
    """Save a BertForMaskedLM with random weights and its tokenizer in a folder, and return it.

    With `bias` the logits are known: at every position, and whatever the text, a word that `bias`
    names has that number as its logit, and all other words have 0.
    """
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
            # the head's weights are tied to these embeddings, so they become zero, too
            model.bert.embeddings.word_embeddings.weight.zero_()
            for word, value in bias.items():
                model.cls.predictions.bias[VOCABULARY.index(word)] = value
    model.save_pretrained(folder)
    save_tokenizer(folder, **named)
    return folder
