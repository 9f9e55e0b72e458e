"""CSV and TSV, read strictly.

The rows are those that Python's csv reads in strict mode, or there is an error of one line that
names line and column.
"""

import csv
import io
import random

import pytest

from lmcore.errors import InputError
from lmcore.suites.delimited import read_table


def rows(text: str, is_csv: bool = True) -> list[tuple[int, dict[str, str]]]:
    return read_table(text, "mine", is_csv)


def test_csv_keeps_every_text_as_it_stands() -> None:
    text = 'good,bad\r\nNA,null\r\n"a ""b"", c",\r\n" d ", e \r\n'
    expected = [
        {"good": "NA", "bad": "null"},
        {"good": 'a "b", c', "bad": ""},
        {"good": " d ", "bad": " e "},
    ]
    assert [row for _, row in rows(text)] == expected
    assert rows("good,bad\n") == rows("") == rows("\n\n") == []


def test_csv_lines_are_those_of_an_editor() -> None:
    text = '\na,b\n"one\n\r\ntwo",x\n\n"three\u2028",y\r"four",z'
    assert [line for line, _ in rows(text)] == [3, 7, 8]
    with pytest.raises(InputError, match=r"^mine: line 9: 1 field, but the header has 2"):
        rows(text + "\nalone")


BAD = {
    "good,bad\nWell, he read it.,x\n": (
        "mine: line 2: 3 fields, but the header has 2 (good, bad): "
        "'x' is one too many after column 'bad'"
    ),
    "good,bad\na,b\nc\n": (
        "mine: line 3: 1 field, but the header has 2 (good, bad): column 'bad' has none"
    ),
    "text\nHello, world\n": (
        "mine: line 2: 2 fields, but the header has 1 (text): "
        "' world' is one too many after column 'text'"
    ),
    'good,bad\n"Hello," she said.,x\n': (
        "mine: line 2, column 'good': after the closing quote, "
        "expected a comma or the end of the line, not ' '"
    ),
    'good,bad\n"Cats sit.,x\ny,z\n"Birds sing.,w\n': (
        "mine: line 2, column 'good': after the closing quote on line 4, "
        "expected a comma or the end of the line, not 'B'"
    ),
    'good,bad\na,"b\nc,d\n': (
        "mine: line 2, column 'bad': the quote that opens here is never closed"
    ),
    'good,bad\na 5" pipe,b\n': (
        "mine: line 2, column 'good': a quote stands in the middle of a field"
    ),
    'good,bad\na, "b"\n': "mine: line 2, column 'bad': a quote stands in the middle of a field",
    'good,bad\n"a\nb","c"x\n': (
        "mine: line 3, column 'bad': after the closing quote, "
        "expected a comma or the end of the line, not 'x'"
    ),
    '"good,bad\n': "mine: line 1, column 1: the quote that opens here is never closed",
    "good,good\na,b\n": "mine: line 1: two columns are called 'good'; columns are good, good",
    "good,,bad\na,b,c\n": "mine: line 1: column 2 has no name; columns are good, , bad",
    "good,bad,\na,b,\n": "mine: line 1: column 3 has no name",
    ",bad\nThe cat,b\n": (
        "mine: line 2: the first column has no name, so it must hold row numbers, not 'The cat'"
    ),
}


@pytest.mark.parametrize("text", BAD)
def test_csv_that_can_be_read_in_two_ways_is_refused(text: str) -> None:
    with pytest.raises(InputError) as error:
        rows(text)
    assert str(error.value).startswith(BAD[text]) and "\n" not in str(error.value)


def test_csv_row_numbers_of_pandas_are_left_out() -> None:
    assert rows(",good,bad\n0,a,b\n1,c,d\n") == [
        (2, {"good": "a", "bad": "b"}),
        (3, {"good": "c", "bad": "d"}),
    ]


def test_csv_random_tables_are_read_as_they_were_written() -> None:
    draw = random.Random(0)
    pieces = [
        '"',
        ",",
        "\n",
        "\r\n",
        "\r",
        "\t",
        " ",
        "a",
        "é",
        "\u2028",
        "\x85",
        "\x0c",
        "\U0001f642",
    ]
    for _ in range(300):
        header = ["one", "two", "three"][: draw.randint(2, 3)]
        table = []
        for _ in range(draw.randint(1, 4)):
            table.append(["".join(draw.choices(pieces, k=draw.randint(0, 5))) for _ in header])
        buffer = io.StringIO()
        line_end = draw.choice(["\n", "\r\n"])
        writer = csv.writer(buffer, lineterminator=line_end, quoting=csv.QUOTE_ALL)
        writer.writerows([header, *table])
        assert [list(row.values()) for _, row in rows(buffer.getvalue())] == table


def test_csv_random_text_is_read_as_pythons_strict_reader_has_it_or_refused() -> None:
    draw = random.Random(1)
    pieces = ['"', '""', ",", "\n", "\r\n", " ", "a", '"a"', '"a,b"', "c,d\n"]
    n_read = 0
    for _ in range(3000):
        text = "one,two\n" + "".join(draw.choices(pieces, k=draw.randint(1, 9)))
        try:
            found = [list(row.values()) for _, row in rows(text)]
        except InputError as error:
            assert "\n" not in str(error)
            continue
        n_read += 1
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        written = [row for row in reader if len(row) > 1]
        assert found == written[1:]
    assert n_read > 100


def test_tsv_takes_quotes_to_the_letter() -> None:
    text = 'good\tbad\n"Hello," she said.\t"Hello," she say.\n\n5" pipe, new\t\n'
    expected = [
        {"good": '"Hello," she said.', "bad": '"Hello," she say.'},
        {"good": '5" pipe, new', "bad": ""},
    ]
    assert rows(text, is_csv=False) == [(2, expected[0]), (4, expected[1])]
    assert rows("a\tb\n\t\n", is_csv=False) == [(2, {"a": "", "b": ""})]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'good\tbad\na\t"b"\n',
            "mine: line 2, column 'bad': the field stands in quotes, "
            "but in a .tsv quotes are part of the text",
        ),
        (
            "good\tbad\na\tb\tc\n",
            "mine: line 2: 3 fields, but the header has 2 (good, bad): "
            "'c' is one too many after column 'bad'",
        ),
        (
            "good\tbad\na\n",
            "mine: line 2: 1 field, but the header has 2 (good, bad): column 'bad' has none",
        ),
        ("good\tgood\na\tb\n", "mine: line 1: two columns are called 'good'"),
    ],
)
def test_tsv_that_does_not_fit_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        rows(text, is_csv=False)
    assert str(error.value).startswith(message)
