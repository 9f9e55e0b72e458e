"""The server of `lmcore view`: for this machine alone, read-only, one clear line for what fails."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lmcore.commands.main import app
from lmcore.errors import InputError
from lmcore.view.pages import Pages, suites_there
from lmcore.view.server import Server
from tests.lmcore.nasty import NASTY
from tests.lmcore.view.toy_data import KINDS, MODELS, write_data

ROWS = "/rows?set=0&a=0&b=1&group=-1&different=0&sort=size&down=1&offset=0&limit=20"
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    data = write_data(tmp_path_factory.mktemp("view"), text=NASTY["elements"])
    with Server(Pages(suites_there(data, MODELS, KINDS)), 0) as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def answer(server: Server, path: str, method: str = "GET", **headers: str) -> tuple[int, str, dict]:
    """The status, text and headers of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    connection.request(method, path, headers=headers)
    response = connection.getresponse()
    found = response.status, response.read().decode(), dict(response.getheaders())
    connection.close()
    return found


def test_page_rows_and_item_are_answered(server: Server) -> None:
    status, html, headers = answer(server, "/")
    assert status == 200 and headers["Content-Type"] == "text/html; charset=utf-8"
    assert html.count("<script") == html.count("</script") == 5
    status, text, _ = answer(server, ROWS)
    rows = json.loads(text)["rows"]
    assert status == 200 and len(rows) == 6
    status, text, _ = answer(server, f"/item?set=0&a=0&b=1&number={rows[0]['number']}")
    assert status == 200 and json.loads(text)["id"] == rows[0]["id"]


def test_listens_on_loopback_alone(server: Server) -> None:
    assert server.server_address[0] == "127.0.0.1"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1", ""])
def test_another_host_is_refused(server: Server, host: str) -> None:
    status, text, _ = answer(server, "/", Host=host)
    assert (status, text) == (403, "this page is for this machine alone")


def test_localhost_is_this_machine(server: Server) -> None:
    assert answer(server, ROWS, Host=f"localhost:{server.server_port}")[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "HEAD"])
def test_other_methods_do_nothing(server: Server, method: str) -> None:
    assert answer(server, "/", method)[0] == 501


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/etc/passwd", 404),
        ("/../pyproject.toml", 404),
        ("/rows", 400),
        (ROWS.replace("sort=size", "sort=item;drop"), 400),
        (ROWS.replace("a=0", "a=0%20or%201"), 400),
        (ROWS.replace("a=0", "a=99"), 400),
        (ROWS + "&within=1,2,3", 400),
        (ROWS + "&within=1,2,3,1%20or%201", 400),
        (ROWS.replace("limit=20", "limit=100000"), 400),
        (ROWS.replace("offset=0", "offset=-1"), 400),
        ("/item?set=0&a=0&b=1&number=-3", 400),
        ("/item?set=0&a=0&b=1&number=999999999999999999999", 400),
    ],
)
def test_bad_requests_get_one_line(server: Server, path: str, status: int) -> None:
    got, text, headers = answer(server, path)
    assert got == status and text and "\n" not in text
    assert headers["Content-Type"].startswith("text/plain")


def test_policy_allows_the_page_own_scripts_and_this_server_alone(server: Server) -> None:
    _, html, headers = answer(server, "/")
    assert headers["Content-Security-Policy"] == "frame-ancestors 'none'"
    found = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert found is not None
    allowed = unescape(found[1])
    assert "default-src 'none'" in allowed and "connect-src 'self'" in allowed
    assert re.search(r"script-src( 'sha256-[\w+/=]+'){3};", allowed)
    assert "default-src 'none'" in answer(server, ROWS)[2]["Content-Security-Policy"]


def test_a_taken_port_is_one_line(server: Server) -> None:
    with pytest.raises(InputError, match=f"--port {server.server_port}: is taken"):
        Server(Pages([]), server.server_port)


def test_command_says_its_address_and_ends_at_ctrl_c(tmp_path: Path) -> None:
    write_data(tmp_path)
    suites = "".join(f"  {name}: {{kind: {kind}}}\n" for name, kind in KINDS.items())
    (tmp_path / "params.yaml").write_text(f"models: [first, second]\nsuites:\n{suites}")
    command = [sys.executable, "-m", "lmcore.commands.main", "view", "--no-browser"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as run:
        assert run.stdout is not None
        line = run.stdout.readline()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/ shows the items; Ctrl-C ends it\n", line)
        run.send_signal(signal.SIGINT)
        out, errors = run.communicate(timeout=60)
    assert (run.returncode, out, errors) == (0, "ended\n", "")


def test_command_without_params_is_one_line(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["view", "--no-browser"])
    assert result.exit_code == 1
    assert (
        result.stderr == "error: params.yaml: is not here; run this in the folder of params.yaml\n"
    )
