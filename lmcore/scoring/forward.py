"""A forward pass of Llama over packed tokens with torch's kernels: `Pass`es in, hidden states out.

Exact float32: each linear layer sees the rows of many texts at once, each unique prefix once; attention runs block by block as the plan
says. With dtype `bfloat16` the linear layers of the body compute in bf16, while residuals, norms, attention and the head stay in float32.
"""

import torch
import torch.nn.functional as F

from lmcore.scoring.kernels import OneDnnLinear, TorchLinear, device_of, pack
from lmcore.scoring.llama import LlamaWeights
from lmcore.scoring.plan import Pass, blocks

MIN_ROWS = 16  # a single row takes another path through the kernels, with other rounding
ATTENTION_ROWS = 8192  # keys gathered at a time; bounds the memory, changes nothing


class PackedLlama:
    """A Llama packed for the kernel `onednn`, `torch` or `cuda`; `hidden` and `head` are its two halves."""

    def __init__(self, weights: LlamaWeights, dtype: str, kernel: str, window: int):
        """`window`: the most positions ever used."""
        self.n_heads, self.n_kv_heads, self.head_size, self.eps = weights.n_heads, weights.n_kv_heads, weights.head_size, weights.eps
        self.dtype = getattr(torch, dtype)
        self.device = device = device_of(kernel)
        self.embedding = weights.embedding().to(device)
        self.head = pack(self.embedding if weights.is_tied else weights.head().to(device), kernel)
        self.norm = weights.norm().to(device)
        self.layers: list[tuple[list[torch.Tensor], list[OneDnnLinear | TorchLinear]]] = []
        for layer in weights.layers():
            linears = [pack(linear.to(device, self.dtype), kernel) for linear in layer[2:]]
            self.layers.append(([norm.to(device) for norm in layer[:2]], linears))
        self.cos, self.sin = (table.to(device) for table in weights.rotary(window))

    def hidden(self, part: Pass) -> torch.Tensor:
        """The normed hidden states (N, H) float32 of a pass's nodes, from which `head` makes logits."""
        n = len(part.ids)
        made, sources = blocks(part.paths, n)
        fill = [0, max(0, MIN_ROWS - n)]
        ids, positions, order = (F.pad(torch.from_numpy(array), fill).to(self.device) for array in (part.ids, part.positions, sources))
        masked = [
            (block.start, torch.from_numpy(block.paths).to(self.device), causal(block.start, block.paths.shape[1]).to(self.device))
            for block in made
        ]
        cos, sin = self.cos[positions][:, None], self.sin[positions][:, None]
        x = self.embedding[ids]
        for (input_norm, post_norm), (qkv, output, gate, up, down) in self.layers:
            q, kv = self._project(qkv(self._norm(x, input_norm).to(self.dtype)).float(), cos, sin)
            x = self._add(output, self._attend(q, kv, masked, order).to(self.dtype), x)
            normed = self._norm(x, post_norm).to(self.dtype)
            x = self._add(down, up.times(normed, gate.silu(normed)), x)
        return self._norm(x, self.norm)[: max(n, 2)]

    def _norm(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """RMSNorm. Source: Zhang & Sennrich 2019, eq. 4."""
        scale = torch.rsqrt(torch.linalg.vector_norm(x, dim=-1, keepdim=True).square() / x.shape[-1] + self.eps)
        return (x * scale).mul_(weight)

    def _add(self, linear: OneDnnLinear | TorchLinear, y: torch.Tensor, residual: torch.Tensor) -> torch.Tensor:
        return linear.plus(y, residual) if self.dtype == torch.float32 else residual + linear(y).float()

    def _project(self, qkv: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Queries (N, heads, d), and keys and values (N, 2 * kv_heads, d), with rotary positions. Source: Su et al. 2021, in the layout of
        halves.
        """
        qkv = qkv.view(len(qkv), -1, self.head_size)
        first, second = qkv[:, : self.n_heads + self.n_kv_heads].chunk(2, dim=-1)
        turned = first * cos
        turned.addcmul_(second, sin, value=-1)
        second.mul_(cos).addcmul_(first, sin)
        first.copy_(turned)
        return qkv[:, : self.n_heads].contiguous(), qkv[:, self.n_heads :]

    def _attend(self, q: torch.Tensor, kv: torch.Tensor, masked: list, sources: torch.Tensor) -> torch.Tensor:
        """Causal attention (N, heads * d) of every node over its path."""
        results = []
        for start, paths, mask in masked:
            for chunk in paths.split(max(1, ATTENTION_ROWS // paths.shape[1])):
                keys, values = kv[chunk].transpose(1, 2).chunk(2, dim=1)
                queries = q[chunk[:, start:]].transpose(1, 2)
                result = F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask, enable_gqa=self.n_heads != self.n_kv_heads)
                results.append(result.transpose(1, 2).reshape(-1, self.n_heads * self.head_size))
        return torch.cat(results)[sources]


def causal(start: int, stop: int) -> torch.Tensor:
    """The boolean mask (stop - start, stop) of queries start..stop against keys 0..stop."""
    return torch.ones(stop, stop, dtype=torch.bool).tril_()[start:]
