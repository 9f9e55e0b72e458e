"""Tables of text, read strictly.

The text of a CSV or TSV goes in. Its rows come out, each with the line on which it begins.

CSV (RFC 4180): a comma stands between fields. A field with a comma, a quote or a newline in it
stands in quotes, and a quote in it is written twice. TSV (IANA's text/tab-separated-values): a tab
stands between fields, and a quote is a character like any other.

What can be read in two ways is refused and never repaired:

- a row whose number of fields is not that of the header;
- a quote in the middle of a field, a quote that is never closed, text behind a closing quote;
- a column without a name, or with the name of another column;
- a TSV field that stands wholly in quotes: spreadsheets mean the text within the quotes, other
  programs mean the quotes as well.

Empty lines are left out. A first column without a name that holds only whole numbers is left out
too: pandas and R write their row numbers there.
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
    has_row_numbers = header[0] == "" and len(header) > 1
    check_columns(header[1:] if has_row_numbers else header, f"{name}: line {line}")
    table = []
    for start, fields in rows:
        if len(fields) != len(header):
            raise InputError(_misfit(f"{name}: line {start}", fields, header, is_csv))
        table.append((start, dict(zip(header, fields))))
    if has_row_numbers:
        _remove_row_numbers(table, name)
    return table


def csv_rows(text: str, name: str) -> Iterator[Fields]:
    """The rows of a CSV, the header first. Raises InputError for a quote that is out of place."""
    at, line = 0, 1
    start = 1  # the line on which the row begins
    fields: list[str] = []
    header: list[str] = []
    # a text that ends with a comma has one more, empty field
    while at < len(text) or fields:
        begin = at
        at, quoted, plain = _field(text, begin)
        following = text[at : at + 1]
        if following not in ("", ",", "\r", "\n"):
            where = f"{name}: line {line}, column {_column(header, len(fields))}"
            raise InputError(f"{where}: {_misplaced(text, begin, at, quoted, line)}")
        if quoted is None:
            fields.append(plain)
        else:
            fields.append(quoted.replace('""', '"'))
            line += len(NEWLINE.findall(quoted))
        if following == ",":
            at += 1
            continue
        if newline := NEWLINE.match(text, at):
            at = newline.end()
        line += 1
        is_empty_line = len(fields) == 1 and quoted is None and not plain.strip()
        if not is_empty_line:
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
                    f"{where}: the field stands in quotes, but in a .tsv quotes are part of the "
                    f"text; {INSTEAD}"
                )
        header = header or fields
        yield line, fields


def check_columns(names: list[str], where: str) -> None:
    """Raises InputError for a column without a name, and for two columns of one name."""
    for number, name in enumerate(names):
        if not name.strip():
            raise InputError(
                f"{where}: column {number + 1} has no name; columns are {', '.join(names)}"
            )
        if name in names[:number]:
            raise InputError(
                f"{where}: two columns are called '{name}'; columns are {', '.join(names)}"
            )


def _remove_row_numbers(table: list[tuple[int, dict[str, str]]], name: str) -> None:
    """Take the column without a name out of all rows.

    Raises InputError where the column holds anything but whole numbers.
    """
    for start, row in table:
        if not (number := row.pop("")).isdecimal():
            raise InputError(
                f"{name}: line {start}: the first column has no name, so it must hold row numbers, "
                f"not {described(number)}"
            )


def _field(text: str, begin: int) -> tuple[int, str | None, str]:
    """The field that begins at `begin`: where it ends, its text in quotes, its text without quotes.

    The text in quotes still has its quotes doubled; it is None for a field without quotes.
    """
    match = FIELD.match(text, begin)
    assert match is not None, "the pattern matches the empty text"
    return match.end(), match[1], match[2] or ""


def _misplaced(text: str, begin: int, at: int, quoted: str | None, line: int) -> str:
    """What is wrong at `at`, behind a field that begins at `begin` on `line`."""
    if quoted is not None:
        end = line + len(NEWLINE.findall(quoted))
        place = "" if end == line else f" on line {end}"
        return (
            f"after the closing quote{place}, expected a comma or the end of the line, "
            f"not {described(text[at])}; {HOW}"
        )
    if begin == at:
        return f"the quote that opens here is never closed; {HOW}"
    return f"a quote stands in the middle of a field; {HOW}"


def _misfit(where: str, fields: list[str], header: list[str], is_csv: bool) -> str:
    """The message about a row whose number of fields is not that of the header."""
    number = "1 field" if len(fields) == 1 else f"{len(fields)} fields"
    columns = f"the header has {len(header)} ({', '.join(header)})"
    if len(fields) < len(header):
        problem = f"column '{header[len(fields)]}' has none"
    else:
        rule = HOW if is_csv else "a field cannot hold a tab"
        extra = described(fields[len(header)])
        problem = f"{extra} is one too many after column '{header[-1]}'; {rule}"
    return f"{where}: {number}, but {columns}: {problem}"


def _column(header: list[str], number: int) -> str:
    """The name of a column in quotes, or its number where it has no name (yet)."""
    return f"'{header[number]}'" if number < len(header) else str(number + 1)
