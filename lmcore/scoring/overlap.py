"""Three steps of the same work that overlap, for a device that would wait for the host otherwise.

Jobs go in, the results of their last step come out, in order. While one job runs, the next is
planned in a thread, and the one before is written in another.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


def overlapped(
    plan: Callable[[Job], Any],
    run: Callable[[Any], Any],
    write: Callable[[Job, Any], Result],
    jobs: Sequence[Job],
) -> Iterator[Result]:
    """`write(job, run(plan(job)))` of each job. What a step raises, is raised here."""
    if not jobs:
        return
    with ThreadPoolExecutor(1) as planner, ThreadPoolExecutor(1) as writer:
        planned = planner.submit(plan, jobs[0])
        written: Future[Result] | None = None
        for job, following in zip(jobs, [*jobs[1:], None], strict=True):
            ready = planned.result()
            if following is not None:
                planned = planner.submit(plan, following)
            done = run(ready)
            if written is not None:
                yield written.result()
            written = writer.submit(write, job, done)
        assert written is not None
        yield written.result()
