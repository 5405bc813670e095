"""A Hugging Face hub on loopback, as far as a download goes, with the faults that a network has."""

import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["Hub", "hub_server"]

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """Repositories by `OWNER/NAME`, each with its files by name; large ones are kept as Git LFS keeps them.

    `cut` ends the connection after so many bytes of a file, as often as it says; `damaged` files arrive with a byte
    changed; `requests` are those that came, as (method, path, first byte asked for).
    """

    def __init__(self) -> None:
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.cut: dict[str, tuple[int, int]] = {}
        self.damaged: set[str] = set()
        self.requests: list[tuple[str, str, int]] = []
        self.endpoint = ""

    def listing(self, repository: str) -> dict[str, Any]:
        """The answer of `/api/models/OWNER/NAME?blobs=true`."""
        siblings = []
        for name, content in self.repositories[repository].items():
            entry: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": git_blob(content)}
            if is_large(name):
                entry["lfs"] = {"sha256": sha256(content), "size": len(content), "pointerSize": 130}
            siblings.append(entry)
        return {"_id": "1", "id": repository, "modelId": repository, "sha": COMMIT, "siblings": siblings, "tags": []}


def is_large(name: str) -> bool:
    return not name.endswith(".json")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def git_blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        path = self.path.partition("?")[0]
        start = int(match[1]) if (match := re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))) else 0
        self.hub.requests.append((self.command, path, start))
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path):
            if match[1] not in self.hub.repositories:
                return self._refuse("RepoNotFound", body)
            if match[2] not in (None, "main", COMMIT):
                return self._refuse("RevisionNotFound", body)
            return self._send(200, json.dumps(self.hub.listing(match[1])).encode(), {}, body)
        match = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        files = self.hub.repositories.get(match[1]) if match else None
        if not match or files is None:
            return self._refuse("RepoNotFound", body)
        if match[3] not in files:
            return self._refuse("EntryNotFound", body)
        return self._file(match[3], files[match[3]], start, body)

    def _file(self, name: str, content: bytes, start: int, body: bool) -> None:
        checksum = sha256(content) if is_large(name) else git_blob(content)
        headers = {"ETag": f'"{checksum}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        if name in self.hub.damaged:
            content = content[:-1] + bytes([content[-1] ^ 1])
        times, after = self.hub.cut.get(name, (0, 0))
        if body and times:
            self.hub.cut[name] = (times - 1, after)
        self._send(206 if start else 200, content[start:], headers, body, stop=after if body and times else None)

    def _refuse(self, code: str, body: bool) -> None:
        self._send(404, b'{"error": "not found"}', {"X-Error-Code": code, "X-Error-Message": "not found"}, body)

    def _send(self, status: int, content: bytes, headers: dict[str, str], body: bool, stop: int | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content[:stop])
        if stop is not None:
            self.close_connection = True


@contextlib.contextmanager
def hub_server() -> Iterator[Hub]:
    """A hub that answers at `Hub.endpoint` while the block runs."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
