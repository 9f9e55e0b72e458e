"""Prompts blended: several prompts with weights go in, one text that goes on from all comes out.

There are three ways:

- `embeddings`: the weighted sum of the prompts' token embeddings, place by place. A shorter prompt
  is padded with nothing, on the right (align left) or on the left (align right). At each place the
  weights of the prompts that reach it are normalised.
- `mixture`: at every step the weighted mean of the next-token distributions after each prompt, each
  followed by the text so far.
- `product`: their weighted geometric mean, normalised (a product of experts, Hinton 2002).

A prompt of weight 0 takes no part. So with one weight of 1 the text is that prompt's own
continuation, token by token.
"""

import inspect
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from lmcore.errors import InputError
from lmcore.generating.generation import (
    cached_logits,
    decode_after,
    encode_prompts,
    special_ids,
)
from lmcore.generating.sampling import Decoding, check_decoding, draw, random_numbers, truncated
from lmcore.models.config import context_length
from lmcore.models.folder import read_causal_config
from lmcore.models.load import load_model
from lmcore.text.tokenizer import load_fast

WAYS = ("embeddings", "mixture", "product")
ALIGNMENTS = ("left", "right")
GREEDY = Decoding()
# names the stream of random numbers: that of the first prompt in lmcore.generating.continuations
ITEM = "prompt/0000"
Chosen = list[tuple[list[int], float]]  # the prompts that take part, as ids, and their shares


class Blend(NamedTuple):
    """A text that was written."""

    ids: list[int]
    text: str
    logprobs: list[float]  # of each single prompt: the mean log-prob of a token after it, in nats


class Blender:
    """A model and prompts, ready to be blended with any weights."""

    def __init__(self, model_path: Path, prompts: list[str], bos: str = "prefix"):
        """Load the model and encode the prompts.

        Raises InputError without a prompt, or for one without a token.
        """
        if not prompts:
            raise InputError("there is no prompt; name at least one with --prompt")
        config = read_causal_config(model_path)
        self.window, self.tokenizer = context_length(config), load_fast(model_path)
        self.prompts = encode_prompts(self.tokenizer, model_path, prompts, bos, self.window - 1)
        self.model = load_model(model_path)
        self.ends = special_ids(self.tokenizer)

    def blend(
        self,
        weights: list[float],
        *,
        way: str,
        align: str,
        max_new_tokens: int,
        decoding: Decoding = GREEDY,
        seed: int = 0,
    ) -> Blend:
        """The text that goes on from the prompts with these weights.

        Only the proportions of the weights count. The text ends at a special token, after
        `max_new_tokens`, or where the window is full. Raises InputError for weights, ways and
        numbers that cannot be.
        """
        shares = normalised(weights, len(self.prompts))
        for name, value, known in (("way", way, WAYS), ("align", align, ALIGNMENTS)):
            if value not in known:
                raise InputError(f"{name} must be one of {', '.join(known)}, not {value!r}")
        if max_new_tokens < 1:
            raise InputError(f"max_new_tokens must be at least 1, not {max_new_tokens}")
        check_decoding("blend", decoding)
        pairs = zip(self.prompts, shares, strict=True)
        chosen = [(prompt, share) for prompt, share in pairs if share > 0]
        room = self.window - max(len(prompt) for prompt, _ in chosen)
        numbers = random_numbers(seed, ITEM)
        ids: list[int] = []
        with torch.inference_mode():
            for logits in self._steps(chosen, way, align, ids):
                ids.append(_next_id(logits, decoding, numbers))
                if ids[-1] in self.ends or len(ids) >= min(max_new_tokens, room):
                    break
        written = ids[:-1] if ids[-1] in self.ends else ids
        heaviest, _ = max(chosen, key=lambda pair: pair[1])
        text = decode_after(self.tokenizer, heaviest, written)
        return Blend(ids, text, [self.logprob(prompt, ids) for prompt in self.prompts])

    @torch.inference_mode()
    def logprob(self, prompt: list[int], ids: list[int]) -> float:
        """The mean log-prob of a token of `ids` after the prompt, in nats.

        Where both do not fit the window, the beginning of the prompt is left out.
        """
        prompt = prompt[-(self.window - len(ids)) :]
        output = self.model(input_ids=torch.tensor([prompt + ids]))
        logits = output.logits[0, len(prompt) - 1 : -1].float()
        return float(logits.log_softmax(1).gather(1, torch.tensor(ids)[:, None]).double().mean())

    def embedded(self, chosen: Chosen, align: str, ids: list[int]) -> Iterator[torch.Tensor]:
        """Logits (1, V) after the blended embeddings and `ids`, what has been written since.

        The caller appends a token to `ids` between two steps. Raises InputError for a model without
        embeddings to blend.
        """
        if "inputs_embeds" not in inspect.signature(self.model.forward).parameters:
            raise InputError(
                "this model has no embeddings to blend; use the way mixture or product"
            )
        embed = self.model.get_input_embeddings()
        blended = blend_embeddings(
            [embed(torch.tensor(prompt)) for prompt, _ in chosen],
            [share for _, share in chosen],
            align,
        )

        def follow(is_cached: bool) -> dict[str, torch.Tensor]:
            if is_cached:
                return {"input_ids": torch.tensor([ids[-1:]])}
            return {"inputs_embeds": torch.cat([blended, embed(torch.tensor(ids))])[None]}

        return cached_logits(self.model, {"inputs_embeds": blended[None]}, follow)

    def distributions(self, chosen: Chosen, way: str, ids: list[int]) -> Iterator[torch.Tensor]:
        """Log-probs (1, V) of the mean of the distributions after each prompt and `ids`.

        `ids` are what has been written since: the caller appends a token between two steps. The
        logits after a single prompt are given as they are.
        """
        shares = torch.tensor([share for _, share in chosen], dtype=torch.float64)[:, None]
        steps = [self._after(prompt, ids) for prompt, _ in chosen]
        for rows in zip(*steps, strict=True):
            yield rows[0] if len(rows) == 1 else _mean(torch.cat(rows), shares, way)

    def _after(self, prompt: list[int], ids: list[int]) -> Iterator[torch.Tensor]:
        """Logits (1, V) after the prompt and `ids`, to which the caller appends."""

        def follow(is_cached: bool) -> dict[str, torch.Tensor]:
            return {"input_ids": torch.tensor([ids[-1:] if is_cached else prompt + ids])}

        return cached_logits(self.model, follow(False), follow)

    def _steps(
        self, chosen: Chosen, way: str, align: str, ids: list[int]
    ) -> Iterator[torch.Tensor]:
        """Logits (1, V) after the prompts, blended in one of WAYS, and `ids`."""
        if way == "embeddings":
            return self.embedded(chosen, align, ids)
        return self.distributions(chosen, way, ids)


