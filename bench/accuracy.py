"""How far each float32 forward is from float64 on real sentences.

The forwards are ours, through each kernel, and that of transformers.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import torch

from lmcore.machine.threads import one_thread
from lmcore.models.load import load_model
from lmcore.scoring.engine import Engine
from lmcore.tables import scoring_of

CLEAR = 1e-4  # the distance of a logit from the token's own, below which a rank may differ


class _Reference(NamedTuple):
    """What transformers says about each of the n rows of a token table."""

    logprob: np.ndarray  # (n,) in nats, by the forward in float64
    rank: np.ndarray  # (n,) int, by the forward in float64
    is_clear: np.ndarray  # (n,) bool: in float64 no other logit is within CLEAR of the token's own
    float32_logprob: np.ndarray  # (n,) in nats, by the forward in float32


def errors(model: Path, items: pa.Table, kernels: list[str], token_budget: int) -> dict[str, float]:
    """The errors of log-probs and ranks of each forward, against float64.

    For log-probs, in nats: the 99th percentile of the error and the largest one. For ranks: how
    many differ from float64, among the rows in which no other logit is within 1e-4 of the token's
    own.
    """
    tables = {}
    with one_thread():
        for kernel in kernels:
            engine = Engine(model, scoring_of(items), "float32", token_budget, kernel=kernel)
            tables[kernel] = engine.score(items)
    rows = next(iter(tables.values())).to_pylist()
    reference = _reference(model, rows)
    figures: dict[str, float] = {"tokens": len(rows)}
    logprobs = {kernel: table["logprob"].to_numpy() for kernel, table in tables.items()}
    logprobs["transformers"] = reference.float32_logprob
    for name, values in logprobs.items():
        error = np.abs(values - reference.logprob)
        figures[f"{name}.p99"] = float(np.quantile(error, 0.99))
        figures[f"{name}.max"] = float(error.max())
    for kernel, table in tables.items():
        ranks = table["rank"].to_numpy()[reference.is_clear]
        is_other = ranks != reference.rank[reference.is_clear]
        figures[f"{kernel}.other_ranks"] = int(is_other.sum())
    return figures


def _reference(model: Path, rows: list[dict]) -> _Reference:
    """What transformers says about the rows of a token table, one text at a time."""
    row_numbers: dict[tuple, list[int]] = {}
    for number, row in enumerate(rows):
        row_numbers.setdefault((row["item"], row["option"]), []).append(number)
    n = len(rows)
    reference = _Reference(np.empty(n), np.empty(n, int), np.empty(n, bool), np.empty(n))
    plain, exact = load_model(model), load_model(model).double()
    with one_thread(), torch.inference_mode():
        for numbers in row_numbers.values():
            next_ids = torch.tensor([rows[number]["next_id"] for number in numbers])
            first_id = torch.tensor([rows[numbers[0]]["current_id"]])
            ids = torch.cat([first_id, next_ids[:-1]])[None]
            logits = exact(input_ids=ids).logits[0]  # (T, V) float64
            chosen = logits.gather(1, next_ids[:, None])
            reference.logprob[numbers] = (chosen[:, 0] - logits.logsumexp(-1)).numpy()
            reference.rank[numbers] = 1 + (logits > chosen).sum(-1).numpy()
            n_near = ((logits - chosen).abs() < CLEAR).sum(-1)
            reference.is_clear[numbers] = n_near.numpy() == 1
            logprobs = torch.log_softmax(plain(input_ids=ids).logits[0], -1)
            reference.float32_logprob[numbers] = logprobs.gather(1, next_ids[:, None])[:, 0].numpy()
    return reference
