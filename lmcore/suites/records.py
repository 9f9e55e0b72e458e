"""Rows from a data file: CSV, TSV, JSONL (also gzipped), Parquet or Arrow.

The file goes in. Its Rows come out, in the file's order.

A Row knows its file and its line, as an editor numbers lines (in Parquet and Arrow its row, from
1), and every message names both. `row["good"]` is text or an InputError, so no task can take a
number, null or half a character for a text. Other methods give what need not be text: `optional`,
`name`, `label`, `number`, `texts` and `nested`. A task makes a Record of a row, and the Record
knows the same place.

No value is read as another type: "NA", "null" and "" of a CSV are texts.
"""

import gzip
import json
import zlib
from pathlib import Path
from typing import Any

from lmcore.errors import InputError
from lmcore.suites.delimited import check_columns, read_table
from lmcore.text_files import checked_text, decoded, described, first_line, read_bytes, split_lines

SUFFIXES = (".csv", ".tsv", ".jsonl", ".jsonl.gz", ".parquet", ".arrow")
EXPECTED = f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
MAX_DIGITS = 1000  # of a whole number in JSON; Python gives up at 4,300


class MissingColumn(InputError):
    """A row lacks a column that was asked for."""


class Record(dict):
    """What a kind makes an item of; `where` names the row that it was made from."""

    def __init__(self, values: dict[str, Any], where: str):
        super().__init__(values)
        self.where = where


class Row(dict):
    """A row of a data file, its values by column.

    `where` is file and line, e.g. `mine.csv: line 3`.
    """

    def __init__(self, values: dict[str, Any], where: str):
        super().__init__(values)
        self.where = where

    def __getitem__(self, column: str) -> str:
        """The text of a column, which may be empty.

        Raises MissingColumn for a column that is not there, and InputError for a value that is no
        text.
        """
        return checked_text(self.value(column), self.place(column))

    def value(self, column: str) -> Any:
        """The value of a column, of any type. Raises MissingColumn."""
        if column not in self:
            raise MissingColumn(f"{self.where}: a record has no '{column}'")
        return super().__getitem__(column)

    def place(self, column: str) -> str:
        """File, line and column, as a message begins with them."""
        return f"{self.where}: column '{column}'"

    def filled(self, column: str, expected: str) -> str:
        """The text of a column that must not be empty or absent; `expected` ends the message."""
        if not self.optional(column):
            raise InputError(f"{self.where} has no '{column}'; expected {expected}")
        return self[column]

    def optional(self, column: str) -> str:
        """The text of a column; empty where the column, or a value in it, is absent (null)."""
        return "" if self.get(column) is None else self[column]

    def beginning(self, prefix: str) -> list[str]:
        """The texts, without the empty ones, of all columns whose names begin with `prefix`."""
        texts = [self.optional(column) for column in self if column.startswith(prefix)]
        return [text for text in texts if text]

    def name(self, column: str) -> str:
        """The name of a group or an item; see `name_of`."""
        return name_of(self.get(column), self.place(column))

    def label(self, column: str) -> int | float | str:
        """The class of an item as the file writes it: a number or a text.

        Raises InputError for any other value.
        """
        value = self.value(column)
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise InputError(
                f"{self.place(column)} must be the number or name of a class, "
                f"not {described(value)}"
            )
        return value

    def number(self, column: str, least: int, most: int) -> int:
        """A whole number from `least` to `most`, which the file may write as a number or as text.

        Raises InputError for any other value.
        """
        label = self.label(column)
        number = str(label).removesuffix(".0")
        if number not in map(str, range(least, most + 1)):
            raise InputError(
                f"{self.place(column)} must be a whole number from {least} to {most}, "
                f"not {described(label)}"
            )
        return int(number)

    def texts(self, column: str) -> list[str]:
        """The texts of a list; in a CSV cell it is written as JSON."""
        return texts_of(self.value(column), self.place(column))

    def nested(self, column: str) -> "Row":
        """The mapping in a column, as a Row. Raises InputError for any other value."""
        value = self.value(column)
        if not isinstance(value, dict):
            raise InputError(f"{self.place(column)} must be a mapping, not {described(value)}")
        return Row(value, self.place(column))

    def record(self, **values: Any) -> Record:
        """A Record of these values, which a task makes of this row."""
        return Record(values, self.where)


