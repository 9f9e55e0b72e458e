"""One process scores all suites of a model, and keeps the tables that would come out the same."""

from pathlib import Path

import pytest

from lmcore.errors import InputError
from lmcore.scoring import extract
from lmcore.scoring.extract import extract_suites, extract_tokens
from lmcore.tables import ITEMS, write
from tests.lmcore.scoring.conftest import TEXTS, items

PARAMS = {"dtype": "float32", "token_budget": 64, "shard_chars": 60}


class Project:
    """The folders of a stage, and which suites were scored."""

    def __init__(self, root: Path, model: Path, monkeypatch):
        self.root, self.model = root, model
        self.scored: list[str] = []
        score_shards = extract.score_shards

        def note(engine, table, jobs, label):
            self.scored.append(label.split()[-1])
            score_shards(engine, table, jobs, label)

        monkeypatch.setenv("LMCORE_WORKERS", "1")
        monkeypatch.setattr(extract, "score_shards", note)
        self.write("one", TEXTS)
        self.write("two", TEXTS[:3])

    def write(self, suite: str, texts: list, scoring: dict | None = None) -> None:
        scoring = scoring or {"bos": "prefix"}
        write(items(texts, scoring), ITEMS, self.root / "items" / f"{suite}.parquet")

    def run(self, *suites: str, code: str = "code", out: str = "out") -> list[str]:
        """Extract, and say which suites were scored."""
        self.scored.clear()
        extract_suites(
            self.model,
            self.root / "items",
            list(suites),
            self.root / out,
            self.root / f"{out}.json",
            self.root / "work",
            code,
            **PARAMS,
        )
        return self.scored[:]

    def contents(self, out: str = "out") -> dict[str, bytes]:
        folder = self.root / out
        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture
def project(tmp_path, llama, monkeypatch) -> Project:
    return Project(tmp_path, llama, monkeypatch)


def test_tables_are_those_of_each_suite_alone(project):
    project.write("three", TEXTS, {"bos": "none", "top_k": 2})
    assert project.run("one", "three") == ["one", "three"]
    for suite in ("one", "three"):
        path = project.root / "items" / f"{suite}.parquet"
        alone = project.root / "alone" / suite
        extract_tokens(project.model, path, alone, project.root / "work", "code", **PARAMS)
    assert project.contents() == project.contents("alone")
    assert not list((project.root / "work").rglob("*.parquet"))


def test_only_a_changed_suite_is_scored_again(project):
    project.run("one", "two")
    project.write("two", TEXTS[1:])
    assert project.run("one", "two") == ["two"]
    project.run("one", "two", out="fresh")
    assert project.contents() == project.contents("fresh")
    assert project.run("one", "two") == []


def test_a_new_suite_is_added_and_a_dropped_one_goes(project):
    project.run("one")
    assert project.run("one", "two") == ["two"]
    assert project.run("two") == []
    assert {Path(name).parent.name for name in project.contents()} == {"two"}
    assert project.run("one", "two") == ["one"]


def test_other_code_scores_all_suites_again(project):
    project.run("one", "two")
    assert project.run("one", "two", code="other") == ["one", "two"]


@pytest.mark.parametrize("fault", ["changed", "removed", "added", "record"])
def test_a_table_that_is_not_as_it_was_written_is_made_again(project, fault):
    project.run("one", "two")
    expected = project.contents()
    part = project.root / "out" / "one" / "part-00000.parquet"
    if fault == "changed":
        part.write_bytes(part.read_bytes()[:-1] + b"x")
    elif fault == "removed":
        part.unlink()
    elif fault == "added":
        (part.parent / "part-99999.parquet").write_bytes(b"")
    else:
        (project.root / "out.json").unlink()
    project.run("one", "two")
    assert project.contents() == expected


def test_a_failure_keeps_the_old_tables_and_the_shards_of_the_suites_before_it(project):
    project.run("one")
    before = project.contents()
    project.write("bad", ["a"], {"bos": "none"})
    with pytest.raises(InputError, match="no token of the target can be scored"):
        project.run("one", "two", "bad")
    assert project.contents() == before
    assert project.run("one", "two") == [], "the shards of `two` are in the work folder"


def test_tables_stay_readable_where_dvc_links_its_cache(project):
    project.run("one", "two")
    expected = project.contents()
    for path in sorted((project.root / "out").rglob("*.parquet")):
        cached = project.root / "cache" / f"{path.parent.name}-{path.name}"
        cached.parent.mkdir(exist_ok=True)
        path.rename(cached)
        path.symlink_to(cached)
    project.write("two", TEXTS[1:])
    assert project.run("one", "two") == ["two"]
    one = {name: content for name, content in expected.items() if name.startswith("one")}
    assert {**project.contents(), **one} == project.contents()
