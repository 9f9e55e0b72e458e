"""What comes next.

A model and a prompt go in, the most probable next tokens and the entropy of the whole distribution
come out.
"""

from pathlib import Path
from typing import NamedTuple

import torch

from lmcore.errors import InputError
from lmcore.generating.generation import encode_prompts
from lmcore.generating.sampling import entropy
from lmcore.models.config import context_length
from lmcore.models.folder import read_causal_config
from lmcore.models.load import load_model
from lmcore.shown import for_terminal
from lmcore.text.readable import token_texts
from lmcore.text.tokenizer import load_fast

BAR = 40  # characters of the longest bar


class NextTokens(NamedTuple):
    """The tokens as text with their ids and probabilities, the most probable first."""

    tokens: list[str]
    ids: list[int]
    probabilities: list[float]
    entropy: float  # nats, of the whole distribution


def next_tokens(model_path: Path, prompt: str, k: int, bos: str) -> NextTokens:
    """The `k` most probable tokens after `prompt`.

    bos: as in lmcore.text.encoder. Raises InputError for a k out of range.
    """
    tokenizer, config = load_fast(model_path), read_causal_config(model_path)
    if not 1 <= k <= config["vocab_size"]:
        raise InputError(
            f"k must be from 1 to {config['vocab_size']}, the model's vocabulary, not {k}"
        )
    (ids,) = encode_prompts(tokenizer, model_path, [prompt], bos, context_length(config))
    with torch.inference_mode():
        logits = load_model(model_path)(input_ids=torch.tensor([ids])).logits[:, -1]
        logprobs = logits.float().log_softmax(1)
    top = logprobs[0].topk(k)
    top_ids = top.indices.tolist()
    names = token_texts(tokenizer)
    tokens = [names[token] if token < len(names) else f"<id {token}>" for token in top_ids]
    return NextTokens(tokens, top_ids, top.values.exp().tolist(), float(entropy(logprobs)[0]))


def as_text(found: NextTokens, prompt: str) -> str:
    """A table with bars.

    Below it stand the probability of all other tokens and the entropy.
    """
    lines = [
        f"'{for_terminal(prompt)}' goes on with",
        f"{'token':<18} {'id':>7} {'probability':>11}",
    ]
    longest = max(found.probabilities)
    for token, number, probability in zip(
        found.tokens, found.ids, found.probabilities, strict=True
    ):
        bar = "█" * max(round(BAR * probability / longest), int(probability > 0))
        quoted = for_terminal(f"'{token}'")
        lines.append(f"{quoted:<18} {number:>7} {probability:>11.4f} {bar}")
    rest = max(0.0, 1 - sum(found.probabilities))
    lines.append(f"{'all others':<26} {rest:>11.4f}")
    return "\n".join([*lines, f"entropy {found.entropy:.3f} nats"]) + "\n"


def as_data(found: NextTokens, prompt: str) -> dict:
    """The same as `as_text`, for programs."""
    rows = zip(found.tokens, found.ids, found.probabilities, strict=True)
    tokens = [
        {"token": token, "id": number, "probability": probability}
        for token, number, probability in rows
    ]
    return {"prompt": prompt, "entropy": found.entropy, "tokens": tokens}
