"""Items in the order in which a page takes them: those that differ, pair by pair, and a sample."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lmcore.items.choice import in_order

HASHES = np.array([30, 10, 20, 50, 40], np.uint64)  # of items 0 to 4; in order 1, 2, 0, 4, 3


def test_items_that_differ_come_three_to_one_of_the_sample():
    a = np.array([1.0, 0.0, 1.0, 1.0, 1.0])
    b = np.array([0.0, 0.0, 1.0, 0.0, 0.0])
    # 0, 4 and 3 differ, by hash; then the first of the sample, which is item 1
    assert in_order([a, b], HASHES, is_decision=True) == [0, 4, 3, 1, 2]


def test_numbers_come_by_the_size_of_their_difference():
    a = np.zeros(5)
    b = np.array([1.0, -5.0, 0.0, 3.0, -2.0])
    assert in_order([a, b], HASHES, is_decision=False)[:3] == [1, 3, 4]


def test_every_two_sides_get_an_item_in_turn():
    """A side that differs from both others everywhere leaves room for the pair of these."""
    hashes = np.arange(8, dtype=np.uint64)
    one, other = np.zeros(8), np.zeros(8)
    other[7] = 1.0
    third = np.full(8, 0.5)
    assert 7 in in_order([one, other, third], hashes, is_decision=True)[:3]


def test_items_without_a_number_do_not_differ():
    nothing = np.full(5, np.nan)
    order = in_order([nothing, np.zeros(5)], HASHES, is_decision=False)
    assert order == [1, 2, 0, 4, 3]


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1), st.integers(0, 9)), max_size=12),
    st.booleans(),
)
def test_every_item_is_taken_once(rows: list[tuple[int, int, int]], is_decision: bool):
    a, b, hashes = (np.array(column) for column in zip(*rows)) if rows else ([], [], [])
    values = [np.array(a, float), np.array(b, float)]
    order = in_order(values, np.array(hashes, np.uint64), is_decision=is_decision)
    assert sorted(order) == list(range(len(rows)))
