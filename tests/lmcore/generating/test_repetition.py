"""Distinct and repeated n-grams by hand."""

import pytest

from lmcore.generating.repetition import distinct, repeated


def test_distinct_counts_over_all_texts_and_repeated_within_each() -> None:
    texts = ["a b a b", "a b"]
    assert distinct(texts, 1) == pytest.approx(2 / 6) and distinct(texts, 2) == pytest.approx(2 / 4)
    assert repeated(texts, 2) == pytest.approx((1 / 3 + 0) / 2) and repeated(texts, 4) == 0.0


def test_short_and_empty_texts_have_none() -> None:
    assert distinct(["a", ""], 2) == 0.0 and repeated(["a", ""], 2) == 0.0
