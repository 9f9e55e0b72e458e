"""A bar on a terminal, elsewhere a line from time to time and one at the end."""

import io
import sys

import pytest

from lmcore.machine import progress
from lmcore.machine.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def seconds(monkeypatch) -> list[float]:
    """What the clock says: the only entry."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_lines_come_when_the_last_one_is_long_ago_and_at_the_end(seconds, capsys):
    with Progress(5, "score", "shard", n_done=1) as shown:
        shown.advance()
        seconds[0] = 31.0
        shown.advance(note="9 tokens/s")
        shown.advance()
        shown.advance()
    assert not shown.is_bar
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["score: 3 of 5 shards, 9 tokens/s", "score: 5 of 5 shards"]


@pytest.mark.parametrize("options", [{"lines": False}, {"shown": False}])
def test_nothing_is_printed_where_no_line_is_wanted(options, capsys):
    with Progress(1, "train", "tok", **options) as shown:
        shown.advance()
    assert capsys.readouterr().err == ""


def test_terminal_gets_a_bar_with_its_note_and_no_line(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with Progress(2, "train", "tok", lines=False) as shown:
        assert shown.is_bar
        shown.advance(2, "loss=0.5")
    written = terminal.getvalue()
    assert "train: 100%" in written and "loss=0.5" in written and "of 2 toks" not in written
    with Progress(2, "train", "tok", shown=False) as hidden:
        hidden.advance(2)
    assert terminal.getvalue() == written
