from pathlib import Path

import pytest

from lmcore.history.fingerprint import closure, closure_hash, fingerprints

ROOT = Path(__file__).parents[3]


@pytest.fixture
def project(tmp_path):
    for name, text in {
        "stages/__init__.py": "",
        "stages/run.py": "from pkg import a\n\nprint(a.f(1))\n",
        "stages/other.py": "import json\n",
        "pkg/__init__.py": "",
        "pkg/a.py": (
            '"""Doc."""\nfrom . import b\n\n\ndef f(x):\n    """Doc."""\n    return b.g(x)  # why\n'
        ),
        "pkg/b.py": "def g(x):\n    return x + 1\n",
        "pkg/c.py": "unused = 1\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_closure_follows_relative_imports_and_nothing_else(project):
    found = {
        path.relative_to(project).as_posix() for path in closure(project / "stages/run.py", project)
    }
    assert found == {"stages/run.py", "pkg/__init__.py", "pkg/a.py", "pkg/b.py"}


@pytest.mark.parametrize(
    ("file", "old", "new", "changes"),
    [
        ("pkg/a.py", "# why", "# because", False),
        ("pkg/a.py", '"""Doc."""', '"""Other."""', False),
        ("pkg/a.py", "return b.g(x)", "return (b.g(x))", False),
        ("pkg/b.py", "x + 1", "x + 2", True),
        ("pkg/c.py", "unused = 1", "unused = 2", False),
        ("stages/other.py", "json", "csv", False),
    ],
)
def test_closure_hash_changes_with_statements_of_the_closure_alone(
    project, file, old, new, changes
):
    before = closure_hash(project / "stages/run.py", project)
    path = project / file
    path.write_text(path.read_text().replace(old, new))
    assert (closure_hash(project / "stages/run.py", project) != before) is changes


def test_closure_includes_data_named_after_a_module(project):
    before = closure_hash(project / "stages/run.py", project)
    (project / "pkg/b.yaml").write_text("a: 1")
    assert closure_hash(project / "stages/run.py", project) != before


def test_fingerprints_versions_carry_no_local_part():
    assert "+" not in fingerprints(ROOT)["versions"]
