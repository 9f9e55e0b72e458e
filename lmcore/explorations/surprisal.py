"""Surprisal as text.

The rows of lmcore.api.score go in, lines for a terminal or a program come out.
"""

import csv
import io
from collections.abc import Iterable, Iterator

import pandas as pd

from lmcore.errors import InputError
from lmcore.shown import for_json, for_terminal

FORMATS = ("table", "csv", "jsonl", "colour")
# numbers of the 256 terminal colours, from unsurprising to surprising
SHADES = (15, 230, 229, 222, 215, 209, 203, 197)
BITS = 2.5  # how many more bits the next shade stands for


def as_lines(frame: pd.DataFrame, texts: list[str], way: str) -> Iterator[str]:
    """The rows in one of FORMATS.

    `colour` is the text itself: the darker its background, the more surprising it is. Raises
    InputError for another format.
    """
    if way not in FORMATS:
        raise InputError(f"the format must be one of {', '.join(FORMATS)}, not {way!r}")
    if way == "csv":
        yield csv_line(frame.columns)
        yield from (csv_line(row) for row in frame.itertuples(index=False))
    elif way == "jsonl":
        for row in frame.to_dict("records"):
            yield for_json({name: None if pd.isna(value) else value for name, value in row.items()})
    elif way == "table":
        yield from _table(frame)
    else:
        for number, text in enumerate(texts):
            yield _coloured(text, frame[frame["text"] == number])


def csv_line(values: Iterable) -> str:
    """One row of CSV without its end, floats to six digits.

    A field that holds any line end stands in quotes.
    """
    buffer = io.StringIO()
    # the end decides which characters are quoted: with "\n" alone a token "\r" would not be
    csv.writer(buffer, lineterminator="\r\n").writerow([_csv_value(value) for value in values])
    return buffer.getvalue().removesuffix("\r\n")


def shade(bits: float) -> int:
    """The terminal colour of a surprisal."""
    return SHADES[min(int(max(bits, 0) / BITS), len(SHADES) - 1)]


def _csv_value(value: object) -> object:
    if pd.isna(value):  # a word without a token has no number
        return ""
    return f"{value:.6g}" if isinstance(value, float) else value


def _table(frame: pd.DataFrame) -> Iterator[str]:
    """The rows in columns for a terminal, with an empty line between texts and the sum at the end.

    A word without a token has dashes.
    """
    unit = "word" if "word" in frame else "token"
    yield f"{unit:<20} {'surprisal':>9} {'probability':>11} {'rank':>7} {'entropy':>8}"
    for row in frame.itertuples():
        if row.Index and row.text != frame["text"][row.Index - 1]:
            yield ""
        shown = for_terminal(f"'{row.token}'" if unit == "token" else row.word)
        if pd.isna(row.surprisal):
            yield f"{shown:<20} {'-':>9} {'-':>11} {'-':>7} {'-':>8}"
        else:
            yield (
                f"{shown:<20} {row.surprisal:>9.3f} {row.probability:>11.3g} {row.rank:>7} "
                f"{row.entropy:>8.3f}"
            )
    yield _total(frame, unit)


def _total(frame: pd.DataFrame, unit: str) -> str:
    """The sum of the surprisal, and what the tokenizer does not say.

    Bits a byte are over the bytes that were scored.
    """
    total, n_bytes = frame["surprisal"].sum(), frame.attrs["n_bytes"]
    # what a masked LM says is no probability of the text
    bits = "pseudo-bits" if frame.attrs["is_masked"] else "bits"
    parts = [f"{len(frame):,} {unit}s", f"{total:.1f} {bits}"]
    if n_bytes:
        parts.append(f"{total / n_bytes:.3f} {bits} a byte")
    if n_unknown := frame.attrs["n_unknown"]:
        parts.append(f"{n_unknown:,} unknown tokens")
    if n_dropped_bytes := frame.attrs["n_dropped_bytes"]:
        parts.append(f"{n_dropped_bytes:,} bytes without a token")
    return ", ".join(parts)


def _coloured(text: str, rows: pd.DataFrame) -> str:
    """The text with a background for each token or word; `rows` are those of this text."""
    parts, at = [], 0
    for row in rows.itertuples():
        before = for_terminal(text[at : row.start], lines=True)
        # of a character that several tokens share only the first shows it
        piece = for_terminal(text[max(at, row.start) : row.end], lines=True)
        if piece and not pd.isna(row.surprisal):
            piece = f"\033[30;48;5;{shade(row.surprisal)}m{piece}\033[0m"
        parts.append(before + piece)
        at = max(at, row.end)
    return "".join([*parts, for_terminal(text[at:], lines=True)])
