"""The bench of big tables runs the real stages on small ones."""

import json
from pathlib import Path

import pyarrow.compute as pc
import pytest

from bench.big_tables import COSTS, STAGES, Cost, bench_stages, merge, page
from bench.random_tables import MODELS, SUITES, write_tables
from lmcore.tables import TOKENS, read


@pytest.mark.parametrize("suite", SUITES)
def test_every_stage_is_measured_and_nothing_stays(tmp_path: Path, suite: str) -> None:
    costs = dict(bench_stages(suite, 4000, tmp_path))
    assert list(costs) == list(STAGES) and not list(tmp_path.iterdir())
    for cost in costs.values():
        assert cost.seconds > 0 and 50 < cost.peak_mb < 4000


def test_run_that_was_killed_goes_on_with_what_is_there(tmp_path: Path) -> None:
    write_tables("pairs", 450_000, tmp_path / "pairs_450000")
    kept, lost = sorted((tmp_path / "pairs_450000/tokens/second/pairs").iterdir())[:2]
    written, content = kept.stat().st_mtime_ns, lost.read_bytes()
    lost.unlink()
    costs = {stage: {"seconds": 1.0, "cpu_s": 2.0, "peak_mb": 3.0} for stage in STAGES[1:]}
    (tmp_path / "pairs_450000" / COSTS).write_text(json.dumps(costs))
    measured = bench_stages("pairs", 450_000, tmp_path)
    name, cost = next(measured)
    assert (name, cost.seconds > 0) == (STAGES[0], True)
    assert kept.stat().st_mtime_ns == written and lost.read_bytes() == content
    assert dict(measured) == {stage: Cost(1.0, 2.0, 3.0) for stage in STAGES[1:]}


def test_models_differ_in_every_figure(tmp_path: Path) -> None:
    write_tables("text", 1000, tmp_path)
    first, second = (read(tmp_path / "tokens" / model / "text", TOKENS) for model in MODELS)
    assert first["next_id"] == second["next_id"]
    for name in ("logprob", "entropy", "top_logprob"):
        assert pc.mean(pc.equal(first[name], second[name])).as_py() < 0.01


def test_page_is_of_the_figures_and_extends_their_line() -> None:
    figures = {}
    for rows, cost in ((2 * 10**6, 17.2), (10**6, 10.0)):
        values = {"seconds": 1.0, "cpu_s": cost, "peak_mb": 200.0}
        figures[f"pairs.{rows}.fold_scores"] = values
    text = page(figures)
    assert "| pairs | fold_scores | 1,000,000 | 200 | 10.0 | 5.00 |" in text
    assert "| pairs | fold_scores | 2,000,000 | 200 | 17.2 | 4.30 |" in text
    assert "| pairs | fold_scores | 2.0 | 0.2 GiB |" in text


def test_what_is_measured_is_merged_into_the_figures(tmp_path: Path) -> None:
    cost = {"seconds": 1.0, "cpu_s": 2.0, "peak_mb": 3.0}
    for rows in (1000, 2000):
        merge({f"text.{rows}.aggregate": cost}, tmp_path)
    figures = json.loads((tmp_path / "big_tables.json").read_text("utf-8"))
    assert list(figures) == ["text.1000.aggregate", "text.2000.aggregate"]
    assert (tmp_path / "big_tables.md").read_text("utf-8") == page(figures)


def test_page_in_docs_is_that_of_its_figures() -> None:
    docs = Path(__file__).parents[2] / "docs"
    figures = json.loads((docs / "big_tables.json").read_text("utf-8"))
    assert (docs / "big_tables.md").read_text("utf-8") == page(figures)
