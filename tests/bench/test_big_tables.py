"""The bench of big tables runs the real stages on small ones."""

import json
from pathlib import Path

import pytest

from bench.big_tables import STAGES, SUITES, bench_stages, page


@pytest.mark.parametrize("suite", SUITES)
def test_every_stage_is_measured_and_nothing_stays(tmp_path: Path, suite: str) -> None:
    costs = bench_stages(suite, 4000, tmp_path)
    assert list(costs) == list(STAGES) and not list(tmp_path.iterdir())
    for cost in costs.values():
        assert cost.seconds > 0 and 50 < cost.peak_mb < 4000


def test_page_is_of_the_figures_and_extends_their_line() -> None:
    figures = {}
    for rows, cost in ((10**6, 10.0), (2 * 10**6, 17.2)):
        values = {"seconds": 1.0, "cpu_s": cost, "peak_mb": 200.0}
        figures[f"pairs.{rows}.fold_scores"] = values
    figures["before.pairs.1000000.fold_scores"] = {**values, "peak_mb": 900.0}
    text = page(figures)
    assert "| pairs | fold_scores | 1,000,000 | 900 MB | 200 MB | 17 | 10 |" in text
    assert "| pairs | fold_scores | 2,000,000 | – MB | 200 MB | – | 17 |" in text
    assert "| pairs | fold_scores | 2.0 | 0.2 GiB |" in text


def test_page_in_docs_is_that_of_its_figures() -> None:
    docs = Path(__file__).parents[2] / "docs"
    figures = json.loads((docs / "big_tables.json").read_text("utf-8"))
    assert (docs / "big_tables.md").read_text("utf-8") == page(figures)
