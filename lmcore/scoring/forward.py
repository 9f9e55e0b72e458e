"""A forward pass of Llama over packed tokens, from the safetensors weights, without transformers: `Pass`es in, hidden states out.

Exact float32: each linear layer sees the rows of many texts at once, each unique prefix once; attention runs block by block as the plan
says. With dtype `bfloat16` the linear layers of the body compute in bf16, while residuals, norms, attention and the head stay in float32.

`can_run` says whether a config is plain Llama; anything unfamiliar is left to the model's own forward (own.py).
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import safe_open

from lmcore.errors import InputError
from lmcore.scoring.kernels import OneDnnLinear, TorchLinear, pack
from lmcore.scoring.plan import Pass

MIN_ROWS = 16  # a single row takes another path through the kernels, with other rounding
ATTENTION_ROWS = 8192  # keys gathered at a time; bounds the memory, changes nothing


def can_run(config: dict) -> bool:
    """Whether this forward computes exactly what the config describes."""
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    return (
        config["model_type"] == "llama"
        and config.get("hidden_act", "silu") == "silu"
        and not config.get("attention_bias")
        and not config.get("mlp_bias")
        and not config.get("quantization_config")
        and not config.get("sliding_window")
        and rope.get("rope_type", rope.get("type", "default")) == "default"
        and rope.get("partial_rotary_factor", config.get("partial_rotary_factor", 1)) == 1
    )


class PackedLlama:
    """The weights of a Llama folder, packed for `kernel`; `hidden` and `head` are its two halves."""

    def __init__(self, path: Path, config: dict, dtype: str, kernel: str, window: int):
        """`window`: the most positions ever used. Raises InputError where weights are missing or of another shape than the config says."""
        self.n_heads = config["num_attention_heads"]
        self.n_kv_heads = config.get("num_key_value_heads") or self.n_heads
        self.head_size = config.get("head_dim") or config["hidden_size"] // self.n_heads
        self.eps = config.get("rms_norm_eps", 1e-6)
        self.dtype = getattr(torch, dtype)
        hidden, ffn, vocab = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
        weights = Weights(path)
        self.embedding = weights.take("model.embed_tokens.weight", (vocab, hidden))
        tied = config.get("tie_word_embeddings", False)
        self.head = pack(self.embedding if tied else weights.take("lm_head.weight", (vocab, hidden)), kernel)
        self.norm = weights.take("model.norm.weight", (hidden,))
        self.layers = []
        for i in range(config["num_hidden_layers"]):
            attention, mlp = f"model.layers.{i}.self_attn", f"model.layers.{i}.mlp"
            wide, narrow = self.n_heads * self.head_size, self.n_kv_heads * self.head_size
            qkv = [weights.take(f"{attention}.{name}_proj.weight", (n, hidden)) for name, n in (("q", wide), ("k", narrow), ("v", narrow))]
            linears = (
                torch.cat(qkv),
                weights.take(f"{attention}.o_proj.weight", (hidden, wide)),
                weights.take(f"{mlp}.gate_proj.weight", (ffn, hidden)),
                weights.take(f"{mlp}.up_proj.weight", (ffn, hidden)),
                weights.take(f"{mlp}.down_proj.weight", (hidden, ffn)),
            )
            norms = [weights.take(f"model.layers.{i}.{name}_layernorm.weight", (hidden,)) for name in ("input", "post_attention")]
            self.layers.append((*norms, *(pack(linear.to(self.dtype), kernel) for linear in linears)))
        self.cos, self.sin = rotary(config, self.head_size, window)

    def hidden(self, part: Pass) -> torch.Tensor:
        """The normed hidden states (N, H) float32 of a pass's nodes, from which `head` makes logits."""
        n = len(part.ids)
        fill = [0, max(0, MIN_ROWS - n)]
        ids, positions, sources = (F.pad(torch.from_numpy(array), fill) for array in (part.ids, part.positions, part.sources))
        blocks = [(block.start, torch.from_numpy(block.paths), causal(block.start, block.paths.shape[1])) for block in part.blocks]
        cos, sin = self.cos[positions][:, None], self.sin[positions][:, None]
        x = self.embedding[ids]
        for input_norm, post_norm, qkv, output, gate, up, down in self.layers:
            q, kv = self._project(qkv(self._norm(x, input_norm).to(self.dtype)).float(), cos, sin)
            x = self._add(output, self._attend(q, kv, blocks, sources).to(self.dtype), x)
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
        n_turned = self.n_heads + self.n_kv_heads
        turned = qkv[:, :n_turned]
        first, second = turned.chunk(2, dim=-1)
        turned = (turned * cos).addcmul_(torch.cat([-second, first], -1), sin)
        return turned[:, : self.n_heads].contiguous(), torch.cat([turned[:, self.n_heads :], qkv[:, n_turned:]], 1)

    def _attend(self, q: torch.Tensor, kv: torch.Tensor, blocks: list, sources: torch.Tensor) -> torch.Tensor:
        """Causal attention (N, heads * d) of every node over its path."""
        results = []
        for start, paths, mask in blocks:
            for chunk in paths.split(max(1, ATTENTION_ROWS // paths.shape[1])):
                keys, values = kv[chunk].transpose(1, 2).chunk(2, dim=1)
                queries = q[chunk[:, start:]].transpose(1, 2)
                result = F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask, enable_gqa=self.n_heads != self.n_kv_heads)
                results.append(result.transpose(1, 2).reshape(-1, self.n_heads * self.head_size))
        return torch.cat(results)[sources]


def causal(start: int, stop: int) -> torch.Tensor:
    """The boolean mask (stop - start, stop) of queries start..stop against keys 0..stop."""
    return torch.ones(stop, stop, dtype=torch.bool).tril_()[start:]


def rotary(config: dict, head_size: int, n_positions: int) -> tuple[torch.Tensor, torch.Tensor]:
    """cos and sin (n_positions, d) float32 of the rotary angles."""
    theta = (config.get("rope_parameters") or {}).get("rope_theta") or config.get("rope_theta") or 10000.0
    frequencies = 1.0 / theta ** (torch.arange(0, head_size, 2).float() / head_size)
    angles = torch.outer(torch.arange(n_positions).float(), frequencies)
    angles = torch.cat([angles, angles], -1)
    return angles.cos(), angles.sin()


class Weights:
    """The tensors of a folder's safetensors files, in float32, each read when it is taken."""

    def __init__(self, path: Path):
        self.path = path
        self.files = {name: file for p in sorted(path.glob("*.safetensors")) for file in [safe_open(p, "pt")] for name in file.keys()}  # noqa: SIM118

    def take(self, name: str, shape: tuple[int, ...]) -> torch.Tensor:
        if name not in self.files:
            raise InputError(f"{self.path}: no tensor '{name}' of shape {shape} in its safetensors files")
        tensor = self.files[name].get_tensor(name)
        if tuple(tensor.shape) != shape:
            raise InputError(f"{self.path}: tensor '{name}' has shape {tuple(tensor.shape)}, config.json says {shape}")
        return tensor.to(torch.float32, copy=True)  # a view would keep the whole file mapped
