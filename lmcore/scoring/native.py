"""The C++ below `cpp/`: compiled once per machine, loaded with ctypes, and called with tensors.

What goes in are contiguous float32 CPU tensors, what comes out are the same, written by one thread. It runs where the CPU has AMX and a C++
compiler is at hand (`CXX`, else c++); `available` says whether, after a check of its results against float64. The library is kept in the
user's cache under the hash of source, flags and compiler. SOURCE_SHA256 stands for the C++ in the fingerprint of the code.
"""

import ctypes
import functools
import hashlib
import os
import shlex
import subprocess
import tempfile
from pathlib import Path

import torch

from lmcore.scoring.stats import Summary

SOURCES = Path(__file__).parent / "cpp"
SOURCE_SHA256 = "b6c02a800965004bab567da8c377d4214c83d82733152e804278edfbc1c0013e"
INSTRUCTIONS = "avx512f avx512bw avx512vl avx512dq avx512bf16 fma popcnt bmi amx-tile amx-bf16"
FLAGS = ["-std=c++17", "-O3", "-ffp-contract=off", "-fno-math-errno", *(f"-m{name}" for name in INSTRUCTIONS.split()), "-shared", "-fPIC"]
NEEDED = {"amx_tile", "amx_bf16", "avx512_bf16", "avx512bw", "avx512vl", "avx512dq", "fma", "bmi1", "popcnt"}


def source_sha256() -> str:
    """The hash of the C++ sources as they stand."""
    return hashlib.sha256(b"".join(path.name.encode() + path.read_bytes() for path in sorted(SOURCES.iterdir()))).hexdigest()


@functools.cache
def available() -> bool:
    """Whether this machine compiles and runs the library, and its products are right; the same on every call."""
    if source_sha256() != SOURCE_SHA256:
        raise RuntimeError(f"{SOURCES} has changed: SOURCE_SHA256 in {__name__} must be {source_sha256()}")
    if not _cpu_flags() >= NEEDED:
        return False
    try:
        library()
    except (OSError, subprocess.SubprocessError):
        return False
    weight, x = torch.linspace(-1, 1, 48 * 40).reshape(48, 40).sin(), torch.linspace(-3, 3, 33 * 40).reshape(33, 40).cos()
    exact = x.double() @ weight.double().T
    y = Linear(weight, 3)(x)
    error, allowed = ((result.double() - exact).square().mean().sqrt() for result in (y, x @ weight.T))
    return bool(error <= 2 * allowed) and torch.equal(y[-1:], Linear(weight, 3)(x[-1:]))


@functools.cache
def library() -> ctypes.CDLL:
    """The loaded library. Raises OSError or SubprocessError where it cannot be built or gets no AMX from the system."""
    compiler = shlex.split(os.environ.get("CXX") or "c++")
    version = subprocess.run([*compiler, "--version"], capture_output=True, check=True).stdout
    key = hashlib.sha256(b" ".join([source_sha256().encode(), *map(str.encode, FLAGS), version])).hexdigest()[:16]
    path = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lmcore" / f"native-{key}.so"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            built = Path(folder) / path.name
            command = [*compiler, *FLAGS, *map(str, sorted(SOURCES.glob("*.cpp"))), "-o", str(built)]
            subprocess.run(command, capture_output=True, check=True)
            built.replace(path)
    loaded = ctypes.CDLL(str(path))
    if not loaded.lmcore_start():
        raise OSError("the operating system gives this process no AMX")
    return loaded


