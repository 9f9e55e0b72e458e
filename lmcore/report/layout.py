"""The templates of the report, and the page around its sections.

Plain data go in, HTML comes out, the same bytes every time. The template of a module lies beside it
under the same name (tokens.py, tokens.html), so that the fingerprint of a stage that imports the
module holds the template, too (lmcore.history.fingerprint). The macros that templates share are
those of layout.html. layout.css is the style of every page, and layout.js what it does beyond being
read.

A page needs no network and may use none: its Content Security Policy refuses every request, and
every script but those whose hashes it names. These are layout.js, those that are handed over, and
the scripts of this package that stand in a section. A script in data would not run even where it
was not escaped.
"""

import base64
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from lmcore.shown import for_json, for_terminal

N_COLOURS = 8


def series(number: int) -> str:
    """The class that gives the n-th series its colour."""
    return f"m{number % N_COLOURS}"


SCRIPT = Path(__file__).with_suffix(".js")


def _visible(value: object) -> object:
    """What a template shows of a value: its invisible characters as escapes.

    Markup is kept, since its text went through here before.
    """
    if isinstance(value, str) and not isinstance(value, Markup):
        return for_terminal(value, lines=True)
    return value


def breakable(name: str) -> Markup:
    """A name that may be broken after each underscore, for the head of a narrow column."""
    return Markup("_<wbr>").join(escape(_visible(part)) for part in name.split("_"))


TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    finalize=_visible,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.globals["series"] = series
TEMPLATES.filters["breakable"] = breakable


def macros(module: str) -> Any:
    """The macros of the template of a module of this package, whose `__name__` is given.

    They take plain data, which they escape, and return Markup.
    """
    return TEMPLATES.get_template(f"{module.rpartition('.')[2]}.html").module


def whole_page(
    title: str,
    lead: str,
    sections: dict[str, tuple[str, Markup]],
    footer: str = "",
    *,
    scripts: Sequence[str] = (),
    is_served: bool = False,
) -> str:
    """A page that needs nothing else, of `sections` {anchor: (title, body)}.

    A page with a footer has links to its sections, too. `scripts` run once the body is read. A page
    that `is_served` may ask the server that it came from, and no other.
    """
    texts = [SCRIPT.read_text("utf-8"), *scripts]
    in_sections = _own_scripts([body for _, body in sections.values()])
    policy = content_policy([*texts, *in_sections], is_served=is_served)
    own, *others = [_script(text) for text in texts]
    return str(macros(__name__).whole_page(title, lead, sections, footer, own, others, policy))


def content_policy(scripts: Sequence[str], *, is_served: bool) -> str:
    """The Content Security Policy of a page with these scripts, as the text of its meta element."""
    hashes = []
    for script in scripts:
        digest = hashlib.sha256(script.encode()).digest()
        hashes.append(f"'sha256-{base64.b64encode(digest).decode()}'")
    server = "'self'" if is_served else "'none'"
    rules = {
        "default-src": "'none'",
        "script-src": " ".join(hashes),
        "style-src": "'unsafe-inline'",
        "img-src": "data:",
        "connect-src": server,
        "form-action": server,
        "base-uri": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def script_json(value: object) -> Markup:
    """JSON that may stand in a script element: it cannot end one, nor begin a comment."""
    text = for_json(value, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _own_scripts(bodies: Sequence[str]) -> list[str]:
    """The scripts in these bodies, as they stand there, that are files of this package."""
    own = {path.read_text("utf-8").strip() for path in SCRIPT.parent.glob("*.js")}
    found = []
    for body in bodies:
        for text in re.findall("<script>(.*?)</script>", body, re.DOTALL):
            if text.strip() in own:
                found.append(text)
    return found


def _script(text: str) -> Markup:
    """A script of ours for its element, byte by byte. Raises ValueError if it would end there."""
    if "</script" in text.lower():
        raise ValueError("a script that holds '</script' cannot stand in a page")
    return Markup(text)
