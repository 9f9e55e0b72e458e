"""Text that people write: a file or bytes go in; text, its lines, or one clear refusal come out.

- A text file is UTF-8. A byte-order mark (U+FEFF, which Windows puts first) is not part of the
  text.
- A line ends with \\n, \\r\\n or a lone \\r, as in an editor, and with nothing else. U+2028,
  U+2029, U+0085, \\v, \\f and \\x1c to \\x1e are characters within a line, though `str.splitlines`
  cuts there.
"""

import re
from pathlib import Path

from lmcore.errors import InputError

BOM = "\ufeff"
NEWLINE = re.compile(r"\r\n|\r|\n")
NEWLINE_BYTES = re.compile(rb"\r\n|\r|\n")
SURROGATE = re.compile("[\ud800-\udfff]")
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
SHOWN = 40  # the most characters of a value that a message shows


def read_text(path: Path, expected: str) -> str:
    """The text of a file, in which all lines end with \\n.

    `expected` says in messages what the file should have been. Raises InputError for a file that is
    not there, cannot be read or is not UTF-8.
    """
    return NEWLINE.sub("\n", decoded(read_bytes(path, expected), path))


def read_bytes(path: Path, expected: str) -> bytes:
    """The content of a file.

    `expected` says in messages what the file should have been. Raises InputError, which names the
    file, where there is none that can be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; expected {expected}") from error
    except IsADirectoryError as error:
        raise InputError(f"{path}: is a folder; expected {expected}") from error
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read: {error.strerror or error}; expected {expected}"
        ) from error


def decoded(content: bytes, name: str | Path) -> str:
    """UTF-8 as text, without a byte-order mark.

    `name` says in the message where the bytes come from. Raises InputError, which names the line of
    the first byte that is not UTF-8.
    """
    try:
        return content.decode("utf-8").lstrip(BOM)
    except UnicodeDecodeError as error:
        line = 1 + len(NEWLINE_BYTES.findall(content, 0, error.start))
        reason = f"the byte 0x{content[error.start]:02x} is not"
        if content.startswith(UTF_16):
            reason = "it is UTF-16"
        raise InputError(
            f"{name}: line {line}: expected UTF-8, {reason}; save the file as UTF-8"
        ) from error


def split_lines(text: str) -> list[str]:
    """The lines of a text, without their ends.

    A byte-order mark at the beginning of a line is left out, since it shows that files were joined
    there.
    """
    lines = [line.lstrip(BOM) for line in NEWLINE.split(text)]
    return lines if lines[-1] else lines[:-1]


def checked_text(value: object, where: str) -> str:
    """`value`, if it is text that can be scored.

    Raises InputError, whose message begins with `where`, for any other value (a number, null, a
    list), for half a character (a lone surrogate, which has no bytes), and for a byte-order mark at
    the beginning.
    """
    if not isinstance(value, str):
        raise InputError(f"{where} must be text, not {described(value)}")
    if half := SURROGATE.search(value):
        surrogate = f"half a character at position {half.start() + 1} (U+{ord(half[0]):04X})"
        raise InputError(f"{where} holds {surrogate}, a lone surrogate; expected text")
    if value.startswith(BOM):
        raise InputError(
            f"{where} begins with a byte-order mark (U+FEFF), which is no text; remove it"
        )
    return value


def described(value: object) -> str:
    """A value of a data file, in the words of a message: `null`, `the number 12`, `a list`."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        digits = repr(value)
        return f"the number {digits if len(digits) <= SHOWN else digits[:SHOWN] + '…'}"
    if isinstance(value, str):
        return repr(value if len(value) <= SHOWN else value[:SHOWN] + "…")
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "a mapping"
    return f"a value of type {type(value).__name__}"


def first_line(error: BaseException) -> str:
    """What an error of another library says, in one line."""
    lines = [line.strip() for line in split_lines(str(error)) if line.strip()]
    return lines[0] if lines else type(error).__name__
