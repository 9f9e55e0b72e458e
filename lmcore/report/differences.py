"""The page of a diff: a Diff and sets of items go in, one HTML file that needs nothing else.

It has the table of the differences, what changed, and the items under both revisions.
"""

from pathlib import Path

from markupsafe import Markup

from lmcore.comparing.diff_results import Diff
from lmcore.comparing.diff_text import as_parts
from lmcore.files import whole
from lmcore.items.embedded import embedded
from lmcore.items.sides import ItemSet
from lmcore.report.figures import script
from lmcore.report.items import explorer
from lmcore.report.layout import macros, whole_page

FOOTER = "Made by lmcore diff. Differences are paired, item by item: see docs/statistics.md."


def write_diff_page(diff: Diff, sets: list[ItemSet], out: Path) -> None:
    """Write the page of `diff` to the file `out`, whole or not at all.

    `sets` are the items of what was compared; without any, the page has no section on items.
    """
    parts, html = as_parts(diff), macros(__name__)
    sections = {"differences": ("Differences", html.differences(parts))}
    if items := explorer(embedded(sets), "model and suite", Markup("")):
        sections["items"] = ("Item by item", items)
    if parts.causes:
        sections["causes"] = ("What changed", html.causes(parts.causes))
    title, lead = f"{diff.a} → {diff.b}", ", ".join(parts.counts)
    scripts = [script()] if items else []  # without items there is no figure
    page = whole_page(title, lead, sections, FOOTER, scripts=scripts)
    with whole(out) as temporary:
        temporary.write_text(page, "utf-8")
