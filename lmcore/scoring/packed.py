"""The packed forward, for any LM of transformers that attends through its attention interface.

`Pass`es go in. Hidden states come out. The model's own modules run over one row of trie nodes, with
the nodes' depths as `position_ids`, so each unique prefix is computed once. Only attention is ours,
registered under NAME. It runs block by block, as planned, under the model's own masks: the mask
function that a model asks transformers for (causal, sliding, chunked) is evaluated on depths.

Whether a model can run in this way is checked when it is loaded: see guard.py.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F

from lmcore.scoring.halves import ROWS, Halves
from lmcore.scoring.plan import Pass, blocks, whole_blocks

NAME = "lmcore_packed"
# keys gathered at a time: this bounds the memory and changes no result
ATTENTION_ROWS = {"cpu": 2**13, "cuda": 2**17}


class Visible(NamedTuple):
    """Which keys a query sees.

    `sees(batch, head, query, key)` takes tensors of positions. No key is seen that stands `reach`
    or more positions before the query; None sets no such limit.
    """

    sees: Callable[..., torch.Tensor]
    reach: int | None = None


class Keys(NamedTuple):
    """What the queries of a block attend to: L queries and S keys in each of B paths."""

    queries: torch.Tensor  # (B, L) nodes
    keys: torch.Tensor  # (B, S) nodes
    mask: torch.Tensor | None  # (L, S) bool; None where every key is seen


class Attention:
    """The function that transformers calls in each layer, for the current pass."""

    def __init__(self) -> None:
        self.made: list[tuple[int, torch.Tensor]] = []  # start and paths of each block
        self.sources = torch.empty(0)  # (N,) where each node's result stands in those of the blocks
        self.known: dict[int, tuple[Any, list[Keys]]] = {}  # by the id of a mask function
        self.n_calls = 0
        self.is_masked = False

    def prepare(self, one_pass: Pass, device: torch.device, is_masked: bool) -> None:
        """Begin a pass. Its rows are filled up to a multiple of ROWS.

        A masked LM sees its texts whole.
        """
        made, sources = (whole_blocks if is_masked else blocks)(one_pass.paths, len(one_pass.ids))
        self.made = [(block.start, torch.from_numpy(block.paths).to(device)) for block in made]
        n_more = -len(one_pass.ids) % ROWS
        self.sources = F.pad(torch.from_numpy(sources), [0, n_more]).to(device)
        self.known, self.n_calls, self.is_masked = {}, 0, is_masked

    def __call__(
        self,
        module: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: Visible | None,
        scaling: float | None = None,
        sliding_window: int | None = None,
        softcap: float | None = None,
        s_aux: torch.Tensor | None = None,
        **others,
    ) -> tuple[torch.Tensor, None]:
        """Attention (1, N, heads, d) of a layer.

        The parameters are those of transformers' attention interface. query: (1, heads, N, d); key
        and value: (1, kv_heads, N, d).
        """
        self.n_calls += 1
        visible = attention_mask or self._without_mask(sliding_window)
        q, k, v = (x[0].transpose(0, 1) for x in (query, key, value))
        scaling = q.shape[-1] ** -0.5 if scaling is None else scaling
        attend: Callable[..., torch.Tensor]
        attend, setting = (_fused, s_aux) if softcap is None else (_capped, softcap)
        results = []
        for block in self._blocks(visible):
            size = max(1, ATTENTION_ROWS[q.device.type] // block.keys.shape[1])
            for rows, seen in zip(block.queries.split(size), block.keys.split(size), strict=True):
                parts = [x[nodes].transpose(1, 2) for x, nodes in ((q, rows), (k, seen), (v, seen))]
                # mypy takes `attend` for only one of the two functions
                out = attend(*parts, block.mask, scaling, setting)  # type: ignore[call-arg, arg-type]
                results.append(out.transpose(1, 2).flatten(0, 1))
        return torch.cat(results)[self.sources][None], None

    def _without_mask(self, sliding_window: int | None) -> Visible:
        """Which keys are seen where the model asks transformers for no mask."""
        if self.is_masked:
            return Visible(_everything)
        return Visible(_window(sliding_window), sliding_window)

    def _blocks(self, visible: Visible) -> list[Keys]:
        """The blocks under a mask, computed once for a pass."""
        if id(visible.sees) not in self.known:
            keys = [self._keys(start, paths, visible) for start, paths in self.made]
            # The function is stored, too, so that no other function can get its id
            self.known[id(visible.sees)] = visible.sees, keys
        return self.known[id(visible.sees)][1]

    @staticmethod
    def _keys(start: int, paths: torch.Tensor, visible: Visible) -> Keys:
        """What the queries from position `start` on attend to, in paths (B, stop)."""
        stop = paths.shape[1]
        first = 0 if visible.reach is None else max(0, start + 1 - visible.reach) // ROWS * ROWS
        query = torch.arange(start, stop, device=paths.device)[:, None]
        key = torch.arange(first, stop, device=paths.device)[None]
        zero = torch.zeros_like(key[:, :1])
        mask = visible.sees(zero, zero, query, key).expand(stop - start, stop - first)
        return Keys(paths[:, start:], paths[:, first:], None if mask.all() else mask)


def _window(size: int | None) -> Callable[..., torch.Tensor]:
    """The causal mask, limited to the last `size` positions if `size` is given."""
    if size is None:
        return _causal
    return lambda batch, head, query, key: (key <= query) & (key > query - size)


def _causal(batch, head, query, key) -> torch.Tensor:
    return key <= query


def _everything(batch, head, query, key) -> torch.Tensor:
    return torch.ones_like(query * key, dtype=torch.bool)


def _fused(q, k, v, mask, scaling: float, sinks: torch.Tensor | None) -> torch.Tensor:
    """Attention (B, heads, L, d) by torch's fused function.

    A sink is one more key, with a fixed score and without a value.
    """
    grouped = q.shape[1] != k.shape[1]
    if sinks is not None:
        scores = torch.zeros(q.shape[2], k.shape[2], device=q.device)
        if mask is not None:
            scores.masked_fill_(~mask, -torch.inf)
        sink = sinks.float().view(-1, 1, 1).expand(-1, len(scores), 1)
        mask = torch.cat([scores.expand(len(sinks), -1, -1), sink], -1)[None]
        k, v = F.pad(k, [0, 0, 0, 1]), F.pad(v, [0, 0, 0, 1])
    return F.scaled_dot_product_attention(
        q, k, v, attn_mask=mask, scale=scaling, enable_gqa=grouped
    )


def _capped(q, k, v, mask, scaling: float, cap: float) -> torch.Tensor:
    """Attention (B, heads, L, d) with scores kept between -cap and cap.

    Source: Gemma 2.
    """
    k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], 1) for x in (k, v))
    scores = torch.tanh(q @ k.transpose(2, 3) * scaling / cap) * cap
    if mask is not None:
        scores.masked_fill_(~mask, -torch.inf)
    return torch.softmax(scores, -1) @ v


ATTENTION = Attention()


def _mask(*, mask_function: Callable, local_size: int | None = None, **others) -> Visible:
    """The function by which transformers makes masks for our attention."""
    return Visible(mask_function, local_size)


def take_attention(model: Any) -> None:
    """Let a model attend through ATTENTION. Raises ValueError if it attends by its own code."""
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(NAME, ATTENTION)
    AttentionMaskInterface.register(NAME, _mask)
    model.set_attn_implementation(NAME)
    if model.config._attn_implementation != NAME:
        raise ValueError("it does not attend through transformers' interface")


class Packed:
    """A model with our attention (see `take_attention`). `hidden` and `head` are its halves."""

    kind = "packed"

    def __init__(self, halves: Halves, is_masked: bool = False, first_position: int = 0):
        """Take a model in halves.

        `first_position` is the number that a masked LM gives to the first token's position.
        """
        self.halves, self.head = halves, halves.logits
        self.is_masked, self.first_position = is_masked, first_position

    def hidden(self, one_pass: Pass) -> torch.Tensor:
        """The hidden states (N, H) float32 of a pass's nodes, from which `head` makes logits."""
        device = self.halves.model.device
        ATTENTION.prepare(one_pass, device, self.is_masked)
        padding = [0, -len(one_pass.ids) % ROWS]
        ids, positions = (
            F.pad(torch.from_numpy(x), padding)[None].to(device)
            for x in (one_pass.ids, one_pass.positions + self.first_position)
        )
        # Without a mask, transformers would infer where texts begin from the positions
        mask = torch.ones_like(ids)
        states = self.halves.states(input_ids=ids, position_ids=positions, attention_mask=mask)
        return states[0, : len(one_pass.ids)]
