"""The training benchmark compares everything with the fastest Trainer, whatever its settings."""

import pytest

from bench import training


@pytest.mark.parametrize("best", training.PEERS)
def test_page_compares_with_the_trainers_fastest_settings(best, monkeypatch):
    monkeypatch.setattr(training, "machine", dict)
    figures = {"load_before": 0.0, "load_after": 0.0}
    for shape in training.SHAPES:
        for method in training.METHODS:
            rate = 200.0 if method == best else 600.0 if method == "compiled" else 100.0
            figures |= {
                f"{shape}.{method}.{name}": rate
                for name in ("tokens_per_cpu_s", "tokens_per_s", "peak_mb", "first_s")
            }
        figures |= {
            f"{shape}.compiled.{name}": 100.0
            for name in ("gflops", "gemm_gflops", "forward_gemm_gflops")
        }
    page = training._page(figures)
    assert page.count(
        "| lmcore, bf16, compile | 600 | 3.00x | 600 | 3.00x | 600 | 300% | 600 |"
    ) == len(training.SHAPES)
    assert page.count(
        f"`Its best` is the fastest of the Trainer's by the clock: {training.METHODS[best]}."
    ) == len(training.SHAPES)
    assert {
        "trainer",
        "trainer_bf16",
        "trainer_compiled",
        "trainer_bf16_compiled",
        "trainer_bf16_compiled_micro",
    } == set(training.PEERS)
