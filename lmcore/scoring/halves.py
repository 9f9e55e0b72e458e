"""A language model of transformers in two halves, with this machine's kernels in its linear layers.

The body turns token ids into hidden states. The tail (head, scales, soft-capping) turns hidden
states into logits. Both are the model's own code: the body is the first module that the model
calls, and the states that it hands to the tail can be replaced. So logits are made for chunks of
chosen rows, never for all positions at once.

The result of a row must not depend on how many rows there are. Products run through
kernels.Linear; the other products (those of routers) run in blocks of ROWS rows. Elementwise
functions process the last few numbers of a tensor one by one, with different rounding, so the
number of rows is always a multiple of ROWS.
"""

import dataclasses
import inspect
from typing import Any

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from lmcore.scoring.kernels import Linear

ROWS = 32  # float32 numbers in two registers of AVX-512: the step of torch's loops


class Halves:
    """The two halves of a model. From now on, the model is called only through them."""

    def __init__(self, model: Any):
        """Raises ValueError for a model whose body gives no hidden states."""
        self.model, self.body = model, first_module(model)
        self.forward = self.body.forward
        self.output: Any = None
        self.rows: torch.Tensor | None = None  # given to the tail instead of the body's states
        self.body.forward = self._body
        self.states(input_ids=torch.zeros(1, 2, dtype=torch.long, device=model.device))

    def use_kernels(self, kernel: str, dtype: torch.dtype) -> None:
        """Put kernels.Linear into all linear layers.

        The layers of the body compute their products in `dtype`, the others in float32.
        """
        inside = set(self.body.modules())
        for module in list(self.model.modules()):
            activation = getattr(module, "act_fn", None)
            is_silu = type(activation).__name__ in ("SiLU", "SiLUActivation")
            fuses = is_silu and kernel == "onednn" and dtype == torch.float32
            for name, child in list(module.named_children()):
                product_dtype = dtype if child in inside else torch.float32
                replacement = _replacement(child, kernel, product_dtype)
                if replacement is not None:
                    setattr(module, name, replacement)
                if fuses and name == "gate_proj" and isinstance(replacement, Linear):
                    replacement.activation, module.act_fn = "swish", torch.nn.Identity()

    def states(self, **inputs: torch.Tensor) -> torch.Tensor:
        """The hidden states (B, T, H) of `inputs`, which are arguments of the model's forward."""
        self.model(**inputs, **without_cache(self.model))
        return self.output.last_hidden_state

    def logits(self, rows: torch.Tensor) -> torch.Tensor:
        """The logits (n, V) of hidden states (n, H)."""
        n = len(rows)
        self.rows = filled(rows)[None]
        ids = torch.zeros(self.rows.shape[:2], dtype=torch.long, device=rows.device)
        try:
            return self.model(input_ids=ids, **without_cache(self.model)).logits[0, :n]
        finally:
            self.rows = None

    def _body(self, *args, **kwargs) -> Any:
        """The body's forward; it runs only while no rows are given to the tail."""
        if self.rows is None:
            self.output = self.forward(*args, **kwargs)
            if getattr(self.output, "last_hidden_state", None) is None:
                raise ValueError("its body gives no hidden states")
        rows = self.output.last_hidden_state[:1, :2] if self.rows is None else self.rows
        return dataclasses.replace(self.output, last_hidden_state=rows)


def without_cache(model: Any) -> dict[str, bool]:
    """The argument that keeps a causal LM from storing keys and values.

    Masked LMs do not know this argument: for them, it is left out.
    """
    knows_cache = "use_cache" in inspect.signature(model.forward).parameters
    return {"use_cache": False} if knows_cache else {}


def first_module(model: Any) -> torch.nn.Module:
    """The module that the model's forward calls first, which is its body."""
    called: list[torch.nn.Module] = []
    hooks = [
        module.register_forward_pre_hook(lambda module, _: called.append(module))
        for module in model.modules()
        if module is not model
    ]
    try:
        ids = torch.zeros(1, 2, dtype=torch.long, device=model.device)
        model(input_ids=ids, **without_cache(model))
    finally:
        for hook in hooks:
            hook.remove()
    return called[0]


def filled(rows: torch.Tensor) -> torch.Tensor:
    """Rows (n, ...), followed by copies of the first up to a multiple of ROWS."""
    n_more = -len(rows) % ROWS
    return torch.cat([rows, rows[:1].expand(n_more, *rows.shape[1:])]) if n_more else rows


