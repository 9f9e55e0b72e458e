"""Sampling strategies side by side, and whether a text can be had again: prompts go in, statistics of what each strategy writes come out.

Besides what lmcore.generating.continuations says of texts (diversity, repetition, log-prob under the model), three shares of texts that are
the same to the letter: `same_again`, in a second run with the same seed; `same_other_seed`, under another seed, as in a run that fixes
none; `same_alone`, where every text is written in a batch of its own.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import pyarrow as pa
import torch
from pydantic import Field

from lmcore.explorations.blending import Blender, weight_study
from lmcore.files import rounded, write_json
from lmcore.generating.continuations import NewTokens, generate, statistics
from lmcore.generating.sampling import Decoding
from lmcore.params.ranges import (
    DIFFERENT,
    Align,
    Bins,
    Bos,
    Count,
    Digits,
    Name,
    Names,
    Processes,
    Prompt,
    Seed,
)
from lmcore.params.schema import mapping
from lmcore.tables import GENERATIONS

Strategies = Annotated[dict[Name, Annotated[dict, mapping(Decoding)] | None], Field(min_length=1)]
Way = Literal["embeddings", "mixture", "product"]
SHOWN = {
    "greedy": {},
    "temperature": {"temperature": 0.8},
    "top_k": {"temperature": 1.0, "top_k": 40},
    "top_p": {"temperature": 1.0, "top_p": 0.9},
    "min_p": {"temperature": 1.0, "min_p": 0.1},
    "typical": {"temperature": 1.0, "typical_p": 0.9},
}  # what the command compares; the stage's own are in its params


def compare_strategies(
    model: Path,
    prompts: list[str],
    strategies: Mapping[str, dict | None],
    *,
    bos: str,
    max_new_tokens: int,
    batch_size: int,
    seed: int,
    digits: int,
) -> tuple[dict[str, dict], pa.Table]:
    """{strategy: statistics of its texts under `seed`, with the three shares}, and the GENERATIONS; strategies: name: Decoding's fields."""

    def written(n: int, seeds: list[int]) -> tuple[pa.Table, pa.Table]:
        decodings = {
            name: {
                **(entry or {}),
                "seeds": seeds if (entry or {}).get("temperature") else seeds[:1],
            }
            for name, entry in strategies.items()
        }
        return generate(model, prompts, bos, max_new_tokens, "stop", n, decodings)

    tokens, texts = written(batch_size, [seed, seed + 1])
    again, alone = (_by_key(written(n, [seed])[1]) for n in (batch_size, 1))
    first = [sample == 0 for sample in texts["sample"].to_pylist()]
    found = statistics(
        tokens.filter([sample == 0 for sample in tokens["sample"].to_pylist()]),
        texts.filter(first),
        digits,
    )
    every = _by_key(texts)
    for name, values in found.items():
        keys = [key for key in again if key[1] == name]
        values["same_again"] = _share([every[key] == again[key] for key in keys])
        values["same_alone"] = _share([every[key] == alone[key] for key in keys])
        values["same_other_seed"] = _share(
            [every[key] == every.get((*key[:2], 1), every[key]) for key in keys]
        )  # greedy has no seed
    return found, texts.filter(first)


def explore_generation(
    model_folder: Path,
    metrics: Path,
    *,
    models: Names,
    prompts: Annotated[list[Prompt], Field(min_length=1)],
    strategies: Strategies,
    blended: Annotated[list[Prompt], Field(min_length=2, max_length=2)],
    ways: Annotated[list[Way], Field(min_length=1), DIFFERENT],
    steps: Bins,
    align: Align,
    bos: Bos,
    max_new_tokens: NewTokens,
    batch_size: Count,
    threads: Processes,
    seed: Seed,
    digits: Digits,
) -> None:
    """Write {model: {`sampling`: compare_strategies, `blending`: {way: {weight of the first of the two prompts `blended`: its share}}}}.

    threads: of torch, the bits depend on them.
    """
    torch.set_num_threads(threads)
    values: dict[str, dict] = {}
    for model in models:
        settings: dict[str, Any] = {
            "bos": bos,
            "max_new_tokens": max_new_tokens,
            "batch_size": batch_size,
            "seed": seed,
            "digits": digits,
        }
        sampling, _ = compare_strategies(model_folder / model, prompts, strategies, **settings)
        blending: dict[str, dict] = {}
        for row in weight_study(
            Blender(model_folder / model, blended, bos), ways, steps, align, max_new_tokens
        ):
            shares = {
                "share": row["share"],
                "logprob_1": row["logprob_1"],
                "logprob_2": row["logprob_2"],
            }
            blending.setdefault(row["way"], {})[f"weight_{round(100 * row['weight']):03d}"] = shares
        values[model] = {"sampling": sampling, "blending": blending}
    write_json(rounded(values, digits), metrics)


def _by_key(texts: pa.Table) -> dict[tuple[str, str, int], str]:
    assert texts.schema.equals(GENERATIONS)
    return {(row["item"], row["variant"], row["sample"]): row["text"] for row in texts.to_pylist()}


def _share(same: list[bool]) -> float:
    return sum(same) / len(same)
