"""The items of two revisions: the same numbers as from files, and only what both have."""

import json
import re
import shutil
from pathlib import Path

import pyarrow.compute as pc
import pytest
from typer.testing import CliRunner

from lmcore.commands.main import app
from lmcore.comparing.diff import compared_scores, diff, settings_of
from lmcore.comparing.diff_results import Scores
from lmcore.history.revisions import Revision
from lmcore.items.embedded import embedded
from lmcore.items.revisions import revision_set
from lmcore.report.items import files_set
from lmcore.tables import ITEMS, items_table, read, write
from tests.lmcore.comparing.test_model_pairs import SECTION
from tests.lmcore.view.toy_data import KINDS, write_data
from tests.miniature import run
from tests.yaml_files import write_yaml


@pytest.fixture
def revisions(tmp_path: Path) -> tuple[Revision, Revision]:
    """Two revisions of one model, which in the second has what another model said."""
    made = []
    for name, model in (("a", "first"), ("b", "second")):
        root = tmp_path / name
        data = write_data(root)
        for kind in ("scores", "tokens", "models"):
            (data / kind / model).rename(data / kind / "good")
        suites = {suite: {"kind": kind} for suite, kind in KINDS.items()}
        params = {"models": ["good"], "suites": suites, "compare_models": SECTION}
        write_yaml(params, root / "params.yaml")
        made.append(Revision(root, None))
    return made[0], made[1]


def test_sides_are_those_of_the_files(revisions, tmp_path: Path) -> None:
    whole = write_data(tmp_path / "whole")
    folders = (whole / "items", whole / "scores", whole / "tokens", whole / "models")
    for suite, kind in KINDS.items():
        of_files = embedded([files_set(suite, kind, ["first", "second"], *folders)])[0]
        a, b = (Scores(one, ["good"], suite) for one in revisions)
        of_both = embedded([revision_set("good", a, b)])[0]
        assert of_both["label"] == f"good on {suite}"
        assert of_both["items"] == of_files["items"]


def test_sets_are_there_for_all_that_is_compared(revisions) -> None:
    a, b = revisions
    settings = settings_of(b.params, None, None)
    found = diff(a, b, suites=[], models=[], common=False, groups=False, n_items=0, **settings)
    scores = compared_scores(a, b, suites=[], models=[], **settings)
    assert {(row.model, row.suite) for row in found.rows} <= set(scores)
    assert set(scores) == {("good", suite) for suite in KINDS}


def test_items_that_differ_in_content_are_left_out(revisions) -> None:
    a, b = revisions
    path = a.root / "data/items/pairs.parquet"
    rows = read(path, ITEMS).drop_columns(["content_hash"]).to_pylist()
    for row in rows:
        if row["item"] == "g0/0":
            row["target"] += "!"
    write(items_table(rows, {}), ITEMS, path)
    items = revision_set("good", Scores(a, ["good"], "pairs"), Scores(b, ["good"], "pairs")).items()
    assert "g0/0" not in pc.unique(items["item"]).to_pylist() and len(items) == 10


def test_a_recipe_has_the_means_of_its_models(revisions) -> None:
    a, b = revisions
    for kind in ("scores", "tokens", "models"):
        shutil.copytree(b.root / "data" / kind / "good", a.root / "data" / kind / "other")
    recipe, one = Scores(a, ["good", "other"], "pairs"), Scores(b, ["good"], "pairs")
    of_recipe, of_one = embedded([revision_set("r", recipe, one)])[0]["items"][0]["sides"]
    alone = Scores(a, ["good"], "pairs")
    first = embedded([revision_set("r", alone, one)])[0]["items"][0]["sides"][0]
    # one draw of the first model, two of the second
    mean = (first["logprobs"][0] + 2 * of_one["logprobs"][0]) / 3
    assert of_recipe["logprobs"][0] == pytest.approx(mean, abs=0.01)
    assert of_recipe["texts"][0]["bits"] == first["texts"][0]["bits"]


def test_without_a_tokenizer_alternatives_are_numbers(revisions) -> None:
    a, b = revisions
    (b.root / "data/models/good/tokenizer.json").unlink()
    of_both = revision_set("good", Scores(a, ["good"], "texts"), Scores(b, ["good"], "texts"))
    text = embedded([of_both])[0]["items"][0]["sides"][0]["texts"][0]
    assert text["tops"][0][0][0] == "<id 9999>"


def test_diff_writes_a_page_of_a_commit_and_the_workspace(revisions, tmp_path, monkeypatch) -> None:
    """The tables of the commit come from DVC's cache, as they do in a project."""
    old, new = (revision.root for revision in revisions)
    (old / "dvc.yaml").write_text("stages: {}\n")
    run(old, "git", "init", "--quiet", "--initial-branch=main")
    run(old, "dvc", "init", "--quiet")
    folders = [f"data/{name}" for name in ("items", "scores", "tokens", "models")]
    run(old, "dvc", "add", "--quiet", *folders)
    run(old, "git", "add", "-A")
    run(old, "git", "commit", "--quiet", "-m", "tables")
    for folder in folders:
        shutil.rmtree(old / folder)
        shutil.copytree(new / folder, old / folder)
    monkeypatch.chdir(old)
    page = tmp_path / "page.html"
    done = CliRunner().invoke(app, ["diff", "HEAD", "--html", str(page)])
    assert done.exit_code == 0 and "good" in done.stdout, done.output
    found = re.search(r'id="explorer-data">(.*?)</script>', page.read_text("utf-8"))
    assert found is not None
    sets = json.loads(found[1])["sets"]
    assert {one["label"] for one in sets} == {f"good on {suite}" for suite in KINDS}
    assert [side["name"].split()[0] for side in sets[0]["sides"]] == ["HEAD", "workspace"]
    first, second = sets[0]["items"][0]["sides"]
    assert first["logprobs"] != second["logprobs"]
