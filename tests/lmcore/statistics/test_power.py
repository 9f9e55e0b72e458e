import numpy as np
import pytest
from scipy import stats as reference

from lmcore.statistics.power import detectable_difference, items_needed
from lmcore.statistics.stats import Estimate, macro

HOW = {"confidence": 0.95, "power": 0.8}


def test_detectable_difference_is_found_as_often_as_it_says():
    rng, found = np.random.default_rng(0), 0
    groups = np.repeat([0, 1], [60, 20])
    target = detectable_difference(
        macro(rng.normal(size=80), np.ones(80), groups)._replace(se=np.sqrt(1 / 60 + 1 / 20) / 2),
        **HOW,
    )
    for _ in range(500):
        estimate = macro(target + rng.normal(size=80), np.ones(80), groups)
        found += 2 * reference.t.sf(abs(estimate.mean) / estimate.se, estimate.df) < 0.05
    assert found / 500 == pytest.approx(0.8, abs=3 * np.sqrt(0.8 * 0.2 / 500) + 0.01)


def test_detectable_difference_at_the_number_of_items_needed_is_the_difference():
    estimate = Estimate(0.0, 0.02, 1e9, 1000)
    n = items_needed(0.01, estimate, **HOW)
    there = estimate._replace(se=0.02 * np.sqrt(1000 / n))
    assert detectable_difference(there, **HOW) == pytest.approx(0.01, rel=0.01)


def test_one_item_cannot_say_what_it_would_find():
    assert (
        detectable_difference(Estimate(0.5, None, 0, 1), **HOW) is None
        and items_needed(0.1, Estimate(0.5, None, 0, 1), **HOW) is None
    )
