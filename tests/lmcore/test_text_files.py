"""Text that people write.

It may have the byte-order mark of Windows, and has lines as in an editor. What is not text is
refused in one line.
"""

from pathlib import Path

import pytest

from lmcore.errors import InputError
from lmcore.text_files import checked_text, decoded, described, first_line, read_text, split_lines

NO_LINE_ENDS = "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\x1dh\x1ei"


def test_lines_end_at_newlines_alone() -> None:
    assert split_lines("one\ntwo\r\nthree\rfour") == ["one", "two", "three", "four"]
    assert split_lines(NO_LINE_ENDS) == [NO_LINE_ENDS] and len(NO_LINE_ENDS.splitlines()) == 9
    assert split_lines("") == [] and split_lines("\n\nx\n") == ["", "", "x"]


def test_read_text_leaves_out_the_mark_and_makes_line_ends_alike(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_bytes("\ufeffThe cat\r\nsat\r.\n".encode())
    assert read_text(tmp_path / "t.txt", "texts") == "The cat\nsat\n.\n"
    (tmp_path / "t.txt").write_bytes("\ufeff".encode())
    assert read_text(tmp_path / "t.txt", "texts") == ""


def test_split_lines_leaves_out_the_marks_of_files_put_together() -> None:
    assert split_lines("one\n\ufefftwo\nth\ufeffree") == ["one", "two", "th\ufeffree"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"one\r\ntwo\rth\xe9\n", "t.txt: line 3: expected UTF-8, the byte 0xe9 is not"),
        ("The cat".encode("utf-16"), "t.txt: line 1: expected UTF-8, it is UTF-16"),
        (b"\xed\xa0\xbd", "t.txt: line 1: expected UTF-8, the byte 0xed is not"),
    ],
)
def test_bytes_that_are_no_utf8_name_their_line(content: bytes, message: str) -> None:
    with pytest.raises(InputError) as error:
        decoded(content, "t.txt")
    assert str(error.value).startswith(message) and "\n" not in str(error.value)


def test_read_text_of_what_is_no_file_says_so(tmp_path: Path, monkeypatch) -> None:
    with pytest.raises(InputError, match=r"none\.txt: no such file; expected texts"):
        read_text(tmp_path / "none.txt", "texts")
    with pytest.raises(InputError, match="is a folder; expected texts"):
        read_text(tmp_path, "texts")

    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(
        InputError, match=r"mine\.txt: cannot be read: Permission denied; expected texts"
    ):
        read_text(tmp_path / "mine.txt", "texts")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (12, "here must be text, not the number 12"),
        (float("nan"), "here must be text, not the number nan"),
        (None, "here must be text, not null"),
        (True, "here must be text, not true"),
        (["a"], "here must be text, not a list"),
        ({"a": 1}, "here must be text, not a mapping"),
        (b"a", "here must be text, not a value of type bytes"),
        ("ab\ud83d", "here holds half a character at position 3 (U+D83D), a lone surrogate"),
        ("\ufeffa", "here begins with a byte-order mark"),
    ],
)
def test_checked_text_refuses_what_is_no_text(value: object, message: str) -> None:
    with pytest.raises(InputError) as error:
        checked_text(value, "here")
    assert str(error.value).startswith(message)


def test_checked_text_takes_any_text() -> None:
    for text in ("", "NA", "a\ufeffb", "\U0001f642", NO_LINE_ENDS):
        assert checked_text(text, "here") == text


def test_messages_stay_short_and_on_one_line() -> None:
    assert (
        described("a\nb") == "'a\\nb'"
        and len(described("x" * 1000)) < 50
        and len(described(10**900)) < 60
    )
    assert (
        first_line(ValueError("\n first\nsecond")) == "first"
        and first_line(ValueError()) == "ValueError"
    )
