"""The command `lmcore view`: a local page of the items of all suites under any two models."""

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from lmcore.commands.options import Data
from lmcore.errors import InputError

Port = Annotated[int, typer.Option(min=0, max=65535, help="of 127.0.0.1; 0 takes any free one")]
NoBrowser = Annotated[bool, typer.Option("--no-browser", help="only say the address")]


def view(port: Port = 0, no_browser: NoBrowser = False, data: Data = Path("data")) -> None:
    """Show the items of all suites in a browser, page by page: texts, log-probs and tokens of any
    two models side by side. The page is for this machine alone; Ctrl-C ends it.
    """
    from lmcore.figures.files import bundle
    from lmcore.view.pages import Pages, suites_there
    from lmcore.view.server import Server

    models, kinds = _models_and_kinds(Path("params.yaml"))
    server = Server(Pages(suites_there(data, models, kinds)), port)
    bundle()  # two seconds, for which the first page would wait
    try:
        typer.echo(f"{server.url} shows the items; Ctrl-C ends it")
        if not no_browser:
            webbrowser.open(server.url)
        server.serve_forever()
    except KeyboardInterrupt:
        typer.echo("ended")
    finally:
        server.server_close()


def _models_and_kinds(path: Path) -> tuple[list[str], dict[str, str]]:
    """The models of params.yaml, and the kind of each of its suites.

    Raises InputError where there is no params.yaml, or where it lacks one of the two.
    """
    from lmcore.params import yaml_text
    from lmcore.suites.declare import kind_of

    if not path.exists():
        raise InputError(f"{path}: is not here; run this in the folder of params.yaml")
    params = yaml_text.load_mapping(path.read_text("utf-8"), path)
    models, suites = params.get("models"), params.get("suites")
    if not isinstance(models, list) or not isinstance(suites, dict):
        raise InputError(f"{path}: expected `models`, a list, and `suites`, a mapping")
    return list(map(str, models)), {suite: kind_of(suite, entry) for suite, entry in suites.items()}
