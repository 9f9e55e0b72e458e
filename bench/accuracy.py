"""How far each float32 forward is from float64 on real sentences: ours through each kernel, and transformers' own."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from lmcore.models.load import load_model
from lmcore.scoring.engine import Engine
from lmcore.scoring.extract import one_thread
from lmcore.tables import scoring_of


def errors(model: Path, items: pa.Table, kernels: list[str], token_budget: int) -> dict[str, float]:
    """Of log-probs in nats: the 99th percentile and the largest error per forward; and how many ranks are others than in float64, though no
    logit is within 1e-4 of the token's own.
    """
    with one_thread():
        tables = {
            kernel: Engine(model, scoring_of(items), "float32", token_budget, kernel=kernel).score(
                items
            )
            for kernel in kernels
        }
    rows = next(iter(tables.values())).to_pylist()
    texts: dict[tuple, list[int]] = {}
    for number, row in enumerate(rows):
        texts.setdefault((row["item"], row["option"]), []).append(number)
    logprob, rank, clear = np.empty(len(rows)), np.empty(len(rows), int), np.empty(len(rows), bool)
    own = np.empty(len(rows))
    plain, exact = load_model(model), load_model(model).double()
    with one_thread(), torch.inference_mode():
        for numbers in texts.values():
            next_ids = torch.tensor([rows[number]["next_id"] for number in numbers])
            ids = torch.cat([torch.tensor([rows[numbers[0]]["current_id"]]), next_ids[:-1]])[None]
            logits = exact(input_ids=ids).logits[0]
            chosen = logits.gather(1, next_ids[:, None])
            logprob[numbers] = (chosen[:, 0] - logits.logsumexp(-1)).numpy()
            rank[numbers] = 1 + (logits > chosen).sum(-1).numpy()
            clear[numbers] = ((logits - chosen).abs() < 1e-4).sum(-1).numpy() == 1
            own[numbers] = (
                torch.log_softmax(plain(input_ids=ids).logits[0], -1)
                .gather(1, next_ids[:, None])[:, 0]
                .numpy()
            )
    figures: dict[str, float] = {"tokens": len(rows)}
    found = {kernel: table["logprob"].to_numpy() for kernel, table in tables.items()} | {
        "transformers": own
    }
    for name, values in found.items():
        error = np.abs(values - logprob)
        figures |= {
            f"{name}.p99": float(np.quantile(error, 0.99)),
            f"{name}.max": float(error.max()),
        }
    for kernel, table in tables.items():
        figures[f"{kernel}.other_ranks"] = int(
            (table["rank"].to_numpy()[clear] != rank[clear]).sum()
        )
    return figures
