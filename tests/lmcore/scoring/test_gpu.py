"""The CUDA path, on a machine that has one."""

import numpy as np
import pytest
import torch

from lmcore.scoring.engine import Engine
from lmcore.scoring.extract import extract_tokens
from lmcore.tables import ITEMS, TOKENS, read, write
from tests.lmcore.scoring.conftest import TEXTS, items
from tests.lmcore.scoring.test_masked import TEXTS as MASKED_TEXTS
from tests.lmcore.scoring.test_masked import save as save_masked

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
SUITE = [*TEXTS, " ".join(TEXTS[:3] * 12)]


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_cuda_agrees_with_the_cpu(name, request):
    path = request.getfixturevalue(name)
    suite = items(SUITE if name == "llama" else TEXTS, {"bos": "prefix", "top_k": 3, "bow": True})
    scoring = {"bos": "prefix", "top_k": 3, "bow": True}
    on_card, on_cpu = (
        Engine(path, scoring, "float32", 64, kernel=kernel).score(suite)
        for kernel in ("cuda", "torch")
    )
    for column in ("logprob", "entropy", "top_logprob", "bow_logprob", "next_bow_logprob"):
        np.testing.assert_allclose(on_card[column], on_cpu[column], atol=1e-4)


def test_cuda_bfloat16_is_near_and_named(llama):
    engine = Engine(llama, {}, "bfloat16", 64, kernel="cuda")
    assert "cuda" in engine.name and "bfloat16" in engine.name
    in_float32 = Engine(llama, {}, "float32", 64, kernel="cuda").score(items(SUITE))
    logprobs, exact = (
        table["logprob"].to_numpy() for table in (engine.score(items(SUITE)), in_float32)
    )
    assert 0 < np.abs(logprobs - exact).max() < 0.5


def test_cuda_hardly_depends_on_what_shares_a_pass(llama):
    """The last bits may differ, as docs/models.md says: kernels of other sizes sum differently."""
    tables = [
        Engine(llama, {}, "float32", budget, kernel="cuda").score(items(SUITE))
        for budget in (1, 50, 32_768)
    ]
    for column in ("logprob", "entropy", "top_logprob"):
        for other in tables[1:]:
            np.testing.assert_allclose(other[column], tables[0][column], atol=1e-5)


def test_cuda_masked_agrees_with_the_cpu(tmp_path):
    path = save_masked("bert", tmp_path)
    on_card, on_cpu = (
        Engine(path, {}, "float32", 512, kernel=kernel).score(items(MASKED_TEXTS))
        for kernel in ("cuda", "torch")
    )
    np.testing.assert_allclose(on_card["logprob"], on_cpu["logprob"], atol=1e-4)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_cuda_every_card_is_used_and_none_changes_a_byte(llama, tmp_path, capsys):
    suite = tmp_path / "suite.parquet"
    write(items(SUITE * 8), ITEMS, suite)
    params = {"dtype": "float32", "token_budget": 64, "gpu_token_budget": 64, "shard_chars": 60}
    extract_tokens(llama, suite, tmp_path / "out", tmp_path / "work", "code", **params)
    assert f"{torch.cuda.device_count()} processes" in capsys.readouterr().err
    assert read(tmp_path / "out", TOKENS).equals(
        Engine(llama, {}, "float32", 64, kernel="cuda").score(items(SUITE * 8))
    )


def test_cuda_run_twice_gives_the_same_bytes(llama, tmp_path):
    suite = tmp_path / "suite.parquet"
    write(items(SUITE), ITEMS, suite)
    for out in ("a", "b"):
        extract_tokens(
            llama,
            suite,
            tmp_path / out,
            tmp_path / "work",
            out,
            dtype="float32",
            token_budget=64,
            shard_chars=60,
        )
    assert read(tmp_path / "a", TOKENS).equals(read(tmp_path / "b", TOKENS))
