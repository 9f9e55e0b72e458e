import os
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lmcore.scoring import native, stats

needs_amx = pytest.mark.skipif(not native.available(), reason="needs AMX and a C++ compiler")


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_native_source_is_the_one_whose_hash_stands_in_the_code():
    assert native.source_sha256() == native.SOURCE_SHA256


def test_native_without_a_compiler_is_not_available_and_another_kernel_is_chosen(tmp_path):
    code = "from lmcore.scoring import kernels; print(kernels.choose())"
    environment = os.environ | {"CXX": "/nonexistent/c++", "XDG_CACHE_HOME": str(tmp_path)}
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.strip() in ("onednn", "torch", "cuda")


@needs_amx
@pytest.mark.parametrize(("n", "n_in", "n_out"), [(1, 32, 32), (2, 33, 5), (31, 100, 47), (300, 576, 64), (257, 1536, 40)])
def test_native_linear_is_as_close_to_float64_as_torch(n, n_in, n_out):
    x, weight = random(n, n_in), random(n_out, n_in, seed=1)
    exact = x.double() @ weight.double().T
    error, allowed = ((y.double() - exact).square().mean().sqrt() for y in (native.Linear(weight, 3)(x), x @ weight.T))
    assert error <= 1.5 * allowed


@needs_amx
def test_native_linear_keeps_numbers_of_very_different_size():
    weight = torch.eye(64)
    x = torch.tensor([1.0, 1 + 2**-23, 3e38, 1e-30, -7.25, 0.0, 16777215.0, 1e-7]).repeat(2, 8)
    assert torch.equal(native.Linear(weight, 3)(x), x)


@needs_amx
def test_native_linear_with_norm_and_sum_is_that_of_torch():
    x, weight, norm, y = random(70, 96), random(50, 96, seed=1), random(96, seed=2), random(70, 50, seed=3)
    torch.testing.assert_close(native.Linear(weight, 3)(x, norm, 1e-5), F.rms_norm(x, (96,), norm, 1e-5) @ weight.T, atol=1e-4, rtol=0)
    expected = y + x @ weight.T
    native.Linear(weight, 3).add_to(y, x)
    torch.testing.assert_close(y, expected, atol=1e-4, rtol=0)


@needs_amx
@pytest.mark.parametrize("inner", [96, 100])
def test_native_swiglu_is_that_of_torch(inner):
    x, norm = random(70, 96), random(96, seed=2)
    gate, up, down = random(inner, 96, seed=3) / 10, random(inner, 96, seed=4) / 10, random(96, inner, seed=5) / 10
    normed = F.rms_norm(x, (96,), norm, 1e-5)
    expected = x + (F.silu(normed @ gate.T) * (normed @ up.T)) @ down.T
    native.SwiGLU(gate, up, down, 3).add_to(x, norm, 1e-5)
    torch.testing.assert_close(x, expected, atol=1e-5, rtol=0)


@needs_amx
@pytest.mark.parametrize(("n_heads", "n_kv_heads", "head_size"), [(4, 2, 16), (3, 3, 12), (6, 1, 64)])
def test_native_attention_over_shared_paths_is_that_of_torch(n_heads, n_kv_heads, head_size):
    paths, fresh = [np.arange(70), np.concatenate([np.arange(20), np.arange(70, 75)]), np.arange(1)], [0, 20, 1]
    y = random(75, (n_heads + 2 * n_kv_heads) * head_size)
    nodes, lengths = torch.from_numpy(np.concatenate(paths)), torch.tensor([len(path) for path in paths])
    out = native.attend(y, n_heads, n_kv_heads, head_size, nodes, lengths, torch.tensor(fresh))
    for path in paths[:2]:
        heads = y[path].view(len(path), -1, head_size).transpose(0, 1)
        q, k, v = heads[:n_heads], heads[n_heads : n_heads + n_kv_heads], heads[n_heads + n_kv_heads :]
        expected = F.scaled_dot_product_attention(q[None], k[None], v[None], is_causal=True, enable_gqa=True)[0]
        torch.testing.assert_close(out[path], expected.transpose(0, 1).flatten(1), atol=1e-5, rtol=0)


@pytest.mark.parametrize("read", [pytest.param(native.summarise, marks=needs_amx), stats.summarise_fused])
@pytest.mark.parametrize("vocab_size", [3, 64, 777])
def test_summaries_agree_on_ties_infinities_and_repeated_rows(read, vocab_size):
    logits = random(40, vocab_size) * 4
    logits[3] = 1.5
    logits[5, 1] = -torch.inf
    logits[7, 2] = logits[7].max()
    rows = torch.tensor(sorted([*range(40), 3, 3, 5, 7, 7]))
    next_ids = torch.randint(vocab_size, (len(rows),), generator=torch.Generator().manual_seed(1))
    next_ids[rows == 5] = 0
    columns, top, log_total = read(logits.clone(), rows, next_ids)
    expected, expected_top, expected_total = stats.summarise(logits.clone(), rows, next_ids)
    for name in ("rank", "top_id"):
        assert columns[name].tolist() == expected[name].tolist()
        assert columns[name].dtype == expected[name].dtype
    for name in ("logprob", "entropy", "top_logprob"):
        torch.testing.assert_close(columns[name], expected[name], atol=3e-6, rtol=1e-6)
    torch.testing.assert_close(top, expected_top)
    torch.testing.assert_close(log_total, expected_total, atol=1e-6, rtol=1e-6)


@needs_amx
def test_native_summary_of_what_is_not_finite_is_not_finite():
    logits = torch.zeros(3, 20)
    logits[0, 4], logits[1, 3], logits[2] = torch.nan, torch.inf, torch.nan
    columns, _, _ = native.summarise(logits, torch.arange(3), torch.zeros(3, dtype=torch.int64))
    assert not columns["logprob"].isfinite().any()
