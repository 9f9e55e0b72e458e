"""One process scores all suites of a model, and keeps what would come out the same."""

from pathlib import Path

import pytest

from lmcore.errors import InputError
from lmcore.kept_files import locked
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


def test_other_code_scores_all_suites_again(project):
    project.run("one", "two")
    assert project.run("one", "two", code="other") == ["one", "two"]


@pytest.mark.parametrize("fault", ["changed", "removed"])
def test_a_kept_shard_that_is_not_as_it_was_written_is_made_again(project, fault):
    project.run("one", "two")
    expected = project.contents()
    shard = sorted((project.root / "work").rglob("part-00000.*.parquet"))[0]
    content = shard.read_bytes()
    shard.unlink()  # it is a link to the file in `out`
    if fault == "changed":
        shard.write_bytes(content[:-1] + b"x")
    assert len(project.run("one", "two")) == 1
    assert project.contents() == expected


def test_only_the_shards_of_the_last_tables_are_kept_and_those_that_another_run_works_on(project):
    project.run("one", "two")
    kept = project.root / "work" / "tokens" / "llama"
    (kept / "of_another_run").mkdir()
    with locked(kept / "of_another_run"):
        project.run("two", code="other")
        assert len([path for path in kept.iterdir() if path.is_dir()]) == 2
    project.run("two", code="other")
    assert len([path for path in kept.iterdir() if path.is_dir()]) == 1


def test_a_failure_keeps_the_old_tables_and_the_shards_of_the_suites_before_it(project):
    project.run("one")
    before = project.contents()
    project.write("bad", ["a"], {"bos": "none"})
    with pytest.raises(InputError, match="no token of the target can be scored"):
        project.run("one", "two", "bad")
    assert project.contents() == before
    assert project.run("one", "two") == [], "the shards of `two` are in the work folder"
