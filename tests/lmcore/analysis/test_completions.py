"""Missing words by frequency and by context length: bins by hand, intervals by theory."""

import csv
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lmcore.analysis.completions import (
    FINDINGS,
    analyse_completions,
    bin_label,
    by_bin,
    frequency_bins,
    length_bins,
)
from lmcore.corpus.documents import DOCUMENTS
from lmcore.errors import InputError
from lmcore.files import sha256
from lmcore.statistics.stats import wilson
from lmcore.tables import ITEMS, SCORES, read, write
from tests.lmcore.token_tables import items_of

SUITES = {"lambada_flat": {}, "minimal_pairs": {"n": 1, "seed": 0}}
CORPUS = {"train": ["The sea, the SEA and the ship. " * 5, "A man."], "dev": ["man " * 500]}
TARGETS = {
    "a": (" one two", " sea"),
    "b": (" one two three", " Ship"),
    "c": (" one", " man"),
    "d": (" " + "w " * 9, " zebra"),
}
ACCURACY = {
    "llama": {"a": [1], "b": [0], "c": [1], "d": [0]},
    "dummy": {"a": [1, 0], "b": [0, 0], "c": [0, 0], "d": [1, 0]},
}


def score_rows(items: pa.Table, accuracy: dict[str, list[float]]) -> list[dict]:
    hashes = dict(zip(items["item"].to_pylist(), items["content_hash"].to_pylist(), strict=True))
    values = {
        "accuracy": lambda x: x,
        "success_at_10": lambda x: 1,
        "target_logprob": lambda x: x - 2,
        "target_probability": lambda x: 0.5,
    }
    return [
        {
            "item": item,
            "draw": draw,
            "variant": "",
            "group": "all",
            "weight": 1.0,
            "content_hash": hashes[item],
        }
        | {"metric": metric, "value": float(of(value))}
        for item, draws in accuracy.items()
        for draw, value in enumerate(draws)
        for metric, of in values.items()
    ]


@pytest.fixture
def inputs(tmp_path: Path) -> dict:
    """Four items: sea stands 10 times in the training text, ship 5 times, man once, zebra never."""
    for split, texts in CORPUS.items():
        rows = [{"document": str(n), "group": "all", "text": text} for n, text in enumerate(texts)]
        (tmp_path / "corpus").mkdir(exist_ok=True)
        pq.write_table(
            pa.Table.from_pylist(rows, DOCUMENTS), tmp_path / "corpus" / f"{split}.parquet"
        )
    items = items_of({item: [text] for item, text in TARGETS.items()})
    write(items, ITEMS, tmp_path / "items" / "lambada_flat.parquet")
    for model, accuracy in ACCURACY.items():
        write(
            pa.Table.from_pylist(score_rows(items, accuracy), SCORES),
            SCORES,
            tmp_path / "scores" / model / "lambada_flat.parquet",
        )
    paths = {name: tmp_path / name for name in ("items", "scores", "corpus", "plots")} | {
        "out": tmp_path / "findings" / "out.parquet"
    }
    return {
        "models": list(ACCURACY),
        "suites": SUITES,
        **paths,
        "per_decade": 1,
        "context_bins": 2,
        "confidence": 0.95,
    }


def found(
    inputs: dict, by: str, model: str, metric: str
) -> dict[tuple[int, int], tuple[int, float]]:
    rows = read(inputs["out"], FINDINGS).to_pylist()
    chosen = [
        row for row in rows if (row["by"], row["model"], row["metric"]) == (by, model, metric)
    ]
    return {(row["bin_low"], row["bin_high"]): (row["n"], row["value"]) for row in chosen}


def test_findings_by_frequency_are_counted_in_the_training_text_alone(inputs: dict) -> None:
    analyse_completions(**inputs)
    assert found(inputs, "frequency", "llama", "accuracy") == {
        (0, 0): (1, 0.0),
        (1, 9): (2, 0.5),
        (10, 99): (1, 1.0),
    }
    assert found(inputs, "frequency", "llama", "success_at_10") == {
        (0, 0): (1, 1.0),
        (1, 9): (2, 1.0),
        (10, 99): (1, 1.0),
    }


def test_findings_average_the_draws_of_an_item(inputs: dict) -> None:
    analyse_completions(**inputs)
    assert found(inputs, "frequency", "dummy", "accuracy") == {
        (0, 0): (1, 0.5),
        (1, 9): (2, 0.0),
        (10, 99): (1, 0.5),
    }


def test_findings_by_context_length_have_equal_bins(inputs: dict) -> None:
    """Lengths 1, 2, 3 and 9."""
    analyse_completions(**inputs)
    assert found(inputs, "context_length", "llama", "accuracy") == {
        (1, 2): (2, 1.0),
        (3, 9): (2, 0.0),
    }
    assert found(inputs, "context_length", "llama", "target_logprob") == {
        (1, 2): (2, -1.0),
        (3, 9): (2, -2.0),
    }


def test_findings_of_a_single_item_have_no_interval_of_a_mean(inputs: dict) -> None:
    analyse_completions(**inputs)
    assert list(found(inputs, "frequency", "llama", "target_logprob")) == [(1, 9)]


