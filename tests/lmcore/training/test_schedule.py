import math

import pytest

from lmcore.training.schedule import schedule, sequence_length


def test_schedule_warms_up_then_halves_a_cosine():
    values = [schedule(step, 10, 110) for step in (1, 10, 60, 110)]
    assert values == pytest.approx([0.1, 1, 0.5, 0])
    assert schedule(1, 0, 10) == 0.5 * (1 + math.cos(math.pi / 10))


def test_schedule_linear_falls_on_a_straight_line_to_zero_at_the_last_step():
    values = [schedule(step, 10, 110, "linear") for step in (1, 10, 35, 60, 110)]
    assert values == pytest.approx([0.1, 1, 0.75, 0.5, 0])
    # where all steps are warmup, nothing is left to decay
    assert schedule(10, 10, 10, "linear") == 1


def test_sequence_length_grows_through_the_divisors_of_a_chunk():
    growth = {"start": 32, "steps": 7}
    # 32, 64, 96, 128 ... wanted, of which 96 and 160 to 224 do not divide 256
    lengths = [sequence_length(step, 256, growth) for step in range(1, 10)]
    assert lengths == [32, 64, 64, 128, 128, 128, 128, 256, 256]
    assert sequence_length(1, 256, None) == 256


@pytest.mark.parametrize("chunk", [7, 12, 128])
def test_sequence_length_never_shrinks_and_always_divides_the_chunk(chunk):
    start = min(length for length in range(2, chunk + 1) if chunk % length == 0)
    growth = {"start": start, "steps": 50}
    lengths = [sequence_length(step, chunk, growth) for step in range(1, 60)]
    assert lengths == sorted(lengths) and lengths[0] == start and lengths[-1] == chunk
    assert not any(chunk % length for length in lengths)
