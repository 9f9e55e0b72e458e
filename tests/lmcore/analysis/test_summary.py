"""The summary of a model: by hand, and against pandas for every statistic."""

import math

import numpy as np
import pandas as pd
import pytest

from lmcore.analysis.rows import TokenRows
from lmcore.analysis.summary import PERCENTILES, density, summary
from lmcore.files import rounded
from tests.lmcore.analysis.random_tokens import by_hand, random_table, save


def test_summary_by_hand(tmp_path) -> None:
    found = summary(TokenRows(save(by_hand(), tmp_path / "t")))
    assert (
        found["n_tokens"],
        found["n_draws"],
        found["top_1_accuracy"],
        found["top_10_accuracy"],
    ) == (4, 1, 0.75, 1.0)
    assert found["perplexity"] == pytest.approx((0.5 * 0.25 * 0.5 * 0.75) ** (-1 / 4))
    assert found["surprisal"]["mean"] == pytest.approx((1 + 2 + 1 - math.log2(0.75)) / 4)
    assert (
        found["rank"]["mean"] == 1.25
        and found["rank"]["p50"] == 1.0
        and found["entropy"]["p50"] == 0.75
    )
    assert found["probability"]["mean"] == pytest.approx(0.5)


def test_summary_is_what_pandas_says_for_every_statistic(tmp_path) -> None:
    table = random_table(2500, 30, 7)
    found = summary(TokenRows(save(table, tmp_path / "t", 2)))
    frame = table.to_pandas()
    logprob = frame["logprob"].astype(float)
    series = {
        "entropy": frame["entropy"].astype(float),
        "probability": np.exp(logprob),
        "surprisal": -logprob / np.log(2),
        "rank": frame["rank"],
    }
    for name, values in series.items():
        expected = {
            "mean": values.mean(),
            "std": values.std(),
            **{f"p{q:02d}": values.quantile(q / 100) for q in PERCENTILES},
        }
        assert found[name] == pytest.approx(expected, rel=1e-9, abs=1e-9), name
    assert found["perplexity"] == pytest.approx(math.exp(-logprob.mean()))
    assert found["top_1_accuracy"] == pytest.approx((frame["top_id"] == frame["next_id"]).mean())
    assert found["top_10_accuracy"] == pytest.approx((frame["rank"] <= 10).mean())


def test_density_adds_up_to_one() -> None:
    values = np.random.default_rng(0).uniform(0, 5, 1000)
    points = density([values[:7], values[7:]], 0.0, 5.0)
    assert sum(y for _, y in points) * (points[1][0] - points[0][0]) == pytest.approx(1)
    assert pd.Series([x for x, _ in points]).is_monotonic_increasing


def test_rounded_keeps_integers_and_structure() -> None:
    assert rounded({"a": [1, 2.34567], "b": "x"}, 3) == {"a": [1, 2.35], "b": "x"}
