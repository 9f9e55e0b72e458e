"""Independent jobs on a Ray cluster, where the environment says LMCORE_ENGINE=ray.

The cluster is the one at RAY_ADDRESS, or one of this machine alone that ends with the process. Only
Ray need be shared between the hosts, no disk: code, model folders and tables travel through it. A
job is a Ray task, not an actor: when a worker or a whole host is lost, its tasks run elsewhere.

The last bits of a result depend on the libraries and on the processor. So every host says what it
computes with (`facts`), and hosts that differ are refused.

Without Ray installed nothing here fails but what asks for it.
"""

import functools
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filelock import FileLock

import lmcore
from lmcore.errors import InputError
from lmcore.files import sha256, whole
from lmcore.shown import for_terminal

ENGINES = ("local", "ray")
RETRIES = 5  # of a task whose worker or host was lost
AHEAD = 4  # tasks in flight for each that can run at once
Facts = dict[str, str]


def is_wanted() -> bool:
    """Whether LMCORE_ENGINE asks for Ray. Raises InputError for a name that is none of ENGINES."""
    name = os.environ.get("LMCORE_ENGINE", "") or "local"
    if name not in ENGINES:
        raise InputError(f"LMCORE_ENGINE must be one of {', '.join(ENGINES)}, not {name!r}")
    return name == "ray"


@functools.cache
def _ray() -> Any:
    """Ray, connected. Raises InputError where it is not installed or the cluster is not there."""
    try:
        import ray
    except ImportError as error:
        raise InputError(
            "LMCORE_ENGINE=ray needs Ray, which is not installed: pip install 'lmcore[ray]'"
        ) from error
    address = os.environ.get("RAY_ADDRESS") or "local"
    # hosts elsewhere may have no lmcore, or another version of it
    code = {} if address == "local" else {"py_modules": [str(Path(lmcore.__path__[0]))]}
    try:
        ray.init(
            address=address,
            include_dashboard=False if address == "local" else None,
            runtime_env=code or None,
            logging_level="ERROR",
            log_to_driver=False,
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"RAY_ADDRESS={address}: no Ray cluster answers: {reason}") from error
    return ray


def versions(*packages: str) -> Facts:
    """The versions of packages on this host, without their `+cpu` part."""
    return {package: version(package).split("+")[0] for package in packages}


def maker() -> str:
    """Who made this host's processor; empty where the system does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if "vendor_id" in line), "")


class SharedFolder:
    """A folder that tasks read. It travels to a host once, and is kept there by its hash."""

    def __init__(self, folder: Path):
        """Put the files of `folder` into Ray's store."""
        files = {}
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                files[path.relative_to(folder).as_posix()] = path.read_bytes()
        self.name, self.digest = folder.name, sha256(folder)
        self.stored = [_ray().put(files)]  # in a list, Ray leaves it until it is asked for

    def here(self) -> Path:
        """The folder on the host of this task."""
        return _copy_of(self.digest, self.name, self.stored[0])


@functools.lru_cache(maxsize=4)
def _copy_of(digest: str, name: str, stored: Any) -> Path:
    """The copy of a shared folder on this host, which is made where it is not there or not whole.

    Raises InputError where somebody else owns the place for such copies.
    """
    place = Path(tempfile.gettempdir()) / f"lmcore-{os.getuid()}"
    place.mkdir(mode=0o700, exist_ok=True)
    if place.stat().st_uid != os.getuid():
        raise InputError(f"{place}: belongs to another user; name another folder in TMPDIR")
    copy = place / digest / name
    with FileLock(place / f"{digest}.lock"):
        if not (copy.is_dir() and sha256(copy) == digest):
            import ray

            files = ray.get(stored)
            with whole(copy) as temporary:
                for relative, content in files.items():
                    path = temporary / relative
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(content)
    return copy


def share(value: Any) -> Any:
    """A value that every task gets, put into Ray's store once."""
    return _ray().put(value)


