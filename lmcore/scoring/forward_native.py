"""A forward pass of Llama over packed tokens in the C++ of native.py: `Pass`es in, hidden states out.

Exact float32: each linear layer sees the rows of many texts at once, each unique prefix once, and every query attends to its own path. With
dtype `bfloat16` the linear layers of the body multiply in bf16; all sums, norms, attention and the head stay in float32.
"""

import numpy as np
import torch

from lmcore.scoring import native
from lmcore.scoring.llama import LlamaWeights
from lmcore.scoring.plan import Pass


class NativeLlama:
    """A Llama packed for AMX; `hidden` and `head` are its two halves."""

    def __init__(self, weights: LlamaWeights, dtype: str, window: int):
        """`window`: the most positions ever used."""
        parts = 3 if dtype == "float32" else 1
        self.heads, self.eps = (weights.n_heads, weights.n_kv_heads, weights.head_size), weights.eps
        self.embedding = weights.embedding()
        self.to_logits = native.Linear(self.embedding if weights.is_tied else weights.head(), 3)
        self.norm = weights.norm()
        self.layers = [
            (
                layer.input_norm,
                native.Linear(layer.qkv, parts),
                native.Linear(layer.output, parts),
                layer.post_norm,
                native.SwiGLU(layer.gate, layer.up, layer.down, parts),
            )
            for layer in weights.layers()
        ]
        self.cos, self.sin = weights.rotary(window)
        self.logits = torch.empty(0, weights.vocab_size)

    def hidden(self, part: Pass) -> torch.Tensor:
        """The hidden states (N, H) float32 of a pass's nodes, before the last norm."""
        ids, positions = torch.from_numpy(part.ids), torch.from_numpy(part.positions)
        nodes = torch.from_numpy(np.concatenate(part.paths))
        lengths, fresh = torch.tensor([len(path) for path in part.paths]), torch.tensor(part.fresh)
        n_heads, n_kv_heads, head_size = self.heads
        x = self.embedding[ids]
        for input_norm, qkv, output, post_norm, mlp in self.layers:
            y = qkv(x, input_norm, self.eps)
            native.rotate(y, n_heads + n_kv_heads, head_size, self.cos, self.sin, positions)
            output.add_to(x, native.attend(y, *self.heads, nodes, lengths, fresh))
            mlp.add_to(x, post_norm, self.eps)
        return x

    def head(self, x: torch.Tensor) -> torch.Tensor:
        """The logits (n, V) of rows of `hidden`, in memory that the next call writes again: malloc finds a new place for every 50 MB."""
        if len(self.logits) < len(x):
            self.logits = torch.empty(len(x), self.logits.shape[1])
        return self.to_logits(x, self.norm, self.eps, self.logits[: len(x)])
