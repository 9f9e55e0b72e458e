"""Which kernel multiplies matrices on this machine: the fastest exact float32 kernel.

It is chosen by what the CPU can do and by a check of its results, never by timing.

- `cuda`: where torch finds a GPU, unless the environment says LMCORE_DEVICE=cpu. F.linear in full
  float32, without TF32.
- `onednn`: the weights are stored in oneDNN's own blocked layout. The result of a row does not
  depend on how many rows there are (from 2 on); with MKL, it does. The operator is private to
  torch, hence the check. On AMD processors it is 2.2 times as fast as torch's default, on Intel
  processors the two are equally fast.
- `torch`: F.linear, everywhere else.
"""

import functools
import os

import torch
import torch.nn.functional as F


@functools.cache
def choose() -> str:
    """The name of the kernel for this machine: `cuda`, `onednn` or `torch`.

    It is the same at every call.
    """
    if torch.cuda.is_available() and os.environ.get("LMCORE_DEVICE", "cuda") == "cuda":
        return "cuda"
    return "onednn" if _onednn_is_right() else "torch"


def device_of(kernel: str) -> str:
    """The device on which a kernel runs, by torch's name for it."""
    return "cuda" if kernel == "cuda" else "cpu"


class Linear(torch.nn.Module):
    """x (..., K) float32 -> x @ weight.T + bias, (..., N) float32.

    weight: (N, K); bias: (N,). The product is computed in `dtype`, the sum with the bias always in
    float32.
    """

    def __init__(
        self, weight: torch.Tensor, bias: torch.Tensor | None, kernel: str, dtype: torch.dtype
    ):
        super().__init__()
        self.dtype, self.is_packed = dtype, kernel == "onednn"
        weight = weight.detach().to(dtype).contiguous()
        if self.is_packed:
            weight = torch.ops.mkldnn._reorder_linear_weight(weight, None)
        self.product = weight
        self.bias = None if bias is None else bias.detach().float()
        self.activation = "none"  # or a function that oneDNN applies to the result

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        exact = self.dtype == torch.float32
        bias = self.bias if exact else None
        if self.is_packed:
            y = torch.ops.mkldnn._linear_pointwise(
                x.to(self.dtype), self.product, bias, self.activation, [], ""
            )
        else:
            y = F.linear(x.to(self.dtype), self.product, bias)
        if exact:
            return y
        return y.float() if self.bias is None else y.float().add_(self.bias)


def _onednn_is_right() -> bool:
    """Whether oneDNN's operator exists, is exact, and gives rows that do not depend on others."""
    weight = torch.linspace(-1, 1, 48 * 24).reshape(48, 24).sin()
    x, bias = torch.linspace(-3, 3, 33 * 24).reshape(33, 24).cos(), torch.linspace(-2, 2, 48)
    try:
        layer = Linear(weight, bias, "onednn", torch.float32)
        y = layer(x)
        exact = F.linear(x.double(), weight.double(), bias.double())
        right = torch.allclose(y.double(), exact, rtol=0, atol=1e-5)
        return right and torch.equal(y[-2:], layer(x[-2:]))
    except (AttributeError, NotImplementedError, RuntimeError):
        return False
