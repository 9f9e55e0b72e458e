"""The command of `lmcore` that writes figures as files: figure."""

from pathlib import Path
from typing import Annotated

import typer

from lmcore.shown import for_terminal


def figure(
    name: Annotated[
        str | None, typer.Argument(help="of the figure; without it, all are listed")
    ] = None,
    format: Annotated[str, typer.Option(help="svg, png, html (with Vega inside) or json")] = "svg",
    out: Annotated[Path | None, typer.Option(help="the file; otherwise NAME.FORMAT here")] = None,
    scale: Annotated[
        float, typer.Option(help="of a PNG: pixels for each of the page's", min=0.1, max=20)
    ] = 2.0,
    page: Annotated[
        Path, typer.Option(help="a page with figures: the report, or one of `lmcore compare`")
    ] = Path("report/index.html"),
) -> None:
    """Write a figure of the report as a file, say for a paper: SVG, PNG, HTML, or the JSON of
    Vega-Lite, which notebooks and VS Code draw.
    """
    from lmcore.commands.figure_files import listed, write_figure

    if name is None:
        typer.echo(listed(page))
    else:
        typer.echo(for_terminal(f"wrote {write_figure(page, name, format, out, scale)}"))
