"""Whether every line of constraints.txt can be installed on each Python and system we name.

    python -m tests.check_constraints [NAME …]

Each line, or those of the packages that are named, is looked up by `pip index versions`, for each
Python of PYTHONS and each system of SYSTEMS. Nothing is downloaded or installed. The command needs
a package index and takes some minutes; for this reason it is no test. It prints what is missing,
and ends with exit status 1 if anything is.

A found wheel is no proof that it runs. Linux x86-64 is where the tests run.
"""

import platform
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CONSTRAINTS = Path(__file__).parents[1] / "constraints.txt"
PYTHONS = ("3.11", "3.12", "3.13")
# Pure Python that is published as source alone; pip builds the wheel.
SOURCE_ALONE = {"antlr4-python3-runtime", "rouge-score", "sqlitedict", "word2number"}


class System(NamedTuple):
    """A system as environment markers and the tags of wheels name it."""

    name: str
    sys_platform: str
    platform_system: str
    machine: str
    tags: list[str]  # of wheels that are made for it


def _linux_tags(machine: str) -> list[str]:
    """The tags of wheels for a Linux with glibc 2.28 or newer."""
    return [f"manylinux_2_{minor}_{machine}" for minor in range(28, 16, -1)] + [
        f"manylinux2014_{machine}",
        f"linux_{machine}",
    ]


SYSTEMS = (
    System("Linux x86-64", "linux", "Linux", "x86_64", _linux_tags("x86_64")),
    System("Linux aarch64", "linux", "Linux", "aarch64", _linux_tags("aarch64")),
    # pip takes this for macOS 14 and everything before
    System("macOS arm64", "darwin", "Darwin", "arm64", ["macosx_14_0_arm64"]),
)


class Pin(NamedTuple):
    """A line of constraints.txt that holds for some Python and system."""

    name: str
    version: str


def pins(text: str, python: str, system: System) -> list[Pin]:
    """The pins among the lines of `text` whose markers hold for this Python and system.

    Raises ValueError for a line that is anything but NAME==VERSION, with or without a marker.
    """
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": system.sys_platform,
        "platform_system": system.platform_system,
        "platform_machine": system.machine,
        "extra": "",
    }
    found = []
    for line in text.splitlines():
        line = line.partition("#")[0].strip()
        if not line:
            continue
        requirement = Requirement(line)
        match = re.fullmatch(r"==([^,*]+)", str(requirement.specifier))
        if not match:
            raise ValueError(f"constraints.txt: {line!r} is not NAME==VERSION")
        if requirement.marker is None or requirement.marker.evaluate(environment):
            found.append(Pin(requirement.name, match[1]))
    return found


@cache
def versions(name: str, python: str, tags: tuple[str, ...]) -> frozenset[str]:
    """The versions of a package that pip finds for a Python and a system, without local parts."""
    options = ["--python-version", python]
    if canonicalize_name(name) in SOURCE_ALONE:
        # pip takes other systems' tags for wheels only, and asks a source for its Python alone
        options = []
    else:
        options += ["--only-binary=:all:"]
        for tag in tags:
            options += ["--platform", tag]
    command = [sys.executable, "-m", "pip", "index", "versions", *options, name]
    done = subprocess.run(command, capture_output=True, text=True)
    listed = re.search(r"^Available versions: (.*)$", done.stdout, re.MULTILINE)
    if listed is None and "No matching distribution" not in done.stderr:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")
    return frozenset(
        version.partition("+")[0] for version in (listed[1].split(", ") if listed else [])
    )


def is_there(pin: Pin, python: str, system: System) -> bool:
    """Whether the pinned version can be had: for any system, or else for this one."""
    return pin.version in versions(pin.name, python, ("any",)) or pin.version in versions(
        pin.name, python, tuple(system.tags)
    )


def main(names: list[str]) -> int:
    """Print what is missing for each Python and system. Returns the exit status."""
    text = CONSTRAINTS.read_text("utf-8")
    wanted = {canonicalize_name(name) for name in names}
    n_missing = 0
    print(f"pip of Python {platform.python_version()}; {CONSTRAINTS.name}")
    with ThreadPoolExecutor() as pool:
        for python in PYTHONS:
            for system in SYSTEMS:
                chosen = pins(text, python, system)
                if wanted:
                    chosen = [pin for pin in chosen if canonicalize_name(pin.name) in wanted]
                found = pool.map(is_there, chosen, [python] * len(chosen), [system] * len(chosen))
                missing = [
                    f"{pin.name}=={pin.version}" for pin, has in zip(chosen, found) if not has
                ]
                n_missing += len(missing)
                verdict = f"missing {', '.join(missing)}" if missing else "all there"
                print(
                    f"Python {python} on {system.name}: {len(chosen)} pins, {verdict}", flush=True
                )
    return 1 if n_missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
