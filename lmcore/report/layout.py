"""The templates of the report, and the page around its sections.

Plain data go in, HTML comes out, the same bytes every time. The template of a module lies beside it
under the same name (tokens.py, tokens.html), so that the fingerprint of a stage that imports the
module holds the template, too (lmcore.history.fingerprint). The macros that templates share are
those of layout.html.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from lmcore.shown import for_terminal

N_COLOURS = 8


def series(number: int) -> str:
    """The class that gives the n-th series its colour."""
    return f"m{number % N_COLOURS}"


def _visible(value: object) -> object:
    """What a template shows of a value: its invisible characters as escapes.

    Markup is kept, since its text went through here before.
    """
    if isinstance(value, str) and not isinstance(value, Markup):
        return for_terminal(value, lines=True)
    return value


TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    finalize=_visible,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.globals["series"] = series


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
) -> str:
    """A page that needs nothing else, of `sections` {anchor: (title, body)}.

    A page with a footer has links to its sections, too. The `scripts` run before the body is read.
    """
    inlined = [Markup(script) for script in scripts]
    return str(macros(__name__).whole_page(title, lead, sections, footer, inlined))