def test_findings_twice_are_the_same_bytes_and_hold_no_pairs(inputs: dict, tmp_path: Path) -> None:
    analyse_completions(**inputs)
    before = sha256(inputs["out"]), sha256(inputs["plots"])
    analyse_completions(**inputs)
    assert (sha256(inputs["out"]), sha256(inputs["plots"])) == before
    files = sorted(
        path.relative_to(inputs["plots"]).as_posix() for path in inputs["plots"].rglob("*.csv")
    )
    assert files == [
        f"{by}/lambada_flat/{model}.csv"
        for by in ("context_length", "frequency")
        for model in ("dummy", "llama")
    ]


def test_plots_have_one_row_a_bin_and_gaps_where_nothing_is_known(inputs: dict) -> None:
    analyse_completions(**inputs)
    rows = list(
        csv.DictReader(
            (inputs["plots"] / "frequency/lambada_flat/llama.csv").read_text().splitlines()
        )
    )
    assert [(row["bin"], row["n"], row["accuracy"], row["target_logprob"]) for row in rows] == [
        ("0", "1", "0", ""),
        ("1-9", "2", "0.5", "-1.5"),
        ("10-99", "1", "1", ""),
    ]
    assert [row["bin"] for row in rows] == sorted(row["bin"] for row in rows)


def test_findings_without_completion_suites_are_empty(inputs: dict) -> None:
    analyse_completions(
        **{**inputs, "suites": {"minimal_pairs": {}}, "corpus": inputs["corpus"] / "absent"}
    )
    assert read(inputs["out"], FINDINGS).num_rows == 0 and not list(inputs["plots"].iterdir())


@pytest.mark.parametrize("change", ["item", "content_hash"])
def test_scores_of_other_items_are_refused_by_name(inputs: dict, change: str) -> None:
    path = inputs["scores"] / "dummy" / "lambada_flat.parquet"
    rows = read(path, SCORES).to_pylist()
    rows[0][change] = "x" if change == "item" else 1
    write(pa.Table.from_pylist(rows, SCORES), SCORES, path)
    with pytest.raises(
        InputError,
        match=r"dummy/lambada_flat\.parquet: its 'accuracy' is not that of the suite's items",
    ):
        analyse_completions(**inputs)
    assert not inputs["out"].exists() and not inputs["plots"].exists()


@pytest.mark.parametrize("key", ["per_decade", "context_bins"])
def test_findings_need_at_least_one_bin(inputs: dict, key: str) -> None:
    with pytest.raises(InputError, match="must be at least 1"):
        analyse_completions(**{**inputs, key: 0})


def test_by_bin_shares_have_wilsons_interval_and_means_students() -> None:
    values = {
        "accuracy": np.array([1.0, 0, 0, 1, 0]),
        "target_logprob": np.array([-1.0, -2, -3, -9, -9]),
        "target_probability": np.ones(5),
    }
    rows = {row["metric"]: row for row in by_bin(values, np.array([5, 5, 7, 8, 1]), [(5, 7)], 0.95)}
    assert (rows["accuracy"]["low"], rows["accuracy"]["high"]) == wilson(1, 3, 0.95)
    assert rows["accuracy"]["n"] == 3
    half = 4.302653 / np.sqrt(3)  # t(0.975, 2 degrees) times the standard deviation 1
    assert (rows["target_logprob"]["low"], rows["target_logprob"]["high"]) == pytest.approx(
        (-2 - half, -2 + half), abs=1e-5
    )
    assert (rows["target_probability"]["low"], rows["target_probability"]["high"]) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("largest", "per_decade", "bins"),
    [
        (0, 1, [(0, 0)]),
        (9, 1, [(0, 0), (1, 9)]),
        (10, 1, [(0, 0), (1, 9), (10, 99)]),
        (40, 2, [(0, 0), (1, 2), (3, 9), (10, 31), (32, 99)]),
        (3, 9, [(0, 0), (1, 1), (2, 2), (3, 3)]),
    ],
)
def test_frequency_bins_are_log_spaced_without_gaps(
    largest: int, per_decade: int, bins: list
) -> None:
    assert frequency_bins(largest, per_decade) == bins


@pytest.mark.parametrize(
    ("lengths", "n_bins", "bins"),
    [
        ([5, 1, 3, 2, 4, 6], 3, [(1, 2), (3, 4), (5, 6)]),
        ([2, 2, 2, 2, 9], 2, [(2, 9)]),  # items of one length are never parted
        ([0, 7], 5, [(0, 6), (7, 7)]),
        ([4], 3, [(4, 4)]),
    ],
)
def test_length_bins_cover_every_length_once(lengths: list[int], n_bins: int, bins: list) -> None:
    assert length_bins(np.array(lengths), n_bins) == bins


def test_bin_labels_say_unseen_for_words_but_not_for_lengths() -> None:
    labels = [
        bin_label(*edges)
        for edges in (("frequency", 0, 0), ("context_length", 0, 0), ("frequency", 1000, 9999))
    ]
    assert labels == ["unseen", "0", "1,000–9,999"]
