"""What a model goes on to write: contexts go in, the next word of each by greedy decoding comes out.

Token by token through the model's own forward with its KV cache, in batches of contexts of like length that are padded on the left. Which
contexts share a batch depends on the contexts alone, so the same contexts give the same words.
"""

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path

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
N_ANCHOR = 4  # tokens of the prompt decoded with what follows: some tokenizers drop a leading space where a text begins


def greedy_words(
    model_path: Path, contexts: list[str], *, bos: str, max_tokens: int = 8
) -> list[str]:
    """The word that the model of the folder `model_path` writes after each context, with the whitespace before it.

    It takes the most probable token (of equal ones the first) until the word is over (lmcore.corpus.words.first_word), at most `max_tokens`.
    `bos` is the suite's policy, as in lmcore.text.encoder. A context longer than the model's window loses its beginning. Raises
    InputError for an unknown policy, and for a context without a token where nothing stands before it.
    """
    tokenizer, config = load_fast(model_path), read_causal_config(model_path)
    prompts = encode_prompts(
        tokenizer, model_path, contexts, bos, context_length(config) - max_tokens
    )
    model = load_model(model_path)
    special = {
        number for number, token in tokenizer.get_added_tokens_decoder().items() if token.special
    }
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


def encode_prompts(
    tokenizer: Tokenizer, model_path: Path, contexts: list[str], bos: str, longest: int
) -> list[list[int]]:
    """The token ids of each context behind what the `bos` policy puts there, the end of those that have more than `longest`."""
    if bos not in BOS_POLICIES:
        raise InputError(f"bos must be one of {', '.join(BOS_POLICIES)}, not {bos!r}")
    prefix_id = find_prefix_id(tokenizer, model_path) if bos == "prefix" else None
    probe, of_probe = own_tokens(tokenizer.encode("a", add_special_tokens=bos == "tokenizer"))
    prefix = (
        probe[: of_probe.start] if prefix_id is None else [prefix_id]
    )  # an empty context does not say what stands before it
    encodings = encode_texts(
        tokenizer,
        contexts,
        lambda row: f"{model_path}: the context {contexts[row]!r}",
        add_special_tokens=bos == "tokenizer",
    )
    prompts = []
    for context, encoding in zip(contexts, encodings, strict=True):
        every, own = own_tokens(
            encoding
        )  # without an EOS that the tokenizer appends: it would end the text
        ids = every[own]
        ids = ids[count_doubled(ids, prefix) :]
        if not prefix and not ids:
            raise InputError(
                f"{model_path}: nothing stands before the word of the context {context!r} under bos '{bos}'"
            )
        prompts.append(prefix + ids[max(0, len(ids) + len(prefix) - longest) :])
    return prompts


def decode_greedily(
    model, prompts: dict[int, list[int]], is_done: Callable[[int, list[int]], bool]
) -> None:
    """Continue all `prompts` (row: ids) together until `is_done(row, new ids)` has been true once of every row; it is asked after each
    token of a row.
    """
    written: dict[int, list[int]] = {row: [] for row in prompts}
    running = set(prompts)
    for logits in _next_logits(model, list(prompts.values()), written):
        top = logits.argmax(-1).tolist()
        for row, token in zip(prompts, top, strict=True):
            written[row].append(token)
            if row in running and is_done(row, written[row]):
                running.remove(row)
        if not running:
            return


@torch.inference_mode()
def _next_logits(
    model, prompts: list[list[int]], written: dict[int, list[int]]
) -> Iterator[torch.Tensor]:
    """Logits (B, V) of the next token of every prompt, again and again; the caller adds the tokens it chose to `written` in between."""
    longest = max(map(len, prompts))
    ids = torch.tensor([[0] * (longest - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    accepted = inspect.signature(model.forward).parameters
    last_only = {"logits_to_keep": 1} if "logits_to_keep" in accepted else {}
    inputs, cache = ids, None
    while True:
        positions = (mask.cumsum(1) - 1).clamp_min(0)[:, -inputs.shape[1] :]
        where = {"position_ids": positions} if "position_ids" in accepted else {}
        output = model(
            input_ids=inputs,
            attention_mask=mask,
            past_key_values=cache,
            use_cache=True,
            **where,
            **last_only,
        )
        yield output.logits[:, -1]
        new = torch.tensor([tokens[-1:] for tokens in written.values()])
        ids, mask = torch.cat([ids, new], 1), torch.cat([mask, torch.ones_like(new)], 1)
        cache = getattr(output, "past_key_values", None)
        inputs = ids if cache is None else new  # a model without a cache reads everything again


def decode_after(tokenizer: Tokenizer, prompt: list[int], ids: list[int]) -> str:
    """The text of `ids` as it goes on from `prompt`, with its leading whitespace; special tokens have none."""
    anchor = prompt[-N_ANCHOR:]
    return tokenizer.decode(anchor + ids)[len(tokenizer.decode(anchor)) :]