def facts_of(facts: Callable[[], Facts], cores: int = 1) -> Facts:
    """What the hosts of the cluster compute with, which `facts` says on each.

    Raises InputError where two hosts differ, and where none has so many cores.
    """
    ray = _ray()
    from ray.util import scheduling_strategies as strategies

    task = ray.remote(facts)
    tasks = {}
    for node in ray.nodes():
        if not node["Alive"] or node["Resources"].get("CPU", 0) < cores:
            continue
        options: dict[str, Any] = dict(_resources(cores))
        options["scheduling_strategy"] = strategies.NodeAffinitySchedulingStrategy(
            node["NodeID"], soft=False
        )
        tasks[node["NodeManagerHostname"], node["NodeID"]] = task.options(**options).remote()
    found: tuple[str, Facts] | None = None
    for (host, node), reference in tasks.items():
        said = _said(node, reference)
        if said is None:
            continue
        if found is None:
            found = host, said
        _refuse_other(found[1], said, f"hosts {found[0]} and {host}")
    if found is None:
        raise InputError(f"the Ray cluster has no host with so many cores: {cores}")
    return found[1]


def _said(node: str, reference: Any) -> Facts | None:
    """What a host said; None where it was lost before it said anything.

    Raises InputError as the task does, and where it was lost on a host that is still there.
    """
    ray = _ray()
    from ray import exceptions

    try:
        with _errors_of_tasks():
            return ray.get(reference)
    except InputError as error:
        alive = {each["NodeID"] for each in ray.nodes() if each["Alive"]}
        if node in alive or not isinstance(error.__cause__, exceptions.RayError):
            raise
        return None


def _refuse_other(expected: Facts, said: Facts, where: str) -> None:
    """Raises InputError where two hosts do not compute with the same."""
    for name, value in expected.items():
        if said.get(name) != value:
            raise InputError(
                f"{where} of the Ray cluster differ in {name}: {value} and {said.get(name)}; the"
                " last bits of the results depend on it. Use hosts of one kind"
            )


def run(
    function: Callable[..., Any],
    facts: Callable[[], Facts],
    jobs: Sequence[Any],
    *shared: Any,
    cores: int = 1,
) -> Iterator[tuple[int, Any]]:
    """(number, function(*shared, job)) of every job, in the order in which they are done.

    function: of a module, so that hosts can import it; shared: SharedFolder, or what `share`
    returned; cores: that a job takes. `facts` as in `facts_of`: also the result of a host that
    joined later is refused where it computes with something else.

    Raises InputError as `function` does, and where a job was lost RETRIES times.
    """
    ray = _ray()
    expected = facts_of(facts, cores)
    task = ray.remote(_with_facts).options(
        max_retries=RETRIES, scheduling_strategy="SPREAD", **_resources(cores)
    )
    running: dict[Any, int] = {}
    waiting = iter(range(len(jobs)))
    try:
        while True:
            for number in waiting:
                running[task.remote(function, facts, jobs[number], *shared)] = number
                if len(running) >= _most_in_flight():
                    break
            if not running:
                return
            done, _ = ray.wait(list(running), num_returns=1)
            with _errors_of_tasks():
                said, result = ray.get(done[0])
            number = running.pop(done[0])
            _refuse_other(expected, said, "two hosts")
            yield number, result
    finally:
        for reference in running:
            ray.cancel(reference, force=True)


def _with_facts(function: Callable, facts: Callable[[], Facts], job: Any, *shared: Any) -> Any:
    """What a task returns: the host's facts, and the result."""
    return facts(), function(*shared, job)


def _resources(cores: int) -> dict[str, int]:
    """What a task takes: its cores, and a GPU where the cluster has GPUs."""
    has_gpus = _ray().cluster_resources().get("GPU", 0) >= 1
    return {"num_cpus": cores} | ({"num_gpus": 1} if has_gpus else {})


def _most_in_flight() -> int:
    """How many tasks are handed to the cluster at a time; hosts may join and leave."""
    resources = _ray().cluster_resources()
    at_once = resources.get("GPU", 0) or resources.get("CPU", 0)
    return AHEAD * max(1, int(at_once))


@contextmanager
def _errors_of_tasks() -> Iterator[None]:
    """Raise what a task raised as its own error, and a lost task as an InputError."""
    from ray import exceptions

    try:
        yield
    except exceptions.RayTaskError as error:
        cause = getattr(error, "cause", None)
        raise (cause if isinstance(cause, Exception) else error) from None
    except exceptions.RayError as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            for_terminal(f"a task of the Ray cluster was lost {RETRIES + 1} times: {reason};")
            + " run again to go on"
        ) from error
