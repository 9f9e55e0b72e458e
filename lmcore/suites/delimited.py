"""Tables of text, read strictly: the text of a CSV or TSV goes in, its rows come out, each with its line.

CSV (RFC 4180): a comma between fields. A field with a comma, a quote or a newline in it stands in
quotes, and a quote in it is written twice. TSV (IANA's text/tab-separated-values): a tab between
fields; a quote is a character like any other.

What can be read in two ways is refused, never repaired: a row of other than the header's number of
fields, a quote in the middle of a field or one that is never closed, text behind a closing quote, a
column without a name or with the name of another. So is a TSV field that stands wholly in quotes:
spreadsheets mean the text in them, other programs the quotes as well.

Empty lines are left out. So is a first column without a name that holds whole numbers alone: pandas
and R write their row numbers there.
"""

import re
from collections.abc import Iterator

from lmcore.errors import InputError
from lmcore.text_files import NEWLINE, described, split_lines

Fields = tuple[int, list[str]]  # the line on which a row begins, and its fields
FIELD = re.compile(r'"([^"]*+(?:""[^"]*+)*+)"|([^",\r\n]*)')
HOW = (
    'a field with a comma or a quote stands in quotes, a quote in it twice: "He said ""no"", twice"'
)
INSTEAD = "write the file as .csv or .jsonl"


def read_table(text: str, name: str, is_csv: bool) -> list[tuple[int, dict[str, str]]]:
    """The rows below the header as {column: field}, each with the line on which it begins.

    Raises InputError naming `name`, line and column.
    """
    rows = csv_rows(text, name) if is_csv else tsv_rows(text, name)
    first = next(rows, None)
    if first is None:
        return []
    line, header = first
    is_numbered = header[0] == "" and len(header) > 1
    check_columns(header[is_numbered:], f"{name}: line {line}")
    found = []
    for start, fields in rows:
        if len(fields) != len(header):
            raise InputError(_misfit(f"{name}: line {start}", fields, header, is_csv))
        found.append((start, dict(zip(header, fields))))
    for start, row in found if is_numbered else ():
        if not row.pop("").isdecimal():
            where = f"{name}: line {start}"
            raise InputError(
                f"{where}: the first column has no name, and holds more than row numbers"
            )
    return found


def csv_rows(text: str, name: str) -> Iterator[Fields]:
    """The rows of a CSV, the header first. Raises InputError for a quote that is out of place."""
    at, line, start = 0, 1, 1
    fields: list[str] = []
    header: list[str] = []
    while at < len(text) or fields:
        begin, (at, quoted, plain) = at, _field(text, at)
        if text[at : at + 1] not in ("", ",", "\r", "\n"):
            where = f"{name}: line {line}, column {_column(header, len(fields))}"
            raise InputError(f"{where}: {_misplaced(text, begin, at, quoted, line)}")
        fields.append(plain if quoted is None else quoted.replace('""', '"'))
        line += 0 if quoted is None else len(NEWLINE.findall(quoted))
        if text[at : at + 1] == ",":
            at += 1
            continue
        newline = NEWLINE.match(text, at)
        at, line = (newline.end() if newline else at), line + 1
        if len(fields) > 1 or quoted is not None or plain.strip():
            header = header or fields
            yield start, fields
        fields, start = [], line


def tsv_rows(text: str, name: str) -> Iterator[Fields]:
    """The rows of a TSV, the header first. Raises InputError for a field that stands in quotes."""
    header: list[str] = []
    for line, content in enumerate(split_lines(text), 1):
        if not content.strip(" "):
            continue
        fields = content.split("\t")
        for number, field in enumerate(fields):
            if len(field) > 1 and field[0] == field[-1] == '"':
                where = f"{name}: line {line}, column {_column(header, number)}"
                raise InputError(
                    f"{where}: the field stands in quotes, which a .tsv takes to the letter; {INSTEAD}"
                )
        header = header or fields
        yield line, fields


def check_columns(names: list[str], where: str) -> None:
    """Raises InputError for a column without a name, and for two of one name."""
    for number, name in enumerate(names):
        if not name.strip():
            raise InputError(
                f"{where}: column {number + 1} has no name; columns are {', '.join(names)}"
            )
        if name in names[:number]:
            raise InputError(
                f"{where}: two columns are called '{name}'; columns are {', '.join(names)}"
            )


def _field(text: str, at: int) -> tuple[int, str | None, str]:
    """Where the field that begins at `at` ends; what stands in its quotes (still doubled), or None and the field."""
    match = FIELD.match(text, at)
    assert match is not None, "the pattern matches the empty text"
    return match.end(), match[1], match[2] or ""


def _misplaced(text: str, begin: int, at: int, quoted: str | None, line: int) -> str:
    """What is wrong at `at`, behind a field that begins at `begin`."""
    if quoted is not None:
        end = line + len(NEWLINE.findall(quoted))
        place = "" if end == line else f" on line {end}"
        return f"behind the closing quote{place} comes {described(text[at])}, not a comma or the end of the line; {HOW}"
    if begin == at:
        return f"the quote that opens here is never closed; {HOW}"
    return f"a quote stands in the middle of a field; {HOW}"


def _misfit(where: str, fields: list[str], header: list[str], is_csv: bool) -> str:
    n = f"{len(fields)} field{'' if len(fields) == 1 else 's'}"
    found = f"{where}: {n}, but the header has {len(header)} ({', '.join(header)}): "
    if len(fields) < len(header):
        return found + f"column '{header[len(fields)]}' has none"
    rule = HOW if is_csv else "a field cannot hold a tab"
    return (
        found
        + f"{described(fields[len(header)])} is one too many behind column '{header[-1]}'; {rule}"
    )


def _column(header: list[str], number: int) -> str:
    return f"'{header[number]}'" if number < len(header) else str(number + 1)
