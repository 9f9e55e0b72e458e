"""Entropy bins and calibration: by hand, and against pandas' qcut and cut."""

import numpy as np
import pandas as pd
import pytest

from lmcore.analysis.entropy_bins import (
    _counts_by_bin,
    calibration,
    common_edges,
    entropy_bins,
    expected_calibration_error,
)
from lmcore.analysis.rows import TokenRows
from tests.lmcore.analysis.random_tokens import THREE, by_hand, random_table, save


def bins_of(rows: TokenRows, edges: dict, n_frequent: int = 2) -> tuple[list[dict], list[dict]]:
    bins, tokens = entropy_bins(rows, THREE, edges, model="m", suite="s", n_frequent=n_frequent)
    return bins.to_pylist(), tokens.to_pylist()


def test_entropy_bins_by_hand(tmp_path) -> None:
    rows = TokenRows(save(by_hand(), tmp_path / "t"))
    edges = common_edges([rows], 2)
    assert edges.tolist() == [0.25, 0.75, 1.0]
    (sure, unsure), tokens = bins_of(rows, {"own": edges})
    assert (sure["n"], sure["entropy_mean"], sure["accuracy"]) == (2, 0.375, 0.5)
    assert sure["probability_mean"] == pytest.approx(0.5) and sure[
        "top_probability_mean"
    ] == pytest.approx(0.75)
    assert (unsure["n"], unsure["entropy_mean"], unsure["accuracy"]) == (2, 1.0, 1.0)
    named = [(row["bin"], row["side"], row["place"], row["token"], row["n"]) for row in tokens]
    assert named[:3] == [
        (0, "current", 1, " b", 2),
        (0, "next", 1, " b", 1),
        (0, "next", 2, " c", 1),
    ]
    assert named[3:] == [
        (1, "current", 1, "a", 1),
        (1, "current", 2, " c", 1),
        (1, "next", 1, " b", 2),
    ]


@pytest.mark.parametrize("n_bins", [4, 10])
def test_entropy_bins_are_what_pandas_says(tmp_path, n_bins: int) -> None:
    tables = [random_table(3000, 40, seed) for seed in (3, 4)]
    rows = [
        TokenRows(save(table, tmp_path / f"t{number}", 2)) for number, table in enumerate(tables)
    ]
    frames = [table.to_pandas().astype({"entropy": float, "logprob": float}) for table in tables]
    _, edges = pd.qcut(pd.concat(frames)["entropy"], n_bins, retbins=True, duplicates="drop")
    np.testing.assert_allclose(common_edges(rows, n_bins), edges, rtol=0, atol=1e-9)
    found, tokens = bins_of(rows[0], {"common": common_edges(rows, n_bins)}, n_frequent=3)
    frame = frames[0].assign(
        bin=pd.cut(
            frames[0]["entropy"], common_edges(rows, n_bins), labels=False, include_lowest=True
        ),
        probability=np.exp(frames[0]["logprob"]),
        top_probability=np.exp(frames[0]["top_logprob"].astype(float)),
        right=frames[0]["top_id"] == frames[0]["next_id"],
    )
    for row, (number, part) in zip(found, frame.groupby("bin"), strict=True):
        assert (row["bin"], row["n"]) == (number, len(part))
        for name, column in (
            ("entropy_mean", "entropy"),
            ("probability_mean", "probability"),
            ("accuracy", "right"),
        ):
            assert row[name] == pytest.approx(part[column].mean(), rel=1e-5)
        assert row["top_probability_mean"] == pytest.approx(
            part["top_probability"].mean(), rel=1e-5
        )
        for side in ("current", "next"):
            counts = (
                part.groupby(f"{side}_id")
                .size()
                .reset_index(name="n")
                .sort_values(["n", f"{side}_id"], ascending=[False, True])
            )
            named = [
                (t["token_id"], t["n"]) for t in tokens if t["bin"] == number and t["side"] == side
            ]
            assert named == list(counts.head(3).itertuples(index=False, name=None))


def test_calibration_is_pandas_cut_and_ece_its_weighted_distance(tmp_path) -> None:
    table = random_table(3000, 40, 5)
    found = calibration(
        TokenRows(save(table, tmp_path / "t")), model="m", suite="s", n_bins=10
    ).to_pylist()
    frame = table.to_pandas()
    frame["p"], frame["right"] = (
        np.exp(frame["top_logprob"].astype(float)),
        frame["top_id"] == frame["next_id"],
    )
    groups = frame.groupby(
        pd.cut(frame["p"], np.arange(11) / 10, include_lowest=True), observed=True
    )
    assert [row["n"] for row in found] == groups.size().tolist()
    distance = sum(
        len(part) * abs(part["right"].mean() - part["p"].mean()) for _, part in groups
    ) / len(frame)
    assert expected_calibration_error(found) == pytest.approx(distance)


def test_calibration_by_hand(tmp_path) -> None:
    found = calibration(
        TokenRows(save(by_hand(), tmp_path / "t")), model="m", suite="s", n_bins=2
    ).to_pylist()
    assert [(row["low"], row["n"], row["accuracy"]) for row in found] == [
        (0.0, 2, 1.0),
        (0.5, 2, 0.5),
    ]
    assert expected_calibration_error(found) == pytest.approx((2 * 0.5 + 2 * 0.25) / 4)


def test_entropy_bins_of_a_model_without_variation_are_one_and_empty_common_bins_have_no_row(
    tmp_path,
) -> None:
    rows = TokenRows(save(by_hand(), tmp_path / "t"))
    found, _ = bins_of(rows, {"common": np.array([0.0, 0.1, 5.0])})
    assert [row["bin"] for row in found] == [1]


def test_tokens_of_many_bins_are_counted_beyond_the_range_of_the_bins_dtype() -> None:
    numbers, ids = np.array([100, 100, 3], np.int8), np.array([9, 9, 2])
    counts = _counts_by_bin(numbers, ids, 101)
    assert counts.shape == (101, 10)
    assert counts[100, 9] == 2 and counts[3, 2] == 1 and counts.sum() == 3