def blend_embeddings(parts: list[torch.Tensor], shares: list[float], align: str) -> torch.Tensor:
    """(T, hidden) the sum of the `parts`, each (T_i, hidden), weighted by the `shares`.

    The shares are normalised at each place over the parts that reach it.
    """
    if len(parts) == 1:
        return parts[0]  # exactly: not even multiplied by 1
    longest = max(map(len, parts))
    total, weight = torch.zeros(longest, parts[0].shape[1]), torch.zeros(longest, 1)
    for part, share in zip(parts, shares, strict=True):
        at = slice(0, len(part)) if align == "left" else slice(longest - len(part), longest)
        total[at] += share * part
        weight[at] += share
    return total / weight


def normalised(weights: list[float], n: int) -> list[float]:
    """The weights divided by their sum.

    Raises InputError where there are not `n` of them, one is negative or not finite, or none is
    above 0.
    """
    if len(weights) != n:
        raise InputError(f"{len(weights)} weights for {n} prompts; expected one each")
    is_valid = all(np.isfinite(weight) and weight >= 0 for weight in weights)
    if not is_valid or not 0 < sum(weights) < np.inf:
        raise InputError(
            "each weight must be a number of at least 0, and one of them must be above 0, "
            f"not {', '.join(map(str, weights))}"
        )
    return [weight / sum(weights) for weight in weights]


def weight_study(
    blender: Blender, ways: Sequence[str], steps: int, align: str, max_new_tokens: int
) -> list[dict]:
    """How the text moves from the second of two prompts to the first as its weight grows.

    The weight grows from 0 to 1 in so many `steps`, for each of the `ways`. A row has the way, the
    first prompt's `weight`, the greedy text, its mean log-prob of a token under each prompt, and
    `share`. The share says which part of the probability of the whole text under either prompt is
    the first's.
    """
    rows = []
    for way in ways:
        for number in range(steps + 1):
            weight = number / steps
            blend = blender.blend(
                [weight, 1 - weight], way=way, align=align, max_new_tokens=max_new_tokens
            )
            logprob_1, logprob_2 = blend.logprobs
            log_odds = np.clip((logprob_2 - logprob_1) * len(blend.ids), -700, 700)
            rows.append(
                {
                    "way": way,
                    "weight": weight,
                    "share": 1 / (1 + float(np.exp(log_odds))),
                    "logprob_1": logprob_1,
                    "logprob_2": logprob_2,
                    "text": blend.text,
                }
            )
    return rows


def _next_id(logits: torch.Tensor, decoding: Decoding, numbers: np.random.Generator) -> int:
    """The token that follows; without a temperature no random number is drawn."""
    cut = truncated(logits, decoding)
    if decoding.temperature == 0:
        return int(cut.argmax(1)[0])
    return int(draw(cut, np.array([numbers.random()]))[0])


def _mean(logits: torch.Tensor, shares: torch.Tensor, way: str) -> torch.Tensor:
    """Log-probs (1, V): the arithmetic (`mixture`) or geometric (`product`) mean of distributions.

    logits: (prompts, V); shares: (prompts, 1).
    """
    logprobs = logits.double().log_softmax(1)
    if way == "mixture":
        mixed = (logprobs + shares.log()).logsumexp(0)
    else:
        mixed = (shares * logprobs).sum(0)
    return mixed.log_softmax(0)[None].float()
