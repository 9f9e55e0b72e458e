"""Text that comes from data, made safe to show: in a terminal, on a page or in Markdown.

Any text goes in. Text that is only ever read comes out.

Item ids, groups, texts, tokens, names and error messages are data. What is in them must not move a
cursor, set a title, reverse the reading order, become an element of a page, or become a link in a
pull request. Every character that does something instead of being seen is written as its escape
(`\\x1b`, `\\u202e`). All others stay, so that é, 漢字, Arabic and joined emoji read as they are.

Files for programs (CSV, JSON, Parquet) keep the data as they are. A reader gets back what was
written, and that includes the formulas of a spreadsheet.
"""

import html
import json
import re
from typing import Any

# These are controls (C0, DEL, C1); line and paragraph separators; embeddings, overrides and
# isolates of bidirectional text (Unicode Annex 9; Boucher and Anderson 2021,
# https://arxiv.org/abs/2111.00169); surrogates, which no encoding can write; and what XML forbids.
UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
LETTERS = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
# What the Markdown of GitHub or GitLab reads as more than the character itself. An underscore
# within a word, which most names have, is not among them.
MARKDOWN = re.compile(
    r"[\\`*\[\]<>&|~#$]|(?<![^\W_])_|_(?![^\W_])|:(?=\S)|(?<=www)\.", re.IGNORECASE
)
LINE_START = re.compile(r"[-+=]|\d+(?=[.)])")
MENTION = re.compile(r"@(?=\w)|#(?=\d)")


def for_terminal(text: str, *, lines: bool = False) -> str:
    """`text` for a terminal, in one line.

    With `lines`, newlines and tabs stay, for a text that may have several lines.
    """
    kept = "\n\t" if lines else ""
    return UNSEEN.sub(lambda match: match[0] if match[0] in kept else _escape(match[0]), text)


def for_html(text: str) -> str:
    """`text` for HTML and SVG, as the content of an element or in a quoted attribute."""
    return html.escape(for_terminal(text, lines=True))


def for_markdown(text: str, *, code: bool = False) -> str:
    """`text` for a line or a table cell of Markdown, which shows exactly these characters.

    Nothing in it becomes markup, a link, a mention or a reference. A space of no width follows `@`
    and `#`, since mentions are looked for in the rendered Markdown. With `code` the text becomes a
    code span, which may not stand in a table.
    """
    visible = for_terminal(text)
    if code:
        return _code_span(visible)
    escaped = MENTION.sub(r"\g<0>&#8203;", MARKDOWN.sub(r"\\\g<0>", visible))
    if start := LINE_START.match(escaped):
        if start[0].isdecimal():
            return f"{start[0]}\\{escaped[start.end() :]}"
        return f"\\{escaped}"
    if escaped.startswith(" "):
        return f"&#32;{escaped[1:]}"
    return escaped


def _code_span(text: str) -> str:
    """`text` as a code span: its fence is longer than every run of backticks in the text."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence, room = "`" * (longest + 1), " " * (longest > 0)
    return f"{fence}{room}{text}{room}{fence}"


def for_json(value: Any, **options: Any) -> str:
    """`value` as JSON, for a terminal and for programs alike.

    Characters that are not seen are written as JSON's escapes, so that the data are the same.
    `options` are those of json.dumps.
    """
    text = json.dumps(value, ensure_ascii=False, **options)
    return UNSEEN.sub(
        lambda match: match[0] if match[0] == "\n" else json.dumps(match[0])[1:-1], text
    )


def _escape(character: str) -> str:
    """A character as it is written in the text of a Python program."""
    code = ord(character)
    return LETTERS.get(character) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