def name_of(value: object, place: str) -> str:
    """A name (of a group, an item): text, or a whole number as its digits; empty for null.

    Raises InputError for any other value, naming `place`.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return "" if value is None else checked_text(value, place)


def texts_of(value: object, place: str) -> list[str]:
    """A list of texts, or the JSON of one (as in a CSV cell).

    Raises InputError naming `place`, and the number in the list of a value that is no text.
    """
    if isinstance(value, str):
        try:
            value = strict_json(value, place)
        except InputError as error:
            raise InputError(
                f'{place} must be a list; in CSV as JSON, e.g. ["one", "two"]; {error}'
            ) from error
    if not isinstance(value, list):
        raise InputError(f"{place} must be a list of strings, not {described(value)}")
    for number, text in enumerate(value):
        if not isinstance(text, str):
            raise InputError(
                f"{place} must be a list of strings; number {number} is {described(text)}"
            )
        checked_text(text, f"{place}: number {number}")
    return value


def find(folder: Path, *suffixes: str) -> list[Path]:
    """The files of a source whose names end in one of `suffixes`, sorted by name.

    A source may be one such file. Raises InputError where there are none.
    """
    inside = [folder] if folder.is_file() else folder.glob("*")
    files = sorted(path for path in inside if path.name.endswith(suffixes))
    if not files:
        raise InputError(
            f"{folder}: no file ending in {' or '.join(suffixes)}; "
            "does fetch_sources name the source of this suite?"
        )
    return files


def read_records(path: Path) -> list[Row]:
    """The rows of a file whose name ends in one of SUFFIXES.

    Raises InputError for a file that is missing, empty or has another suffix, and for a row that
    cannot be read, naming its line.
    """
    suffix = next((suffix for suffix in SUFFIXES if path.name.endswith(suffix)), "")
    if not suffix and path.is_file():
        raise InputError(f"{path}: unknown suffix '{path.suffix}'; expected {EXPECTED}")
    content = read_bytes(path, EXPECTED)
    if suffix in (".parquet", ".arrow"):
        rows = _arrow(content, path, suffix)
    elif suffix in (".csv", ".tsv"):
        table = read_table(decoded(content, path), str(path), suffix == ".csv")
        rows = [Row(values, f"{path}: line {line}") for line, values in table]
    else:
        rows = _jsonl(_unzipped(content, path) if suffix == ".jsonl.gz" else content, path)
    if not rows:
        alone = ", or has a header alone" if content.strip() else ""
        raise InputError(f"{path}: no items; the file is empty{alone}")
    return rows


def strict_json(text: str, where: str) -> Any:
    """The value of a JSON text.

    Raises InputError, naming `where`, for a text that is not JSON (NaN and Infinity are not), a key
    that occurs twice, a number of more than MAX_DIGITS digits, and nesting that is too deep to
    read.
    """
    try:
        return json.loads(
            text, parse_constant=_constant, parse_int=_whole_number, object_pairs_hook=_mapping
        )
    except json.JSONDecodeError as error:
        reason = f"{error.msg} at character {error.pos + 1}"
    except RecursionError:
        reason = "it is nested too deeply"
    except ValueError as error:
        reason = str(error)
    raise InputError(f"{where} is not JSON: {reason}")


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON value")


def _whole_number(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"a number has {len(digits):,} digits")
    return int(digits)


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The pairs as a mapping. Raises ValueError for a key that occurs twice."""
    mapping: dict[str, Any] = {}
    for name, value in pairs:
        if name in mapping:
            raise ValueError(f"the key {described(name)} occurs twice")
        mapping[name] = value
    return mapping


def _unzipped(content: bytes, path: Path) -> bytes:
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: not a readable gzip file: {first_line(error)}") from error


def _jsonl(content: bytes, path: Path) -> list[Row]:
    rows = []
    for number, line in enumerate(split_lines(decoded(content, path)), 1):
        if line.strip():
            where = f"{path}: line {number}"
            value = strict_json(line, where)
            if not isinstance(value, dict):
                raise InputError(f"{where} must be a JSON object, not {described(value)}")
            rows.append(Row(value, where))
    return rows


def _arrow(content: bytes, path: Path, suffix: str) -> list[Row]:
    """The rows of a Parquet file or an Arrow stream, numbered from 1."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        source = pa.BufferReader(content)
        if suffix == ".parquet":
            table = pq.ParquetFile(source).read()
        else:
            table = pa.ipc.open_stream(source).read_all()
        check_columns(table.column_names, str(path))
        columns = [_values(table, number, path) for number in range(table.num_columns)]
    except InputError:
        raise
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError(
            f"{path}: not a readable {suffix[1:]} file: {first_line(error)}"
        ) from error
    rows = []
    for number, values in enumerate(zip(*columns, strict=True), 1):
        rows.append(Row(dict(zip(table.column_names, values)), f"{path}: row {number}"))
    return rows


def _values(table: Any, number: int, path: Path) -> list:
    """The values of a column.

    Raises InputError for a column that cannot be read, naming it, and the row of a text that is not
    UTF-8.
    """
    import pyarrow as pa

    column, place = table.column(number), f"column '{table.column_names[number]}'"
    try:
        column.validate(full=True)  # in a broken file, offsets may point outside the column
        return column.to_pylist()
    except (ValueError, OverflowError) as error:
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            # find the row that is not UTF-8; `decoded` raises for it
            content = column.cast(pa.large_binary())
            content.validate(full=True)
            for row, value in enumerate(content.to_pylist(), 1):
                decoded(value or b"", f"{path}: row {row}: {place}")
        raise InputError(f"{path}: {place} cannot be read: {first_line(error)}") from error
