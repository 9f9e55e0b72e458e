"""What a model said about each token, from its logits, in chunks of rows: [T, V] logits never exist whole.

Float32 log-softmax whatever the dtype of the weights; nats. The rank is 1 + the number of strictly larger logits. The entropy is that of
the very distribution that predicted the token, with 0 * log 0 = 0. What is not finite stays so, and is refused where the item is known.
"""

from collections.abc import Callable

import numpy as np
import torch

CHUNK_ROWS = 64


def statistics(
    head: Callable[[torch.Tensor], torch.Tensor],
    hidden: torch.Tensor,
    pair_nodes: np.ndarray,
    pair_next: np.ndarray,
    top_k: int = 0,
    begins: torch.Tensor | None = None,
    chunk_rows: int = CHUNK_ROWS,
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Per pair (node, next token) the columns of TOKENS, by name; and per node (N,) the log mass of the tokens marked in `begins` (V,), 0
    without it.

    hidden: (N, H), whose rows `head` turns into logits (n, V); pair_nodes: (P,) ascending; top_k adds `top_ids` and `top_logprobs` (P, k).
    """
    masses = np.zeros(len(hidden), np.float32)
    wanted = np.unique(pair_nodes) if begins is None else np.arange(len(hidden))
    columns: list[dict[str, torch.Tensor]] = []
    for start in range(0, len(wanted), chunk_rows):
        nodes = wanted[start : start + chunk_rows]
        first, last = np.searchsorted(pair_nodes, (nodes[0], nodes[-1] + 1))
        of_node = torch.from_numpy(np.searchsorted(nodes, pair_nodes[first:last]))
        padded = np.append(nodes, nodes[0]) if len(nodes) == 1 else nodes  # a single row takes another path through the kernels
        logits = head(hidden[torch.from_numpy(padded)]).float()[: len(nodes)]
        chunk, mass = _chunk(logits, of_node, torch.from_numpy(pair_next[first:last]), top_k, begins)
        columns.append(chunk)
        masses[nodes] = mass
    return {name: torch.cat([chunk[name] for chunk in columns]).numpy() for name in columns[0]}, masses


def _chunk(logits: torch.Tensor, of_node: torch.Tensor, next_ids: torch.Tensor, top_k: int, begins: torch.Tensor | None):
    """The columns for the pairs of one chunk; logits: (n, V) float32, overwritten; of_node, next_ids: (p,)."""
    chosen = logits[of_node, next_ids]
    top, top_ids = logits.max(-1)
    ranks = _ranks(logits, of_node, chosen)
    best = torch.topk(logits, top_k, sorted=True) if top_k else None
    shifted = logits.sub_(top[:, None])
    weights = shifted.exp()
    total = weights.sum(-1)
    log_total = total.log()
    spread = torch.linalg.vecdot(weights, shifted)
    if not spread.isfinite().all():  # a logit of -inf: its weight is 0, and so must be the product
        spread = torch.linalg.vecdot(weights, shifted.clamp_(min=torch.finfo(torch.float32).min))
    entropy = (log_total - spread / total).clamp_(min=0)
    columns = {
        "logprob": chosen - top[of_node] - log_total[of_node],
        "entropy": entropy[of_node],
        "rank": ranks,
        "top_id": top_ids[of_node].int(),
        "top_logprob": -log_total[of_node],
    }
    if best is not None:
        columns |= {"top_ids": best.indices[of_node].int(), "top_logprobs": (best.values - top[:, None] - log_total[:, None])[of_node]}
    mass = 0.0 if begins is None else (torch.mv(weights, begins.float()).log() - log_total).numpy()
    return columns, mass


def _ranks(logits: torch.Tensor, of_node: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """1 + how many logits of each pair's row are strictly larger than the pair's own: (p,) int32."""
    ranks = torch.empty(len(of_node), dtype=torch.int32)
    repeated = torch.zeros(len(of_node), dtype=torch.bool)
    repeated[1:] = of_node[1:] == of_node[:-1]
    first = ~repeated
    if len(of_node) and first.sum() == len(logits):  # each row once, without a copy; further tokens of the same row after it
        ranks[first] = (logits > chosen[first][:, None]).sum(-1, dtype=torch.int32) + 1
    else:
        repeated[:] = True
    for pair in repeated.nonzero().flatten().tolist():
        ranks[pair] = (logits[of_node[pair]] > chosen[pair]).sum() + 1
    return ranks
