"""A page on this machine alone that shows items: `Pages` go in, HTTP comes out.

It listens on 127.0.0.1, answers GET, and writes nothing. A request whose Host is another name is
refused, so that no page of the web can read the answers by giving its own name this address (DNS
rebinding). The page may load and send nothing elsewhere.
"""

import errno
import json
import re
import sys
import traceback
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from lmcore.errors import InputError, error_line
from lmcore.report.figures import script
from lmcore.report.items import served_explorer
from lmcore.report.layout import whole_page
from lmcore.view.pages import MOST_ROWS, SORTS, Choice, Page, Pages

ADDRESS = "127.0.0.1"
MOST_NUMBER = 2**31
SECONDS = 30  # that a client may take to send its request
NOTHING = "default-src 'none'; frame-ancestors 'none'"
POLICIES = {"text/html": "frame-ancestors 'none'"}  # all else stands in the page itself


class Server(ThreadingHTTPServer):
    """The server of some pages; `server_port` is its port."""

    daemon_threads = True

    def __init__(self, pages: Pages, port: int):
        """Raises InputError where the port is taken."""
        try:
            super().__init__((ADDRESS, port), partial(_Handler, pages))
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            raise InputError(
                f"--port {port}: is taken or not for you; name another one, or 0 for any free one"
            ) from error

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{ADDRESS}:{self.server_port}/"


class _Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Server
    timeout = SECONDS
    server_version, sys_version = "lmcore", ""

    def __init__(self, pages: Pages, *arguments: Any):
        self.pages = pages
        super().__init__(*arguments)

    def do_GET(self) -> None:
        """Answer with the page, a page of items, or an item."""
        port = self.server.server_port
        if self.headers.get("Host") not in (f"{ADDRESS}:{port}", f"localhost:{port}"):
            self._send(HTTPStatus.FORBIDDEN, "this page is for this machine alone", "text/plain")
            return
        address = urlsplit(self.path)
        answers: dict[str, Callable[[dict], tuple[str, str]]] = {
            "/": self._page,
            "/rows": self._rows,
            "/circles": self._circles,
            "/item": self._item,
        }
        if address.path not in answers:
            self._send(HTTPStatus.NOT_FOUND, "there is no such page", "text/plain")
            return
        try:
            text, kind = answers[address.path](parse_qs(address.query))
        except Exception as error:
            line = error_line(error)
            if line is None:
                traceback.print_exc(file=sys.stderr)
            status = HTTPStatus.INTERNAL_SERVER_ERROR if line is None else HTTPStatus.BAD_REQUEST
            self._send(status, line or "a mistake of lmcore: see the terminal", "text/plain")
            return
        self._send(HTTPStatus.OK, text, kind)

    def _page(self, _query: dict) -> tuple[str, str]:
        return page_of(self.pages), "text/html"

    def _rows(self, query: dict) -> tuple[str, str]:
        sort = query.get("sort", [""])[0]
        if sort not in SORTS:
            raise InputError(f"sort must be one of {', '.join(SORTS)}")
        page = Page(
            sort=sort,
            is_descending=bool(_number(query, "down")),
            offset=_number(query, "offset"),
            limit=_number(query, "limit", low=1, high=MOST_ROWS),
        )
        return json.dumps(self.pages.page(_choice(query), page)), "application/json"

    def _circles(self, query: dict) -> tuple[str, str]:
        return json.dumps(self.pages.circles(_choice(query))), "application/json"

    def _item(self, query: dict) -> tuple[str, str]:
        numbers = [_number(query, name) for name in ("set", "a", "b", "number")]
        return json.dumps(self.pages.item(*numbers)), "application/json"

    def _send(self, status: HTTPStatus, text: str, kind: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", POLICIES.get(kind, NOTHING))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing of requests."""


def page_of(pages: Pages) -> str:
    """The page, without any item: these are asked for."""
    sets = pages.sets()
    lead = f"{len(sets)} suites, from the tables on this machine."
    sections = {"items": ("Item by item", served_explorer(sets))}
    title = "Small language models, item by item"
    return whole_page(title, lead, sections, scripts=[script()], is_served=True)


def _choice(query: dict) -> Choice:
    """The items that a query asks for."""
    within = None
    if "within" in query:
        ends = query["within"][0].split(",")
        try:
            a_low, a_high, b_low, b_high = map(float, ends)
        except ValueError as error:
            raise InputError("within must be four numbers: A from, to, B from, to") from error
        within = (a_low, a_high, b_low, b_high)
    return Choice(
        suite=_number(query, "set"),
        a=_number(query, "a"),
        b=_number(query, "b"),
        group=_number(query, "group", low=-1),
        only_different=bool(_number(query, "different")),
        within=within,
    )


def _number(query: dict, name: str, low: int = 0, high: int = MOST_NUMBER) -> int:
    """A whole number of a query. Raises InputError where it is none, or out of its range."""
    text = query.get(name, [""])[0]
    if not re.fullmatch(r"-?[0-9]{1,10}", text) or not low <= int(text) <= high:
        raise InputError(f"{name} must be a whole number from {low} to {high}")
    return int(text)
