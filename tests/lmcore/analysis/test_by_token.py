"""Statistics by token.

By hand on three tokens, and against pandas on random data for every column.
"""

import numpy as np
import pandas as pd
import pytest

from lmcore.analysis.by_token import QUANTILES, SIDES, by_token, extremes
from lmcore.analysis.rows import TokenRows
from lmcore.errors import InputError
from tests.lmcore.analysis.random_tokens import THREE, by_hand, random_table, save


def test_by_token_by_hand(tmp_path) -> None:
    rows = TokenRows(save(by_hand(), tmp_path / "t"))
    found = {
        (row["side"], row["token"]): row
        for row in by_token(rows, THREE, model="m", suite="s", minimum_count=2).to_pylist()
    }
    assert list(found) == [("current", " b"), ("next", " b")]
    after_b, of_b = found["current", " b"], found["next", " b"]
    assert (
        after_b["n"],
        after_b["entropy_mean"],
        after_b["entropy_q50"],
        after_b["rank_mean"],
    ) == (2, 0.375, 0.375, 1.5)
    assert after_b["entropy_std"] == pytest.approx(0.125 * 2**0.5) and after_b[
        "probability_mean"
    ] == pytest.approx(0.5)
    assert (of_b["n"], of_b["rank_mean"], of_b["entropy_q25"]) == (3, 1.0, 0.625)
    assert of_b["probability_mean"] == pytest.approx(1.75 / 3) and of_b[
        "logprob_mean"
    ] == pytest.approx(np.log(0.5 * 0.5 * 0.75) / 3)


@pytest.mark.parametrize("n_parts", [1, 3])
def test_by_token_is_what_pandas_says_for_every_statistic(tmp_path, n_parts: int) -> None:
    table = random_table(4000, 50, 1)
    found = by_token(
        TokenRows(save(table, tmp_path / "t", n_parts)),
        [f"t{i}" for i in range(50)],
        model="m",
        suite="s",
        minimum_count=9,
    )
    frame = table.to_pandas().astype({"logprob": float, "entropy": float})
    frame["probability"] = np.exp(frame["logprob"])
    for side, column in SIDES.items():
        groups = frame.groupby(column)
        ours = found.to_pandas()
        ours = ours[ours["side"] == side].set_index("token_id")
        expected = groups.size()
        assert ours["n"].to_dict() == expected[expected >= 9].to_dict()
        for measure in ("entropy", "logprob"):
            pairs = {"mean": groups[measure].mean(), "std": groups[measure].std()}
            pairs |= {name: groups[measure].quantile(q) for name, q in QUANTILES.items()}
            for name, values in pairs.items():
                pd.testing.assert_series_equal(
                    ours[f"{measure}_{name}"].sort_index(),
                    values[values.index.isin(ours.index)],
                    check_names=False,
                    check_index_type=False,
                )
        for name in ("probability", "rank"):
            values = groups[name].mean()
            pd.testing.assert_series_equal(
                ours[f"{name}_mean"].sort_index(),
                values[values.index.isin(ours.index)],
                check_names=False,
                check_index_type=False,
            )


def test_by_token_order_is_by_count_then_id_and_repeats(tmp_path) -> None:
    rows = TokenRows(save(random_table(900, 30, 2), tmp_path / "t"))
    found = by_token(rows, ["x"] * 30, model="m", suite="s", minimum_count=2)
    for side in SIDES:
        part = [(-row["n"], row["token_id"]) for row in found.to_pylist() if row["side"] == side]
        assert part == sorted(part) and part
    assert found.equals(by_token(rows, ["x"] * 30, model="m", suite="s", minimum_count=2))


def test_by_token_minimum_count_of_one_is_refused(tmp_path) -> None:
    with pytest.raises(InputError, match="minimum_count must be at least 2, not 1"):
        by_token(
            TokenRows(save(by_hand(), tmp_path / "t")), THREE, model="m", suite="s", minimum_count=1
        )


def test_extremes_are_the_ends_and_never_overlap(tmp_path) -> None:
    table = by_token(
        TokenRows(save(random_table(900, 12, 2), tmp_path / "t")),
        ["x"] * 12,
        model="m",
        suite="s",
        minimum_count=2,
    )
    n_current = sum(row["side"] == "current" for row in table.to_pylist())
    found = [row for row in extremes(table, 8) if row["side"] == "current"]
    assert len(found) == min(16, n_current)
    values = [row["value"] for row in found]
    assert values == sorted(values, reverse=True) and found[0]["value"] == max(
        row["entropy_mean"] for row in table.to_pylist() if row["side"] == "current"
    )
