"""Which kernel runs Llama's linear layers on this machine: the fastest exact float32 one, chosen by what the CPU can do and a check of its
results, never by timing.

- `cuda`: where torch finds a GPU, unless the environment says LMCORE_DEVICE=cpu; F.linear in float32 proper, without TF32;
- `amx`: float32 products from six of bfloat16 (native.py), where the CPU has AMX and a C++ compiler is at hand: 1.6 times oneDNN's speed;
- `onednn`: the weights in oneDNN's own blocked layout; a layer can also apply SiLU to its result, multiply it by another tensor or add it
  to one on the way; what a row becomes does not depend on how many rows there are (from 2 on), as it does with MKL. The operator is private
  to torch, hence the check. On AMD's processors it is 2.2 times as fast as torch's default, on Intel's they are equals;
- `torch`: F.linear, everywhere else.
"""

import functools
import os

import torch
import torch.nn.functional as F

from lmcore.scoring import native


@functools.cache
def choose() -> str:
    """The name of the kernel for this machine, `cuda`, `amx`, `onednn` or `torch`; the same on every call."""
    if torch.cuda.is_available() and os.environ.get("LMCORE_DEVICE", "cuda") == "cuda":
        return "cuda"
    return "amx" if native.available() else "onednn" if _onednn_is_right() else "torch"


def device_of(kernel: str) -> str:
    """Where the kernel of that name runs, as torch calls it."""
    return "cuda" if kernel == "cuda" else "cpu"


def _onednn_is_right() -> bool:
    weight, x = torch.linspace(-1, 1, 48 * 24).reshape(48, 24).sin(), torch.linspace(-3, 3, 33 * 24).reshape(33, 24).cos()
    other = torch.linspace(-2, 2, 33 * 48).reshape(33, 48)
    exact = F.linear(x.double(), weight.double())
    try:
        layer = pack(weight, "onednn")
        results = (layer(x), layer.silu(x), layer.times(x, other), layer.plus(x, other))
        agree = zip(results, (exact, F.silu(exact), exact * other, exact + other))
        right = all(torch.allclose(result.double(), expected, rtol=0, atol=1e-5) for result, expected in agree)
        return right and torch.equal(results[0][-2:], layer(x[-2:]))
    except (AttributeError, NotImplementedError, RuntimeError):
        return False


class OneDnnLinear:
    """x -> x @ weight.T for x (T, K) and a weight (N, K), both of one dtype."""

    def __init__(self, weight: torch.Tensor):
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), None)
        self.unary = torch.ops.mkldnn._linear_pointwise
        self.binary = torch.ops.mkldnn._linear_pointwise.binary

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return self.unary(x, self.weight, None, "none", [], "")

    def silu(self, x: torch.Tensor) -> torch.Tensor:
        return self.unary(x, self.weight, None, "swish", [], "")

    def times(self, x: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
        return self.binary(x, factor, self.weight, None, "mul")

    def plus(self, x: torch.Tensor, summand: torch.Tensor) -> torch.Tensor:
        return self.binary(x, summand, self.weight, None, "add")


class TorchLinear:
    """The same by torch's default."""

    def __init__(self, weight: torch.Tensor):
        self.weight = weight

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.weight)

    def silu(self, x: torch.Tensor) -> torch.Tensor:
        return F.silu(self(x))

    def times(self, x: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
        return self(x).mul_(factor)

    def plus(self, x: torch.Tensor, summand: torch.Tensor) -> torch.Tensor:
        return self(x).add_(summand)


def pack(weight: torch.Tensor, kernel: str) -> OneDnnLinear | TorchLinear:
    """The layer of `weight` (N, K) for the kernel `onednn`, or `torch` on the weight's own device."""
    return OneDnnLinear(weight) if kernel == "onednn" else TorchLinear(weight)
