"""The bench measures the real analysis on random tables."""

from pathlib import Path

from bench.analysis import bench_analysis


def test_bench_gives_seconds_and_memory(tokenizer: Path, tmp_path: Path) -> None:
    found = bench_analysis(3000, 2, tokenizer, tmp_path)
    assert found["rows"] == 6000 and found["seconds"] > 0 and 0 < found["peak_gb"] < 4
    assert (tmp_path / "comparison.json").exists()
