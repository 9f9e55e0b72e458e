import shutil
from importlib.metadata import version
from pathlib import Path

import pytest
from jinja2 import Environment, meta

from lmcore.history import fingerprint
from lmcore.history.fingerprint import closure, closure_hash, fingerprints

ROOT = Path(__file__).parents[3]
TEMPLATES = [
    path for path in (ROOT / "lmcore").rglob("*") if path.suffix in (".css", ".html", ".js")
]


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


@pytest.mark.parametrize("suffix", ["css", "html", "yaml"])
def test_closure_includes_data_named_after_a_module(project, suffix):
    scripts = [project / "stages/run.py", project / "stages/other.py"]
    hashes = []
    for text in (None, "a: 1", "a: 2"):
        if text:
            (project / f"pkg/b.{suffix}").write_text(text)
            (project / f"pkg/c.{suffix}").write_text(text)  # of a module that is not imported
        hashes.append([closure_hash(script, project) for script in scripts])
    of_run, of_other = zip(*hashes)
    assert len(set(of_run)) == 3 and len(set(of_other)) == 1


# the stages that show a template, where it is not write_report alone
STAGES_OF: dict[str, set[str]] = {
    "differences.html": set(),  # of `lmcore diff --html`
    "leaderboard.html": {"export_babylm"},
    "layout.html": {"export_babylm", "write_report"},
    "layout.css": {"export_babylm", "write_report"},
    "layout.js": {"export_babylm", "write_report"},
}


def test_every_template_is_in_the_closures_of_the_stages_that_reach_its_module():
    scripts = [path for path in (ROOT / "stages").glob("*.py") if path.stem != "__init__"]
    closures = {script.stem: closure(script, ROOT) for script in scripts}
    assert TEMPLATES
    for template in TEMPLATES:
        module = template.with_suffix(".py")
        assert module.exists(), f"{template}: no module has its name"
        loading = {stage for stage, files in closures.items() if module in files}
        assert loading == {stage for stage, files in closures.items() if template in files}
        assert loading == STAGES_OF.get(template.name, {"write_report"})


def test_template_that_changes_gives_the_stages_that_load_it_another_fingerprint(tmp_path):
    for folder in ("lmcore", "stages"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    before = fingerprints(tmp_path)
    for name in ("tokens.html", "leaderboard.html", "layout.css"):
        template = tmp_path / "lmcore" / "report" / name
        template.write_text(f"{template.read_text()}\n")
        after = fingerprints(tmp_path)
        changed = {stage for stage in after if after[stage] != before[stage]}
        assert changed == STAGES_OF.get(name, {"write_report"})
        before = after


def test_every_template_that_a_template_loads_is_in_the_closure_of_its_module():
    for template in TEMPLATES:
        loaded = meta.find_referenced_templates(Environment().parse(template.read_text()))
        reached = closure(template.with_suffix(".py"), ROOT)
        assert {template.parent / name for name in loaded} <= reached, template


def test_fingerprints_versions_carry_no_local_part():
    assert "+" not in fingerprints(ROOT)["versions"]


def test_a_library_that_draws_changes_the_stages_that_draw_alone(monkeypatch):
    before = fingerprints(ROOT)
    monkeypatch.setattr(fingerprint, "version", lambda name: f"{version(name)}.post1")
    after = fingerprints(ROOT)
    changed = {stage for stage in after if after[stage] != before[stage]}
    assert changed == {"write_report", "versions"}
