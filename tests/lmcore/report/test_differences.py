"""The page of `lmcore diff --html`: the table, the items of both sides, and no harm from names."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lmcore.commands.main import app
from lmcore.report.differences import write_diff_page
from lmcore.shown import UNSEEN
from tests.lmcore.comparing import test_diff as diffs
from tests.lmcore.items.toy_sets import pairs_set
from tests.lmcore.nasty import NASTY, Parsed

revision = diffs.revision  # a fixture


def found_of(revision):
    worse = {"good": (0.6, 1.9), "untrained": (0.5, 3.0)}
    return diffs.compared(revision("a"), revision("b", worse), groups=True)


def test_page_has_the_table_the_items_and_what_changed(revision, tmp_path: Path) -> None:
    out = tmp_path / "diff.html"
    write_diff_page(found_of(revision), [pairs_set()], out)
    html = out.read_text("utf-8")
    assert re.findall(r'<section id="(\w+)"', html) == ["differences", "items", "causes"]
    assert "1 worse, 1 better, 2 unchanged" in html
    assert '<th scope="row">good</th><td>pairs</td><td>accuracy</td>' in html
    assert "good on pairs, by group" in html and "he0 yes" in html
    write_diff_page(found_of(revision), [pairs_set()], tmp_path / "again.html")
    assert (tmp_path / "again.html").read_bytes() == out.read_bytes()


def test_page_without_items_has_the_table_alone(revision, tmp_path: Path) -> None:
    write_diff_page(found_of(revision), [], tmp_path / "diff.html")
    html = (tmp_path / "diff.html").read_text("utf-8")
    assert re.findall(r'<section id="(\w+)"', html) == ["differences", "causes"]


@pytest.mark.parametrize("text", list(NASTY.values()))
def test_names_become_no_element(revision, tmp_path: Path, text: str) -> None:
    found = found_of(revision)
    groups = {text: next(iter(found.rows[0].groups.values()))}
    row = found.rows[0]._replace(model=text, suite=text, groups=groups)
    found = found._replace(
        a=text,
        b=text,
        rows=[row],
        params={text: (text, text)},
        stages={text: [text]},
        only_a=[text],
    )
    write_diff_page(found, [pairs_set(text=text, label=text)], tmp_path / "diff.html")
    html = (tmp_path / "diff.html").read_text("utf-8")
    parsed = Parsed(html)
    assert "xss" not in parsed.tags and "onxss" not in parsed.attributes
    assert html.count("<script") == html.count("</script") == 5
    assert not set(UNSEEN.findall(html)) - {"\n", "\t"}


def test_html_of_logs_is_refused_in_one_line(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    result = CliRunner().invoke(app, ["diff", "./a", "./b", "--html", "out.html"])
    assert result.exit_code == 1
    assert result.stderr == "error: --html: logs hold no tokens to show; name two revisions\n"
