"""What a model writes next: contexts go in, the next word of each by greedy decoding comes out.

The model's own forward runs token by token with its KV cache. Contexts of similar length share a
batch, padded on the left. Which contexts share a batch depends on the contexts alone, so the same
contexts give the same words.
"""

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from lmcore.corpus.words import first_word
from lmcore.errors import InputError
from lmcore.models.config import context_length
from lmcore.models.folder import read_causal_config
from lmcore.models.load import load_model
from lmcore.text.encoder import BOS_POLICIES, count_doubled, find_prefix_id, own_tokens
from lmcore.text.tokenizer import encode_texts, load_fast

BATCH_SIZE = 16  # contexts
# tokens of the prompt that are decoded together with what follows: some tokenizers drop a leading
# space where a text begins
N_ANCHOR = 4


def greedy_words(
    model_path: Path, contexts: list[str], *, bos: str, max_tokens: int = 8
) -> list[str]:
    """The word that a model writes after each context, with the whitespace before it.

    The model of the folder `model_path` takes the most probable token (of equal ones the first)
    until the word is over (lmcore.corpus.words.first_word), at most `max_tokens`. `bos` is the
    suite's policy, as in lmcore.text.encoder. A context longer than the model's window loses its
    beginning.

    Raises InputError for an unknown policy, and for a context without a token where nothing stands
    before it.
    """
    tokenizer, config = load_fast(model_path), read_causal_config(model_path)
    longest = context_length(config) - max_tokens
    prompts = encode_prompts(tokenizer, model_path, contexts, bos, longest)
    model = load_model(model_path)
    special = special_ids(tokenizer)
    words = [""] * len(prompts)

    def is_done(row: int, ids: list[int]) -> bool:
        is_last = ids[-1] in special or len(ids) == max_tokens
        word = first_word(decode_after(tokenizer, prompts[row], ids), is_last)
        words[row] = word or ""
        return word is not None

    order = sorted(range(len(prompts)), key=lambda row: (len(prompts[row]), row))
    for start in range(0, len(order), BATCH_SIZE):
        rows = order[start : start + BATCH_SIZE]
        decode_greedily(model, {row: prompts[row] for row in rows}, is_done)
    return words


def special_ids(tokenizer: Tokenizer) -> set[int]:
    """The ids of the special tokens, which end a text."""
    added = tokenizer.get_added_tokens_decoder()
    return {number for number, token in added.items() if token.special}


def encode_prompts(
    tokenizer: Tokenizer, model_path: Path, contexts: list[str], bos: str, longest: int
) -> list[list[int]]:
    """The token ids of each context, behind what the `bos` policy puts there.

    Of a context with more than `longest` ids, the prefix and the end are left.

    Raises InputError for an unknown policy, and for a context without a token where nothing stands
    before it.
    """
    if bos not in BOS_POLICIES:
        raise InputError(f"bos must be one of {', '.join(BOS_POLICIES)}, not {bos!r}")
    prefix = _prefix(tokenizer, model_path, bos)
    encodings = encode_texts(
        tokenizer,
        contexts,
        lambda row: f"{model_path}: the context {contexts[row]!r}",
        add_special_tokens=bos == "tokenizer",
    )
    prompts = []
    for context, encoding in zip(contexts, encodings, strict=True):
        # without an EOS that the tokenizer appends, which would end the text
        all_ids, of_text = own_tokens(encoding)
        ids = all_ids[of_text]
        ids = ids[count_doubled(ids, prefix) :]
        if not prefix and not ids:
            raise InputError(
                f"{model_path}: nothing stands before the word of the context {context!r} "
                f"under bos '{bos}'"
            )
        prompts.append(prefix + ids[max(0, len(ids) + len(prefix) - longest) :])
    return prompts


def _prefix(tokenizer: Tokenizer, model_path: Path, bos: str) -> list[int]:
    """The ids that the `bos` policy puts before every context."""
    if bos == "prefix":
        return [find_prefix_id(tokenizer, model_path)]
    # of a text that is not empty: the encoding of an empty one does not say what stands before it
    probe, of_text = own_tokens(tokenizer.encode("a", add_special_tokens=bos == "tokenizer"))
    return probe[: of_text.start]


def decode_greedily(
    model, prompts: dict[int, list[int]], is_done: Callable[[int, list[int]], bool]
) -> None:
    """Continue all `prompts` (row: ids) together until all are done.

    `is_done(row, new ids)` is asked after each token of a row, until it has been true once.
    """
    contexts = {row: list(prompt) for row, prompt in prompts.items()}
    running = set(prompts)
    for logits in next_logits(model, list(contexts.values())):
        top = logits.argmax(-1).tolist()
        for row, token in zip(prompts, top, strict=True):
            contexts[row].append(token)
            if row in running and is_done(row, contexts[row][len(prompts[row]) :]):
                running.remove(row)
        if not running:
            return


def next_logits(
    model, contexts: list[list[int]], window: int | None = None
) -> Iterator[torch.Tensor]:
    """Logits (B, V) float32 of the next token of every context, again and again.

    The caller appends one id to each of the contexts in between. Where contexts may grow beyond the
    model's `window`, positions stay in it: a text that has ended is carried along with the others.
    """
    longest = max(map(len, contexts))
    ids = torch.tensor([[0] * (longest - len(context)) + context for context in contexts])
    mask = torch.tensor(
        [[0] * (longest - len(context)) + [1] * len(context) for context in contexts]
    )
    accepted = inspect.signature(model.forward).parameters
    last_only = {"logits_to_keep": 1} if "logits_to_keep" in accepted else {}
    last_position = None if window is None else window - 1

    def arguments(inputs: torch.Tensor) -> dict[str, Any]:
        positions = (mask.cumsum(1) - 1).clamp(0, last_position)[:, -inputs.shape[1] :]
        position_ids = {"position_ids": positions} if "position_ids" in accepted else {}
        return {"input_ids": inputs, "attention_mask": mask, **position_ids, **last_only}

    def follow(is_cached: bool) -> dict[str, Any]:
        nonlocal ids, mask
        new_ids = torch.tensor([context[-1:] for context in contexts])
        ids = torch.cat([ids, new_ids], 1)
        mask = torch.cat([mask, torch.ones_like(new_ids)], 1)
        return arguments(new_ids if is_cached else ids)

    return cached_logits(model, arguments(ids), follow)


@torch.inference_mode()
def cached_logits(
    model, arguments: dict[str, Any], follow: Callable[[bool], dict[str, Any]]
) -> Iterator[torch.Tensor]:
    """Logits (B, V) float32 of the next token, again and again, with the model's KV cache.

    arguments: those of the model's first call; follow: gives those of each call after it. It is
    told whether everything before is cached. A model without a cache must read it again.
    """
    cache = None
    while True:
        output = model(**arguments, past_key_values=cache, use_cache=True)
        yield output.logits[:, -1].detach().float()
        cache = getattr(output, "past_key_values", None)
        arguments = follow(cache is not None)


def decode_after(tokenizer: Tokenizer, prompt: list[int], ids: list[int]) -> str:
    """The text of `ids` as it goes on from `prompt`, with its leading whitespace.

    Special tokens have no text.
    """
    anchor = prompt[-N_ANCHOR:]
    return tokenizer.decode(anchor + ids)[len(tokenizer.decode(anchor)) :]
