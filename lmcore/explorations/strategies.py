"""Sampling strategies side by side, and whether a text can be generated again.

Prompts go in, statistics of what each strategy writes come out.

The statistics are those of lmcore.generating.continuations (diversity, repetition, log-prob under
the model) and three shares of texts that are the same to the letter: `same_again`, in a second run
with the same seed; `same_other_seed`, under another seed, as in a run that fixes none;
`same_alone`, where every text is written in a batch of its own.
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
# what the command compares; those of the stage are in its params
SHOWN = {
    "greedy": {},
    "temperature": {"temperature": 0.8},
    "top_k": {"temperature": 1.0, "top_k": 40},
    "top_p": {"temperature": 1.0, "top_p": 0.9},
    "min_p": {"temperature": 1.0, "min_p": 0.1},
    "typical": {"temperature": 1.0, "typical_p": 0.9},
}


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
    """The statistics of each strategy's texts under `seed`, with the three shares, and the texts.

    The statistics are by the names of the `strategies`, which are {name: fields of Decoding}. The
    texts are a table of GENERATIONS.
    """

    def write(n: int, seeds: list[int]) -> tuple[pa.Table, pa.Table]:
        decodings = _decodings(strategies, seeds)
        return generate(model, prompts, bos, max_new_tokens, "stop", n, decodings)

    tokens, texts = write(batch_size, [seed, seed + 1])
    again = _by_key(write(batch_size, [seed])[1])
    alone = _by_key(write(1, [seed])[1])
    by_key = _by_key(texts)
    tokens, texts = _of_first_seed(tokens), _of_first_seed(texts)
    values = statistics(tokens, texts, digits)
    for name in values:
        keys = [key for key in again if key[1] == name]
        # without a temperature there is one seed, whose texts are the same under every other
        other_seed = {key: by_key.get((*key[:2], 1), by_key[key]) for key in keys}
        values[name]["same_again"] = _share([by_key[key] == again[key] for key in keys])
        values[name]["same_alone"] = _share([by_key[key] == alone[key] for key in keys])
        values[name]["same_other_seed"] = _share([by_key[key] == other_seed[key] for key in keys])
    return values, texts


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
    """Write {model: {`sampling`: …, `blending`: …}} to the file `metrics`.

    `sampling` are the statistics of `compare_strategies`; `blending` is {way: {weight of the first
    of the two prompts `blended`: its share, and the log-probs under both prompts}}.

    threads: of torch; the bits of the results depend on them.
    """
    torch.set_num_threads(threads)
    settings: dict[str, Any] = {
        "bos": bos,
        "max_new_tokens": max_new_tokens,
        "batch_size": batch_size,
        "seed": seed,
        "digits": digits,
    }
    values: dict[str, dict] = {}
    for model in models:
        path = model_folder / model
        sampling, _ = compare_strategies(path, prompts, strategies, **settings)
        blender = Blender(path, blended, bos)
        rows = weight_study(blender, ways, steps, align, max_new_tokens)
        values[model] = {"sampling": sampling, "blending": _shares_by_weight(rows)}
    write_json(rounded(values, digits), metrics)


def _decodings(strategies: Mapping[str, dict | None], seeds: list[int]) -> dict[str, dict]:
    """The strategies as `generate` takes them; one without a temperature gets the first seed."""
    decodings = {}
    for name, entry in strategies.items():
        fields = entry or {}
        decodings[name] = {**fields, "seeds": seeds if fields.get("temperature") else seeds[:1]}
    return decodings


def _of_first_seed(table: pa.Table) -> pa.Table:
    """The rows of the first seed, in a table with a column `sample`."""
    return table.filter([sample == 0 for sample in table["sample"].to_pylist()])


def _by_key(texts: pa.Table) -> dict[tuple[str, str, int], str]:
    """The texts of GENERATIONS by item, variant (the strategy) and sample (which of the seeds)."""
    assert texts.schema.equals(GENERATIONS)
    return {(row["item"], row["variant"], row["sample"]): row["text"] for row in texts.to_pylist()}


def _share(is_same: list[bool]) -> float:
    return sum(is_same) / len(is_same)


def _shares_by_weight(rows: list[dict]) -> dict[str, dict]:
    """The rows of `weight_study` as {way: {weight_PERCENT: its numbers}}."""
    shares: dict[str, dict] = {}
    for row in rows:
        weight = f"weight_{round(100 * row['weight']):03d}"
        numbers = {name: row[name] for name in ("share", "logprob_1", "logprob_2")}
        shares.setdefault(row["way"], {})[weight] = numbers
    return shares
