"""Prompts blended: several prompts with weights go in, one text that goes on from all of them comes out.

Three ways. `embeddings`: the weighted sum of the prompts' token embeddings, place by place; a shorter prompt is padded with nothing, on
the right (align left) or on the left (align right), and at each place the weights of the prompts that reach it are normalised. `mixture`:
at every step the weighted mean of the next-token distributions after each prompt, each with the text so far behind it; `product`: their
weighted geometric mean, normalised (a product of experts, Hinton 2002). A prompt of weight 0 takes no part, so with one weight of 1 the
text is that prompt's own continuation, token by token.
"""

import inspect
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from lmcore.errors import InputError
from lmcore.generating.generation import decode_after, encode_prompts
from lmcore.generating.sampling import Decoding, check_decoding, draw, random_numbers, truncated
from lmcore.models.config import context_length
from lmcore.models.folder import read_causal_config
from lmcore.models.load import load_model
from lmcore.text.tokenizer import load_fast

WAYS = ("embeddings", "mixture", "product")
ALIGNMENTS = ("left", "right")
GREEDY = Decoding()
ITEM = "prompt/0000"  # the stream of random numbers, the same as of the first prompt in lmcore.generating.continuations


class Blend(NamedTuple):
    """What was written: its ids and text, and its log-prob a token, in nats, under each single prompt."""

    ids: list[int]
    text: str
    logprobs: list[float]


class Blender:
    """A model and prompts, ready to be blended with any weights."""

    def __init__(self, model_path: Path, prompts: list[str], bos: str = "prefix"):
        """Raises InputError without a prompt, or for one without a token."""
        if not prompts:
            raise InputError("there is no prompt; name at least one with --prompt")
        config = read_causal_config(model_path)
        self.window, self.tokenizer = context_length(config), load_fast(model_path)
        self.prompts = encode_prompts(self.tokenizer, model_path, prompts, bos, self.window - 1)
        self.model = load_model(model_path)
        self.ends = {
            number
            for number, token in self.tokenizer.get_added_tokens_decoder().items()
            if token.special
        }

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
        """The text that goes on from the prompts with these weights, of which only the proportions count.

        It ends at a special token, after `max_new_tokens`, or where the window is full. Raises InputError for weights, ways and numbers
        that cannot be.
        """
        shares = normalised(weights, len(self.prompts))
        for name, value, known in (("way", way, WAYS), ("align", align, ALIGNMENTS)):
            if value not in known:
                raise InputError(f"{name} must be one of {', '.join(known)}, not {value!r}")
        if max_new_tokens < 1:
            raise InputError(f"max_new_tokens must be at least 1, not {max_new_tokens}")
        check_decoding("blend", decoding)
        chosen = [
            (prompt, share) for prompt, share in zip(self.prompts, shares, strict=True) if share > 0
        ]
        numbers, ids = random_numbers(seed, ITEM), list[int]()
        room = self.window - max(len(prompt) for prompt, _ in chosen)
        steps = (
            self.embedded(chosen, align, ids)
            if way == "embeddings"
            else self.distributions(chosen, way, ids)
        )
        with torch.inference_mode():
            for logits in steps:
                cut = truncated(logits, decoding)
                taken = (
                    cut.argmax(1)
                    if decoding.temperature == 0
                    else draw(cut, np.array([numbers.random()]))
                )
                ids.append(int(taken[0]))
                if ids[-1] in self.ends or len(ids) >= min(max_new_tokens, room):
                    break
        written = ids[:-1] if ids[-1] in self.ends else ids
        longest = max(chosen, key=lambda pair: pair[1])[0]
        return Blend(
            ids,
            decode_after(self.tokenizer, longest, written),
            [self.logprob(prompt, ids) for prompt in self.prompts],
        )

    @torch.inference_mode()
    def logprob(self, prompt: list[int], ids: list[int]) -> float:
        """Nats a token of `ids` after the prompt."""
        prompt = prompt[-(self.window - len(ids)) :]
        logits = (
            self.model(input_ids=torch.tensor([prompt + ids]))
            .logits[0, len(prompt) - 1 : -1]
            .float()
        )
        return float(logits.log_softmax(1).gather(1, torch.tensor(ids)[:, None]).double().mean())

    def embedded(
        self, chosen: list[tuple[list[int], float]], align: str, ids: list[int]
    ) -> Iterator[torch.Tensor]:
        """Logits (1, V) after the blended embeddings and what has been written since."""
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
        given: dict[str, Any] = {"inputs_embeds": blended[None]}
        cache = None
        while True:
            output = self.model(**given, past_key_values=cache, use_cache=True)
            yield output.logits[:, -1].float()
            cache, given = output.past_key_values, {"input_ids": torch.tensor([ids[-1:]])}

    def distributions(
        self, chosen: list[tuple[list[int], float]], way: str, ids: list[int]
    ) -> Iterator[torch.Tensor]:
        """Log-probs (1, V) of the mean of the distributions after each prompt and what has been written since."""
        shares = torch.tensor([share for _, share in chosen], dtype=torch.float64)[:, None]
        caches: list[Any] = [None] * len(chosen)
        while True:
            rows = []
            for number, (prompt, _) in enumerate(chosen):
                inputs = (
                    ids[-1:] if caches[number] is not None else prompt + ids
                )  # a model without a cache reads everything again
                output = self.model(
                    input_ids=torch.tensor([inputs]), past_key_values=caches[number], use_cache=True
                )
                caches[number] = getattr(output, "past_key_values", None)
                rows.append(output.logits[:, -1].float())
            if len(rows) == 1:
                yield rows[0]
                continue
            logprobs = torch.cat(rows).double().log_softmax(1)
            mixed = (
                (logprobs + shares.log()).logsumexp(0)
                if way == "mixture"
                else (shares * logprobs).sum(0)
            )
            yield mixed.log_softmax(0)[None].float()


def blend_embeddings(parts: list[torch.Tensor], shares: list[float], align: str) -> torch.Tensor:
    """(T, hidden): the sum of `parts` (each (T_i, hidden)) by `shares`, normalised at each place over the parts that reach it."""
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
    """The weights divided by their sum. Raises InputError where there are not `n`, one is negative or none is above 0."""
    if len(weights) != n:
        raise InputError(f"{len(weights)} weights for {n} prompts; expected one each")
    if (
        not all(np.isfinite(weight) and weight >= 0 for weight in weights)
        or not 0 < sum(weights) < np.inf
    ):
        raise InputError(
            f"weights must be numbers of at least 0, one of them above, not {', '.join(map(str, weights))}"
        )
    return [weight / sum(weights) for weight in weights]


def weight_study(
    blender: Blender, ways: Sequence[str], steps: int, align: str, max_new_tokens: int
) -> list[dict]:
    """How the text moves from the second of two prompts to the first as its weight grows from 0 to 1 in so many `steps`, by each way.

    A row has the way, the first prompt's `weight`, the greedy text, its log-prob a token under each prompt, and `share`: which part of the
    probability of the whole text under either prompt is the first's.
    """
    rows = []
    for way in ways:
        for number in range(steps + 1):
            weight = number / steps
            found = blender.blend(
                [weight, 1 - weight], way=way, align=align, max_new_tokens=max_new_tokens
            )
            of_first, of_second = found.logprobs
            share = 1 / (
                1 + float(np.exp(np.clip((of_second - of_first) * len(found.ids), -700, 700)))
            )
            rows.append(
                {
                    "way": way,
                    "weight": weight,
                    "share": share,
                    "logprob_1": of_first,
                    "logprob_2": of_second,
                    "text": found.text,
                }
            )
    return rows
