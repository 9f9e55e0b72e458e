"""Files of which a tool writes one for each task and run: paths go in, the newest runs come out.

Such a file is called PREFIX_TASK_TIME. The results of the run are in another file of that time.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

TIME = r"(?P<time>\d{4}-\d\d-\d\dT[\d.:-]+)"


class Run(NamedTuple):
    """One model on one task: the file, and the run's results (empty where they are nowhere)."""

    path: Path
    model: str
    task: str
    results: dict[str, Any]


def newest_runs(
    paths: list[Path],
    name: re.Pattern[str],
    read_results: Callable[[Path, str], dict[str, Any]],
    model_of: Callable[[Path, dict[str, Any]], str],
) -> tuple[list[Run], list[str]]:
    """The newest run of each model and task, and a note where older ones were left out.

    `name` has the groups `task` and `time` and matches every path; `read_results` gets a path and
    its time.
    """
    timed = []
    for path in paths:
        match = name.fullmatch(path.name)
        assert match is not None, path
        timed.append((match["time"], path, match["task"]))
    latest: dict[tuple[str, str], Run] = {}
    for time, path, task in sorted(timed):
        results = read_results(path, time)
        model = model_of(path, results)
        latest[model, task] = Run(path, model, task, results)
    n_older = len(paths) - len(latest)
    notes = [f"{n_older} older logs of the same tasks were left out"] if n_older else []
    return list(latest.values()), notes


def short_name(model: str) -> str:
    """The name of a model: a hub id as it is, of a path the last folder."""
    is_hub_id = model.count("/") == 1 and not model.startswith((".", "/"))
    return model if is_hub_id else Path(model).name