def _replacement(module: Any, kernel: str, dtype: torch.dtype) -> torch.nn.Module | None:
    """A module that treats each row alike, in place of this one; None where this one may stay."""
    name = type(module).__name__
    if type(module) is torch.nn.Linear:
        return Linear(module.weight, module.bias, kernel, dtype)
    if name == "Conv1D":  # GPT-2's linear layer, its weight transposed
        return Linear(module.weight.T, module.bias, kernel, dtype)
    if name in ("NewGELUActivation", "BloomGelu"):  # they take eight steps over memory, not one
        return torch.nn.GELU(approximate="tanh")
    if hasattr(module, "down_proj") and hasattr(module, "is_transposed"):
        return Experts(module, kernel, dtype)
    if isinstance(module, torch.nn.Embedding | torch.nn.modules.conv._ConvNd):
        return None
    if name.endswith("RMSNorm"):
        norm = Norm(module)
        return norm if norm.equals(module) else None
    has_matrix = any(parameter.ndim > 1 for parameter in module.parameters(recurse=False))
    return InBlocks(module) if has_matrix else None


class Norm(torch.nn.Module):
    """RMSNorm in fewer steps over memory than transformers takes.

    Source: Zhang & Sennrich 2019.
    """

    def __init__(self, module: Any):
        super().__init__()
        self.weight: Any = getattr(module, "weight", None)
        self.eps = getattr(module, "variance_epsilon", getattr(module, "eps", 0.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        scale = torch.rsqrt(length.square() / x.shape[-1] + self.eps)
        return (x * scale).mul_(self.weight)

    def equals(self, module: torch.nn.Module) -> bool:
        """Whether the module computes the same function.

        Gemma's norm does not, nor does a norm per group.
        """
        if self.weight is None or self.weight.ndim != 1:
            return False
        x = torch.linspace(-3, 3, 2 * len(self.weight), device=self.weight.device)
        x = x.sin().mul(1e-2).view(2, -1)
        return torch.allclose(self(x), module(x), rtol=1e-5, atol=1e-6)


class Experts(torch.nn.Module):
    """A mixture of experts.

    Hidden states (n, H), the k experts of each row and their weights (n, k) go in. The weighted sum
    of the experts' results (n, H) comes out.
    """

    def __init__(self, module: Any, kernel: str, dtype: torch.dtype):
        super().__init__()
        first = "gate_up_proj" if module.has_gate else "up_proj"
        self.first = self._layers(module, first, kernel, dtype)
        self.second = self._layers(module, "down_proj", kernel, dtype)
        self.act = module._apply_gate if module.has_gate else module.act_fn
        self.norm = module.post_expert_norm if module.has_post_expert_norm else None

    def forward(
        self, states: torch.Tensor, experts: torch.Tensor, weights: torch.Tensor
    ) -> torch.Tensor:
        n, k = experts.shape
        chosen = experts.flatten()
        out = states.new_empty(n * k, states.shape[-1])
        for number in chosen.unique().tolist():
            pairs = (chosen == number).nonzero().squeeze(1)
            x = self.act(self.first[number](filled(states[pairs // k])))
            x = self.second[number](x)
            out[pairs] = (x if self.norm is None else self.norm(x))[: len(pairs)]
        return (out.view(n, k, -1) * weights[..., None]).sum(1)

    @staticmethod
    def _layers(module: Any, name: str, kernel: str, dtype: torch.dtype) -> torch.nn.ModuleList:
        """The linear layers of all experts whose weights the module holds under `name`."""
        biases = getattr(module, f"{name}_bias") if module.has_bias else [None] * module.num_experts
        weights = getattr(module, name)
        if module.is_transposed:
            weights = weights.transpose(1, 2)
        layers = [Linear(w, b, kernel, dtype) for w, b in zip(weights, biases, strict=True)]
        return torch.nn.ModuleList(layers)


class InBlocks(torch.nn.Module):
    """A module that holds a matrix itself, such as a router. Its products run in blocks."""

    def __init__(self, module: torch.nn.Module):
        super().__init__()
        self.module = module

    def forward(self, *args, **kwargs) -> Any:
        with _Blocks():
            return self.module(*args, **kwargs)


class _Blocks(TorchFunctionMode):
    """F.linear on ROWS rows at a time, since products of one shape round alike."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is not F.linear:
            return func(*args, **(kwargs or {}))
        x, *others = args
        blocks = x.flatten(0, -2).split(ROWS)
        y = torch.cat([func(block, *others, **(kwargs or {})) for block in blocks])
        return y.unflatten(0, x.shape[:-1])
