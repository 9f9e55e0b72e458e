"""Greedy words: the same as token by token without cache, padding or batch, whatever the model."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers.processors import TemplateProcessing

from lmcore.corpus.words import first_word
from lmcore.errors import InputError
from lmcore.generating.generation import BATCH_SIZE, encode_prompts, greedy_words
from lmcore.models.controls import make_controls
from lmcore.models.dummy import DummyConfig, DummyForCausalLM
from lmcore.models.llama import new_llama, save_model, token_ids
from lmcore.models.load import load_model
from lmcore.models.unigram import UnigramConfig, UnigramForCausalLM
from lmcore.text.tokenizer import load_fast

SHAPE = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 40,
    "initializer_range": 0.5,  # large, so that contexts matter
}
SENTENCE = (
    "The old man walked to the sea and looked at the ships. "
    "She gave him a letter, and he read it twice. Nobody knew"
)
CONTEXTS = [SENTENCE[: SENTENCE.find(" ", 5 * n + 2)] for n in range(BATCH_SIZE + 5)]


@pytest.fixture(scope="module")
def llama(tokenizer: Path, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "llama"
    save_model(new_llama(SHAPE, tokenizer, 3), tokenizer, folder)
    return folder


def alone(path: Path, prompt: list[int], max_tokens: int = 8) -> str:
    """The greedy word of one prompt, everything read anew for each token."""
    model, tokenizer, ids = load_model(path), load_fast(path), list(prompt)
    for _ in range(max_tokens):
        with torch.no_grad():
            ids.append(int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
        text = tokenizer.decode(ids)[len(tokenizer.decode(prompt)) :]
        is_whole = ids[-1] < 3 or len(ids) == len(prompt) + max_tokens
        if (word := first_word(text, is_whole)) is not None:
            return word
    raise AssertionError


def test_greedy_words_in_padded_batches_are_those_of_each_context_alone(llama: Path) -> None:
    prompts = encode_prompts(load_fast(llama), llama, CONTEXTS, "prefix", 32)
    words = greedy_words(llama, CONTEXTS, bos="prefix")
    assert words == [alone(llama, prompt) for prompt in prompts]
    assert len(set(words)) > 3, "a model that says one thing tests nothing"


def test_greedy_words_do_not_depend_on_the_order_and_repeat(llama: Path) -> None:
    words = greedy_words(llama, CONTEXTS, bos="prefix")
    assert (
        greedy_words(llama, CONTEXTS[::-1], bos="prefix")[::-1]
        == words
        == greedy_words(llama, CONTEXTS, bos="prefix")
    )


def test_greedy_words_of_the_dummy_see_the_prefix_without_its_padding(
    tokenizer: Path, tmp_path: Path
) -> None:
    save_model(
        DummyForCausalLM(
            DummyConfig(seeds=[0], max_position_embeddings=64, **token_ids(tokenizer))
        ),
        tokenizer,
        tmp_path / "dummy",
    )
    prompts = encode_prompts(load_fast(tokenizer), tmp_path / "dummy", CONTEXTS[:5], "prefix", 56)
    assert greedy_words(tmp_path / "dummy", CONTEXTS[:5], bos="prefix") == [
        alone(tmp_path / "dummy", prompt) for prompt in prompts
    ]


@pytest.mark.parametrize(
    ("top", "word"), [("Ġ", ""), ("Ġthe", " the"), (",", ","), ("</s>", ""), ("e", "eeeeeeee")]
)
def test_greedy_word_of_a_model_that_repeats_one_token(
    tokenizer: Path, tmp_path: Path, top: str, word: str
) -> None:
    """Without a boundary within eight tokens the word is what there is of it."""
    counts = np.zeros(300, int)
    counts[load_fast(tokenizer).token_to_id(top)] = 9
    config = UnigramConfig(max_position_embeddings=64, **token_ids(tokenizer))
    save_model(UnigramForCausalLM.from_counts(counts, config), tokenizer, tmp_path / "unigram")
    assert greedy_words(tmp_path / "unigram", ["The old man", ""], bos="prefix") == [word, word]


def test_prompts_keep_the_prefix_and_the_end_of_a_long_context(llama: Path) -> None:
    tokenizer = load_fast(llama)
    ids = tokenizer.encode(CONTEXTS[-1]).ids
    assert encode_prompts(tokenizer, llama, [CONTEXTS[-1]], "prefix", 10) == [[1, *ids[-9:]]]
    assert encode_prompts(tokenizer, llama, [CONTEXTS[-1]], "none", 10) == [ids[-10:]]
    assert len(ids) > 10
    assert encode_prompts(tokenizer, llama, ["<s>The"], "prefix", 10) == [
        [1, *tokenizer.encode("The").ids]
    ], "BOS is never doubled"


def test_prompts_of_a_tokenizer_that_appends_eos_end_before_it(llama: Path) -> None:
    tokenizer = load_fast(llama)
    ids = tokenizer.encode("The old").ids
    tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    assert encode_prompts(tokenizer, llama, ["The old"], "tokenizer", 10) == [[1, *ids]]


@pytest.mark.parametrize(
    ("bos", "message"),
    [
        ("none", "nothing stands before the word"),
        ("twice", "bos must be one of prefix, tokenizer, none"),
    ],
)
def test_prompts_bad_policy_is_named(llama: Path, bos: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        greedy_words(llama, [""], bos=bos)


def test_greedy_words_of_every_control_are_text(tokenizer: Path, tmp_path: Path) -> None:
    from datasets import Dataset

    Dataset.from_dict({"input_ids": [[5, 6, 7, 8]]}).save_to_disk(tmp_path / "chunks")
    make_controls(
        SHAPE, tokenizer, tmp_path / "chunks", tmp_path, untrained_seed=0, dummy_seeds=[0, 1]
    )
    for name in ("untrained", "dummy", "unigram"):
        assert all(
            isinstance(word, str)
            for word in greedy_words(tmp_path / name, ["The old", "She gave him a"], bos="prefix")
        )