class Linear:
    """x -> norm(x) @ weight.T for x (n, K) and a weight (N, K); `parts`: how many bfloat16 numbers stand for one, 3 (exact) or 1."""

    def __init__(self, weight: torch.Tensor, parts: int):
        self.n_out, self.n_in = weight.shape
        self.parts = parts
        self.data = torch.empty(_up(self.n_out) * _up(self.n_in) * parts, dtype=torch.int16)
        _call("lmcore_pack", weight.contiguous(), self.n_out, self.n_in, parts, self.data)

    def __call__(
        self, x: torch.Tensor, norm: torch.Tensor | None = None, eps: float = 0.0, out: torch.Tensor | None = None
    ) -> torch.Tensor:
        """With `norm` (K,) x goes through RMSNorm first; `out` (n, N) is written where it is given."""
        y = torch.empty(len(x), self.n_out) if out is None else out
        _call("lmcore_linear", x, len(x), self.n_in, norm, eps, self.data, self.n_out, self.parts, y, 0)
        return y

    def add_to(self, y: torch.Tensor, x: torch.Tensor) -> None:
        """y (n, N) += x @ weight.T."""
        _call("lmcore_linear", x, len(x), self.n_in, None, 0.0, self.data, self.n_out, self.parts, y, 1)


class SwiGLU:
    """x += down(silu(gate(norm(x))) * up(norm(x))). Source: Shazeer 2020, eq. 6."""

    def __init__(self, gate: torch.Tensor, up: torch.Tensor, down: torch.Tensor, parts: int):
        fill = -len(gate) % 16
        gate, up = (torch.nn.functional.pad(weight, [0, 0, 0, fill]).unflatten(0, (-1, 16)) for weight in (gate, up))
        self.gate_up = Linear(torch.stack([gate, up], 1).flatten(0, 2), parts)
        self.down = Linear(torch.nn.functional.pad(down, [0, fill]), parts)
        self.n_inner, self.parts = down.shape[1], parts

    def add_to(self, x: torch.Tensor, norm: torch.Tensor, eps: float) -> None:
        _call("lmcore_feed", x, *x.shape, self.n_inner, norm, eps, self.gate_up.data, self.down.data, self.parts)


def rotate(y: torch.Tensor, n_heads: int, head_size: int, cos: torch.Tensor, sin: torch.Tensor, positions: torch.Tensor) -> None:
    """Turn the first `n_heads` heads of each row of y (n, width) by the angles of its position; cos, sin: (P, head_size / 2)."""
    _call("lmcore_rotate", y, *y.shape, n_heads, head_size, cos, sin, positions)


def attend(
    y: torch.Tensor, n_heads: int, n_kv_heads: int, head_size: int, nodes: torch.Tensor, lengths: torch.Tensor, fresh: torch.Tensor
) -> torch.Tensor:
    """Causal attention (n, heads * head_size) of the rows of y (n, queries + keys + values) along paths.

    nodes: the paths one after the other; lengths: theirs; fresh: how many nodes of each path stand in an earlier one. All int64.
    """
    out = torch.empty(len(y), n_heads * head_size)
    _call("lmcore_attend", y, y.shape[1], n_heads, n_kv_heads, head_size, nodes, lengths, fresh, len(lengths), out)
    return out


def summarise(logits: torch.Tensor, rows: torch.Tensor, next_ids: torch.Tensor) -> Summary:
    """As lmcore.scoring.stats.summarise, which leaves `logits` alone here."""
    n, n_rows = len(rows), len(logits)
    dtypes = {"logprob": torch.float32, "entropy": torch.float32, "rank": torch.int32, "top_id": torch.int32, "top_logprob": torch.float32}
    columns = {name: torch.empty(n, dtype=dtype) for name, dtype in dtypes.items()}
    top, log_total = torch.empty(n_rows), torch.empty(n_rows)
    _call("lmcore_statistics", logits, logits.shape[1], rows, next_ids, n, *columns.values(), top, log_total)
    return columns, top, log_total


def _up(n: int) -> int:
    return -(-n // 32) * 32


def _call(name: str, *arguments) -> None:
    """Call a function of the library with pointers for tensors, int64 for int and float for float."""
    getattr(library(), name)(*map(_argument, arguments))


def _argument(value):
    if isinstance(value, torch.Tensor):
        if not value.is_contiguous():
            raise ValueError("the native functions take contiguous tensors")
        return ctypes.c_void_p(value.data_ptr())
    return ctypes.c_float(value) if isinstance(value, float) else ctypes.c_void_p(None) if value is None else ctypes.c_int64(value)


def _cpu_flags() -> set[str]:
    """What the CPU can do, as Linux names it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return set(next((line for line in lines if line.startswith("flags")), "").split())
