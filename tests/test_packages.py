"""What pyproject.toml declares is what the code imports, and constraints.txt pins all of it."""

import ast
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.check_constraints import CONSTRAINTS, PYTHONS, SYSTEMS, pins

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
OURS = {"lmcore", "stages"}
# transformers imports it when it reads a GGUF file
NEEDED_BY_OTHERS = {"accelerate"}


def names(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(line).name) for line in requirements}


def imported(folder: str) -> set[str]:
    """The packages that the modules of a folder import, without those of Python itself."""
    found = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return found - OURS - sys.stdlib_module_names


EXTRAS = {"ray"}  # imported where LMCORE_ENGINE asks for it; an extra has the same name


def test_dependencies_are_what_lmcore_and_the_stages_import():
    distributions = packages_distributions()
    needed = set()
    for module in (imported("lmcore") | imported("stages")) - EXTRAS:
        needed.add(canonicalize_name(distributions[module][0]))
    assert needed | NEEDED_BY_OTHERS == names(PROJECT["dependencies"])
    for extra in EXTRAS:
        assert names(PROJECT["optional-dependencies"][extra]) == {extra}


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.name)
def test_constraints_pin_every_declared_package_once(python, system):
    pinned = [canonicalize_name(pin.name) for pin in pins(CONSTRAINTS.read_text(), python, system)]
    declared = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]
    assert len(pinned) == len(set(pinned))
    assert names(declared) <= set(pinned)


def test_pins_hold_where_their_markers_do():
    text = (
        "# a remark\nnumpy==2.4.6\n"
        'six==1.0; python_version < "3.12"\n'
        'six==2.0; python_version >= "3.12" and sys_platform == "darwin"\n'
    )
    linux, _, mac = SYSTEMS
    assert pins(text, "3.11", linux) == [("numpy", "2.4.6"), ("six", "1.0")]
    assert pins(text, "3.13", linux) == [("numpy", "2.4.6")]
    assert pins(text, "3.13", mac) == [("numpy", "2.4.6"), ("six", "2.0")]
    with pytest.raises(ValueError, match="'numpy>=2' is not NAME==VERSION"):
        pins("numpy>=2\n", "3.11", linux)
