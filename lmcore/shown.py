"""Text that comes from data, made safe to show: any text goes in; what a terminal, a page or Markdown may get comes out.

Item ids, groups, texts, tokens, names and error messages are data: what is in them must neither move a cursor, set a title, reverse the
reading order, become an element of a page, nor a link in a pull request. Every character that does something instead of being seen is
written as its escape (`\\x1b`, `\\u202e`); all others stay, so that é, 漢字, Arabic and joined emoji read as they are.

Files for programs (CSV, JSON, Parquet) keep the data as they are: a reader gets back what was written, a spreadsheet's formulas included.
"""

import html
import json
import re
from typing import Any

# Controls (C0, DEL, C1), line and paragraph separators, embeddings, overrides and isolates of bidirectional text (Unicode Annex 9; Boucher
# and Anderson 2021, https://arxiv.org/abs/2111.00169), surrogates, which no encoding can write, and what XML does not allow.
UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
LETTERS = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
# What Markdown, of GitHub or GitLab, reads as more than itself; an underscore within a word, as in most names, is none
MARKDOWN = re.compile(
    r"[\\`*\[\]<>&|~#$]|(?<![^\W_])_|_(?![^\W_])|:(?=\S)|(?<=www)\.", re.IGNORECASE
)
LINE_START = re.compile(r"[-+=]|\d+(?=[.)])")
MENTION = re.compile(r"@(?=\w)|#(?=\d)")


def for_terminal(text: str, *, lines: bool = False) -> str:
    """`text` for a terminal, in one line; with `lines` newlines and tabs stay, for a text that may have several."""
    kept = "\n\t" if lines else ""
    return UNSEEN.sub(lambda found: found[0] if found[0] in kept else _escape(found[0]), text)


def for_html(text: str) -> str:
    """`text` for HTML and SVG, as the content of an element or in a quoted attribute."""
    return html.escape(for_terminal(text, lines=True))


def for_markdown(text: str, *, code: bool = False) -> str:
    """`text` for a line or a table cell of Markdown, which shows these very characters: no markup, link, mention or reference.

    Behind `@` and `#` stands a space of no width, since a mention is looked for in what Markdown has become. With `code` it is a code
    span, which may not stand in a table.
    """
    shown = for_terminal(text)
    if code:
        longest = max(map(len, re.findall("`+", shown)), default=0)
        fence, room = "`" * (longest + 1), " " * (longest > 0)
        return f"{fence}{room}{shown}{room}{fence}"
    shown = MENTION.sub(r"\g<0>&#8203;", MARKDOWN.sub(r"\\\g<0>", shown))
    if start := LINE_START.match(shown):
        shown = f"{start[0]}\\{shown[start.end() :]}" if start[0].isdecimal() else f"\\{shown}"
    elif shown.startswith(" "):
        shown = f"&#32;{shown[1:]}"
    return shown


def for_json(value: Any, **options: Any) -> str:
    """`value` as JSON for a terminal and for programs alike: what is unseen is escaped, which is the same data.

    `options` are those of json.dumps.
    """
    text = json.dumps(value, ensure_ascii=False, **options)
    return UNSEEN.sub(
        lambda found: found[0] if found[0] == "\n" else json.dumps(found[0])[1:-1], text
    )


def _escape(character: str) -> str:
    code = ord(character)
    return LETTERS.get(character) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
