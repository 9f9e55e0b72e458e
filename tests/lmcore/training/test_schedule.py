import math

import pytest

from lmcore.training.schedule import schedule


def test_schedule_warms_up_then_halves_a_cosine():
    values = [schedule(step, 10, 110) for step in (1, 10, 60, 110)]
    assert values == pytest.approx([0.1, 1, 0.5, 0])
    assert schedule(1, 0, 10) == 0.5 * (1 + math.cos(math.pi / 10))
