"""SVG: scales that span their range, and text that stays text."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from lmcore.svg import element, ticks

NUMBERS = st.floats(-1e12, 1e12)


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (3.4, 8.9), (0, 812), (0, 0), (2.0, 2.0001), (-3, 5)]
)
def test_ticks_are_even_and_span_the_range(low: float, high: float) -> None:
    places = ticks(low, high)
    steps = np.diff(places)
    assert places[0] <= low + 1e-9 and places[-1] >= high - 1e-9
    assert 2 <= len(places) <= 8 and np.allclose(steps, steps[0])


def test_ticks_of_a_narrow_range_are_exact() -> None:
    assert ticks(0, 1e-12) == [0, 2e-13, 4e-13, 6e-13, 8e-13, 1e-12]
    assert ticks(0, 1.2e-9) == [0, 2.5e-10, 5e-10, 7.5e-10, 1e-9, 1.25e-9]


@pytest.mark.parametrize(
    ("low", "high"),
    [(0, 1e-11), (0, 1e-200), (-1e-30, 1e-30), (0, 5e-324), (1, 1 + 2e-16), (1e20, 1e20)],
)
def test_ticks_of_any_range_differ(low: float, high: float) -> None:
    places = ticks(low, high)
    assert 2 <= len(places) <= 8 and min(np.diff(places)) > 0


@given(NUMBERS, NUMBERS)
def test_ticks_rise_and_span_the_range(one: float, other: float) -> None:
    low, high = min(one, other), max(one, other)
    places = ticks(low, high)
    step = places[1] - places[0]
    assert 2 <= len(places) <= 9 and min(np.diff(places)) > 0
    assert places[0] - 1e-6 * step <= low and high <= places[-1] + 1e-6 * step


def test_element_escapes_all_but_markup() -> None:
    inside = element("title", "a<b")
    assert inside == "<title>a&lt;b</title>"
    assert element("g", inside, class_='"x', stroke_width=1) == (
        '<g class="&quot;x" stroke-width="1"><title>a&lt;b</title></g>'
    )
    assert element("text", "\x1b[31m") == r"<text>\x1b[31m</text>"
    assert isinstance(element("path", d="M0 0"), Markup) and element("path") == "<path/>"
