"""Data files hold any text.

What the csv module or the json module wrote comes back, in the file's order.
"""

import csv
import gzip
import json
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from lmcore.suites.records import read_records

COLUMNS = ["good", "bad", "group"]
# quotes, separators and line ends are frequent; the rest is any character that UTF-8 can write
TEXTS = st.text(
    st.one_of(
        st.sampled_from('",;\t\n\r \ufeff\u2028\x0c\x85'),
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
    )
)
ROWS = st.lists(st.fixed_dictionaries(dict.fromkeys(COLUMNS, TEXTS)), min_size=1, max_size=5)


# With \n as the line end, the csv module quotes a text with \r only if it quotes all texts.
@given(
    ROWS,
    st.sampled_from([("\r\n", csv.QUOTE_MINIMAL), ("\r\n", csv.QUOTE_ALL), ("\n", csv.QUOTE_ALL)]),
)
def test_csv_that_the_csv_module_wrote_gives_the_same_texts(rows, dialect):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            line_end, quoting = dialect
            writer = csv.DictWriter(file, COLUMNS, lineterminator=line_end, quoting=quoting)
            writer.writeheader()
            writer.writerows(rows)
        assert [dict(row) for row in read_records(path)] == rows


@given(ROWS, st.booleans(), st.booleans())
def test_jsonl_gives_the_same_texts_zipped_or_not_escaped_or_not(rows, is_zipped, is_ascii):
    lines = "".join(json.dumps(row, ensure_ascii=is_ascii) + "\n" for row in rows).encode()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("rows.jsonl.gz" if is_zipped else "rows.jsonl")
        path.write_bytes(gzip.compress(lines) if is_zipped else lines)
        assert [dict(row) for row in read_records(path)] == rows
