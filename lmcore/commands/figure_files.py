"""Figures of a page as files: the page and a figure's name go in, a file for a paper comes out.

A page of lmcore holds the specification of each of its figures (see lmcore.report.figures). So a
file shows what the page shows, and nothing is computed again.
"""

from pathlib import Path
from typing import Any

from lmcore.errors import InputError
from lmcore.figures.files import FORMATS, themed
from lmcore.files import whole
from lmcore.report.figures import figures_of
from lmcore.shown import for_terminal
from lmcore.text_files import read_text


def read_figures(page: Path) -> dict[str, dict[str, Any]]:
    """The specifications of the figures of a page, by name.

    Raises InputError where there is no page, or where none of its figures can be read.
    """
    if not page.exists():
        raise InputError(
            f"{page}: there is no such page; run `dvc repro write_report`, or `dvc pull report`"
        )
    try:
        figures = figures_of(read_text(page, "HTML"))
    except ValueError as error:
        raise InputError(f"{page}: a figure is not JSON: {error}; write the page again") from error
    if not figures:
        raise InputError(f"{page}: the page has no figures; expected a page that lmcore wrote")
    return figures


def write_figure(page: Path, name: str, way: str, out: Path | None, scale: float) -> Path:
    """Write a figure of a page in one of FORMATS, and return the file: `out`, or NAME.FORMAT here.

    `scale` is that of a PNG. Raises InputError as `read_figures`, and for a name or a format that
    there is not.
    """
    if way not in FORMATS:
        raise InputError(f"--format {way}: there is no such format; there are {', '.join(FORMATS)}")
    figures = read_figures(page)
    if name not in figures:
        raise InputError(
            f"{page}: there is no figure '{name}'; `lmcore figure` lists the {len(figures)} names"
        )
    chart = themed(figures[name])
    path = out or Path(f"{name}.{way}")
    with whole(path) as temporary:
        temporary.write_bytes(FORMATS[way](chart, scale))
    return path


def listed(page: Path) -> str:
    """The names of the figures of a page, each with what it shows. Raises as `read_figures`."""
    figures = read_figures(page)
    width = max(map(len, figures))
    lines = [f"{name:{width}}  {chart.get('description', '')}" for name, chart in figures.items()]
    return "\n".join(map(for_terminal, lines))
