"""What a model says about each token, computed from its logits.

Hidden states go in. Columns of the token table come out. Logits are made in chunks of rows, so
logits [T, V] never exist whole.

The log-softmax is float32 whatever the dtype of the weights; log-probs and entropies are in nats.
The rank is 1 + the number of strictly larger logits. The entropy is that of the very distribution
that predicted the token, with 0 * log 0 = 0. A value that is not finite stays so, and is refused
later, where the item is known.
"""

import functools
from collections.abc import Callable

import numpy as np
import torch

# rows of logits at a time: as many as fit a cache, or enough to keep a GPU busy
CHUNK_ROWS = {"cpu": 256, "cuda": 4096}
Summary = tuple[dict[str, torch.Tensor], torch.Tensor, torch.Tensor]


def summarise(logits: torch.Tensor, rows: torch.Tensor, next_ids: torch.Tensor) -> Summary:
    """The columns of TOKENS (p,) for pairs of a row and the token that follows it.

    Two more tensors describe each row (n,): the largest logit, and the log of the sum of
    exp(logit - largest).

    logits: (n, V) float32, overwritten; rows: (p,) ascending; next_ids: (p,).
    """
    chosen = logits[rows, next_ids]
    # numpy's argmax and count are several times as fast as torch's
    values = logits.numpy()
    top_ids = torch.from_numpy(values.argmax(1))
    ranks = [
        1 + np.count_nonzero(values[row] > logit)
        for row, logit in zip(rows.tolist(), chosen.numpy())
    ]
    top = logits.gather(1, top_ids[:, None])
    shifted = logits.sub_(top)
    weights = shifted.exp()
    total = weights.sum(-1)
    log_total = total.log()
    spread = torch.linalg.vecdot(weights, shifted)
    if not spread.isfinite().all():  # a logit of -inf: its weight is 0, and so must be the product
        spread = torch.linalg.vecdot(weights, shifted.clamp_(min=torch.finfo(torch.float32).min))
    top = top.flatten()
    columns = {
        "logprob": chosen - top[rows] - log_total[rows],
        "entropy": (log_total - spread / total).clamp_(min=0)[rows],
        "rank": torch.tensor(ranks, dtype=torch.int32),
        "top_id": top_ids[rows].int(),
        "top_logprob": -log_total[rows],
    }
    return columns, top, log_total


def summarise_fused(logits: torch.Tensor, rows: torch.Tensor, next_ids: torch.Tensor) -> Summary:
    """As `summarise`, in a form that torch.compile turns into a few kernels.

    `logits` is not changed.
    """
    chosen = logits[rows, next_ids]
    top, top_ids = logits.max(-1)
    shifted = logits - top[:, None]
    weights = shifted.exp()
    total = weights.sum(-1)
    log_total = total.log()
    spread = (weights * shifted.clamp(min=torch.finfo(torch.float32).min)).sum(-1)
    columns = {
        "logprob": chosen - top[rows] - log_total[rows],
        "entropy": (log_total - spread / total).clamp(min=0)[rows],
        "rank": 1 + (logits[rows] > chosen[:, None]).sum(-1, dtype=torch.int32),
        "top_id": top_ids[rows].int(),
        "top_logprob": -log_total[rows],
    }
    return columns, top, log_total


@functools.cache
def reader(device: str) -> Callable[..., Summary]:
    """The function that reads logits on that device."""
    return torch.compile(summarise_fused, dynamic=True) if device == "cuda" else summarise


def statistics(
    head: Callable[[torch.Tensor], torch.Tensor],
    hidden: torch.Tensor,
    pair_nodes: np.ndarray,
    pair_next: np.ndarray,
    top_k: int = 0,
    begins: torch.Tensor | None = None,
    chunk_rows: int = CHUNK_ROWS["cpu"],
    read: Callable[..., Summary] = summarise,
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The columns of TOKENS, by name, of pairs (node, next token); and the masses of nodes (N,).

    The mass of a node is the log mass of the tokens that are marked in `begins` (V,), or 0 without
    it.

    head: turns rows of `hidden` (N, H) into logits (n, V); pair_nodes: (P,) ascending; pair_next:
    (P,); top_k: adds `top_ids` and `top_logprobs` (P, k); read: `summarise`, or a function that
    gives the same.
    """
    masses = torch.zeros(len(hidden), device=hidden.device)
    wanted = np.unique(pair_nodes) if begins is None else np.arange(len(hidden))
    chunks: list[dict[str, torch.Tensor]] = []
    for start in range(0, len(wanted), chunk_rows):
        nodes = wanted[start : start + chunk_rows]
        first, last = np.searchsorted(pair_nodes, (nodes[0], nodes[-1] + 1))
        rows = torch.from_numpy(np.searchsorted(nodes, pair_nodes[first:last])).to(hidden.device)
        next_ids = torch.from_numpy(pair_next[first:last])
        # A single row takes another path through the kernels, so it is taken twice
        padded = np.append(nodes, nodes[0]) if len(nodes) == 1 else nodes
        logits = head(hidden[torch.from_numpy(padded)]).float()[: len(nodes)]
        best = torch.topk(logits, top_k, sorted=True) if top_k else None
        mass = None if begins is None else logits[:, begins].logsumexp(-1) - logits.logsumexp(-1)
        columns, top, log_total = read(logits, rows, next_ids.to(hidden.device))
        if best is not None:
            columns["top_ids"] = best.indices[rows].int()
            columns["top_logprobs"] = (best.values - top[:, None] - log_total[:, None])[rows]
        if mass is not None:
            masses[torch.from_numpy(nodes).to(hidden.device)] = mass
        chunks.append(columns)
        del logits  # or two chunks of logits would exist at a time
    return _joined(chunks), masses.cpu().numpy()


def _joined(chunks: list[dict[str, torch.Tensor]]) -> dict[str, np.ndarray]:
    """The columns of all chunks, one after the other."""
    columns = {}
    for name in chunks[0]:
        parts = [chunk[name] for chunk in chunks]
        columns[name] = torch.cat(parts).cpu().numpy()
    return columns
