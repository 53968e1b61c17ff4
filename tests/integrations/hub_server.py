"""A stand-in for the part of the Hub's HTTP interface that pushing, listing and loading a model take; it keeps everything in memory.

Its check of metadata follows the published rules of model cards: a known licence, and in `model-index` a name, and for each result the
type of the task, the type and the name of the data set, and for each metric its type and its value.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlparse

import yaml

LICENCES = {"apache-2.0", "mit", "gemma", "cc-by-4.0", "cc-by-sa-4.0", "other"}


def mistakes(content: str) -> list[str]:
    """What the Hub would say of the metadata of a card."""
    if not content.startswith("---\n"):
        return ["no metadata"]
    metadata = yaml.safe_load(content.split("---\n")[1])
    found = []
    if metadata.get("license", "other") not in LICENCES:
        found.append(f"license {metadata['license']}")
    if any(not isinstance(code, str) or not 2 <= len(code) <= 3 for code in metadata.get("language", [])):
        found.append("language")
    for model in metadata.get("model-index", []):
        if not model.get("name") or not model.get("results"):
            found.append("model-index without a name or results")
        for result in model.get("results", []):
            whole = result["task"].get("type") and result["dataset"].get("type") and result["dataset"].get("name")
            if not whole or not all(m.get("type") and m.get("value") is not None for m in result["metrics"]):
                found.append(f"result {result}")
    return found


class Hub(ThreadingHTTPServer):
    """Repositories by name: path -> bytes, and what was asked that it does not know."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.unknown: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def sha(self, name: str) -> str:
        content = [[path, hashlib.sha256(data).hexdigest()] for path, data in sorted(self.repositories[name].items())]
        return hashlib.sha1(json.dumps(content).encode()).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Nothing on the terminal."""

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline().strip(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _send(self, status: int, body: bytes, headers: dict[str, str], *, head: bool = False) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if not head:
            self.wfile.write(body)

    def _json(self, value: Any, status: int = 200, **headers: str) -> None:
        self._send(status, json.dumps(value).encode(), {"Content-Type": "application/json", **headers})

    def do_POST(self) -> None:
        path, body = urlparse(self.path).path, self._body()
        if path == "/api/validate-yaml":
            found = mistakes(json.loads(body)["content"])
            self._json({"errors": [{"message": one} for one in found], "warnings": []}, 400 if found else 200)
        elif path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            self.server.repositories.setdefault(name, {})
            self._json({"url": f"{self.server.address}/{name}", "name": name})
        elif "/preupload/" in path:
            files = [
                {"path": one["path"], "uploadMode": "regular", "shouldIgnore": False}
                for one in json.loads(body)["files"]
            ]
            self._json({"files": files})
        elif "/commit/" in path:
            name = path.removeprefix("/api/models/").partition("/commit/")[0]
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.server.repositories[name][line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            sha = self.server.sha(name)
            self._json({"success": True, "commitOid": sha, "commitUrl": f"{self.server.address}/{name}/commit/{sha}"})
        else:
            self._unknown()

    def do_GET(self) -> None:
        self._read(head=False)

    def do_HEAD(self) -> None:
        self._read(head=True)

    def _read(self, *, head: bool) -> None:
        path = urlparse(self.path).path
        if path == "/":
            self._send(200, b"", {})
            return
        model = path.startswith("/api/models/")
        name = "/".join(path.removeprefix("/api/models/" if model else "/").split("/")[:2])
        files = self.server.repositories.get(name)
        if files is None:
            self._json({"error": "Repository not found"}, 404, **{"X-Error-Code": "RepoNotFound"})
        elif model and "/tree/" in path:
            self._json(
                [
                    {"type": "file", "path": one, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                    for one, data in files.items()
                ]
            )
        elif model:
            self._json(
                {
                    "id": name,
                    "modelId": name,
                    "sha": self.server.sha(name),
                    "siblings": [{"rfilename": one} for one in files],
                }
            )
        elif "/resolve/" in path and (found := files.get(path.split("/resolve/")[1].partition("/")[2])) is not None:
            etag = f'"{hashlib.sha1(found).hexdigest()}"'
            self._send(200, found, {"ETag": etag, "X-Repo-Commit": self.server.sha(name)}, head=head)
        elif "/resolve/" in path:
            self._json({"error": "Entry not found"}, 404, **{"X-Error-Code": "EntryNotFound"})
        else:
            self._unknown()

    def _unknown(self) -> None:
        self.server.unknown.append(f"{self.command} {self.path}")
        self._json({"error": "not part of the stand-in"}, 501)


@contextmanager
def hub() -> Iterator[Hub]:
    """A Hub on a free port of this machine."""
    server = Hub()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
