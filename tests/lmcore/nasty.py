"""Texts that do harm where they are shown raw, and texts that look odd and are harmless."""

import json
import re
from html.parser import HTMLParser

from lmcore.shown import UNSEEN

NASTY = {
    "colour and title": "\x1b[31mred\x1b]0;pwn\x07",
    "controls of eight bits": "\x9b31mred\x9d0;pwn\x9c",
    "backspaces": "good\x08\x08\x08\x08bad\x7f\x00",
    "a line of its own": "one\r\nerror: two\ttab",
    "bidirectional": "user\u202etxt.exe\u2066x\u2069",
    "separators": "one\u2028two\u2029three\x85four",
    "elements": "<xss onxss=1>\"' onxss='1&lt;</title></code><script>xss()</script>",
    "markup": "[x](http://xss.example) ![y](//xss) **b** __i__ `c` ``d | e ~~f~~ $g$",
    "blocks": "# a heading",
    "list": "- an entry",
    "number": "1. an entry",
    "code": "    indented code",
    "fence": "```",
    "mention": "@everyone #12 www.xss.example xss@xss.example https://xss.example",
    "ends in a backslash": "a|b\\",
}
LEGITIMATE = [
    "é",
    "漢字",
    "👩‍👩‍👧 🏴󠁧󠁢󠁥󠁮󠁧󠁿",
    "مرحبا بالعالم",
    "שלום\u200f!",
    "می\u200cخواهم",
    "नमस्ते",
    "ﬁ ½ — “x”",
    "adjunct_island/0007",
]


class Parsed(HTMLParser):
    """The elements of a page, the names of its attributes, and its texts and attribute values.

    `scripts` are the texts of those elements that the browser would run. A script element that
    holds JSON is none that runs; its texts count as texts.
    """

    def __init__(self, page: str):
        super().__init__()
        self.tags, self.attributes, self.texts = set[str](), set[str](), list[str]()
        self.scripts: list[str] = []
        self.within = ""  # "script", "json" or neither
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.within = tag if tag == "script" else ""
        if self.within and dict(attrs).get("type") == "application/json":
            self.within = "json"
        self.tags.add(self.within or tag)
        self.attributes |= {name for name, _ in attrs}
        self.texts += [value for _, value in attrs if value]

    def handle_endtag(self, tag):
        self.within = ""

    def handle_data(self, data):
        if self.within == "script":
            self.scripts.append(data)
        else:
            self.texts += texts_in(json.loads(data)) if self.within == "json" else [data]


def texts_in(value) -> list[str]:
    """All texts in JSON, keys too."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        value = [*value, *value.values()]
    texts = []
    for entry in value if isinstance(value, list) else []:
        texts += texts_in(entry)
    return texts


def assert_page_is_clean(page: str) -> None:
    """Assert that no element, script or attribute of the page comes from NASTY.

    The only invisible characters of the page are newlines and tabs.
    """
    parsed = Parsed(page)
    assert "xss" not in parsed.tags and "onxss" not in parsed.attributes
    assert not [script for script in parsed.scripts if "xss" in script]
    assert not set(UNSEEN.findall(page)) - {"\n", "\t"}


def assert_lines_are_clean(text: str, *, coloured: bool = False) -> None:
    """Assert that the only invisible characters of a text are newlines and tabs.

    With `coloured` it may also hold the escape sequences of the colours that lmcore itself uses.
    """
    text = re.sub(r"\x1b\[(30;48;5;\d+|31|32|0)m", "", text) if coloured else text
    assert not set(UNSEEN.findall(text)) - {"\n", "\t"}, repr(text)
