"""Three steps of the same work that overlap, for a device that otherwise would wait for the host.

Jobs go in. The results of their last step come out, in order. While one job runs, the next one is
planned in a thread, and the one before it is written in another thread.
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
    """`write(job, run(plan(job)))` of each job. An error that a step raises is raised here."""
    if not jobs:
        return
    with ThreadPoolExecutor(1) as planner, ThreadPoolExecutor(1) as writer:
        planning = planner.submit(plan, jobs[0])
        writing: Future[Result] | None = None
        for job, next_job in zip(jobs, [*jobs[1:], None], strict=True):
            planned = planning.result()
            if next_job is not None:
                planning = planner.submit(plan, next_job)
            done = run(planned)
            if writing is not None:
                yield writing.result()
            writing = writer.submit(write, job, done)
        assert writing is not None
        yield writing.result()
