"""Steps that overlap: results are in order, and an error that a step raises is raised."""

import threading

import pytest

from lmcore.scoring.overlap import overlapped


def test_results_are_in_order_and_steps_of_different_jobs_overlap():
    second_is_planned, first_is_run = threading.Event(), threading.Event()

    def plan(job: int) -> int:
        if job == 1:
            second_is_planned.set()
        return job * 10

    def run(planned: int) -> int:
        # This would never be set if planning waited for the end of this job
        assert second_is_planned.wait(60)
        if planned == 10:
            assert first_is_run.wait(60)
        return planned + 1

    def write(job: int, done: int) -> tuple[int, int]:
        if job == 0:
            first_is_run.set()
        return job, done

    assert list(overlapped(plan, run, write, [0, 1, 2])) == [(0, 1), (1, 11), (2, 21)]
    assert list(overlapped(plan, run, write, [])) == []


@pytest.mark.parametrize("step", ["plan", "run", "write"])
def test_what_a_step_raises_is_raised(step):
    def fail(name: str, value):
        if name == step and value in (1, 10):
            raise ValueError(name)
        return value

    steps = (
        lambda job: fail("plan", job),
        lambda planned: fail("run", planned * 10),
        lambda job, done: fail("write", job),
    )
    with pytest.raises(ValueError, match=step):
        list(overlapped(*steps, [0, 1, 2, 3]))
