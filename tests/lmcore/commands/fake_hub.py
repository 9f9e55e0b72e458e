"""A Hugging Face hub on loopback that takes uploads, as far as huggingface_hub needs it.

It speaks the endpoints that `create_repo`, `create_branch` and `upload_folder` call without Xet:
repos/create, branch, validate-yaml, preupload, the batch of Git LFS, the upload itself, and commit.
It cannot show what the real hub checks: rights of a token, names, quotas, and the Xet storage.
"""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FakeHub:
    """What the hub was sent: the repositories, their branches and the files of their commits."""

    def __init__(self, token: str):
        self.token = token
        self.url = ""
        self.repos: dict[str, dict] = {}
        self.branches: list[str] = []
        self.objects: dict[str, bytes] = {}  # of Git LFS, by their sha256
        self.commits: list[dict] = []

    def answer(self, method: str, path: str, body: bytes) -> dict:
        """The JSON that answers a request."""
        path = path.partition("?")[0]
        if method == "PUT":
            self.objects[path.rpartition("/")[2]] = body
            return {}
        if path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            self.repos[name] = asked
            return {"url": f"{self.url}/{name}"}
        if path == "/api/validate-yaml":
            return {"errors": [], "warnings": []}
        if "/branch/" in path:
            self.branches.append(path.rpartition("/")[2])
            return {}
        if "/preupload/" in path:
            return {"files": [_mode(file) for file in json.loads(body)["files"]]}
        if path.endswith("/info/lfs/objects/batch"):
            return {"objects": [self._upload(entry) for entry in json.loads(body)["objects"]]}
        assert "/commit/" in path, path
        return self._commit(path, body)

    def _upload(self, entry: dict) -> dict:
        href = f"{self.url}/lfs/{entry['oid']}"
        return {**entry, "actions": {"upload": {"href": href}}}

    def _commit(self, path: str, body: bytes) -> dict:
        """Keep a commit with the content of its files."""
        commit: dict = {"revision": path.rpartition("/")[2], "files": {}}
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "header":
                commit["summary"] = value["summary"]
            elif line["key"] == "file":
                commit["files"][value["path"]] = base64.b64decode(value["content"])
            else:
                commit["files"][value["path"]] = self.objects[value["oid"]]
        self.commits.append(commit)
        oid = "c" * 40
        return {"commitUrl": f"{self.url}/lab/tiny/commit/{oid}", "commitOid": oid}


def _mode(file: dict) -> dict:
    mode = "lfs" if file["path"].endswith(".safetensors") else "regular"
    return {"path": file["path"], "uploadMode": mode, "shouldIgnore": False}


@contextmanager
def fake_hub(token: str) -> Iterator[FakeHub]:
    """A hub that runs within the block and refuses every token but `token`."""
    hub = FakeHub(token)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            is_upload = self.path.startswith("/lfs/")  # its address is its right, as on the hub
            if not is_upload and self.headers.get("Authorization") != f"Bearer {hub.token}":
                self._send(401, {"error": "Invalid username or password."})
            else:
                self._send(200, hub.answer(self.command, self.path, body))

        do_PUT = do_POST

        def _send(self, status: int, value: dict) -> None:
            content = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
